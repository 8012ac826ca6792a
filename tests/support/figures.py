"""Figures that tests note on their way; tools/gate.sh prints them at the end."""

from tools.stack import ROOT

FILE = ROOT / ".dev" / "figures.txt"


def note(text: str) -> None:
    """Add to the figures of this run, and to this test's own output."""
    print(f"\n{text}")
    with FILE.open("a") as file:
        file.write(f"{text}\n")
