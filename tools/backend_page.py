"""Renews what docs/backend.md takes from the code: examples, reasons, events; `make docs` runs it, a test compares.

Everything between `<!-- begin X -->` and `<!-- end X -->` is replaced, the rest is written by hand.
"""

import re
import sys
from pathlib import Path

from contracts.actions import REPEATABLE
from contracts.commands import Reason
from contracts.events import EVENTS
from tools.asyncapi.schemas import attribute_docs

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "backend.md"
_PART = re.compile(r"(<!-- begin (?P<name>\S+) -->\n).*?(<!-- end (?P=name) -->)", re.DOTALL)
_LANGUAGES = {".py": "python", ".js": "js"}


def page(text: str) -> str:
    """The page with every such part renewed; KeyError names a part that nothing stands for."""
    return _PART.sub(lambda part: f"{part.group(1)}{_content(part.group('name'))}{part.group(3)}", text)


def _content(name: str) -> str:
    if name.startswith("docs/examples/"):
        file = ROOT / name
        return f"```{_LANGUAGES[file.suffix]}\n{file.read_text()}```\n"
    return {"reasons": _reasons, "events": _events, "repeatable": _repeatable}[name]()


def _reasons() -> str:
    rows = [f"| `{word}` | {text} |" for word, text in attribute_docs(Reason).items()]
    return "\n".join(["| reason | with which outcome, and why |", "|---|---|", *rows]) + "\n"


def _events() -> str:
    rows = [
        f"| `{name}` | {' '.join((data.__doc__ or '').split())} | {' '.join(f'`{key}`' for key in data.model_fields)} |"
        for name, data in EVENTS.items()
    ]
    return "\n".join(["| type | when | `data` |", "|---|---|---|", *rows]) + "\n"


def _repeatable() -> str:
    return ", ".join(f"`{name}`" for name in sorted(REPEATABLE)) + "\n"


if __name__ == "__main__":
    sys.exit(PAGE.write_text(page(PAGE.read_text())) and 0)
