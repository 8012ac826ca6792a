"""The commands `render` and `compare` of ocpp-loadtest."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from loadtest.report.comparing import compare
from loadtest.report.model import Report
from loadtest.report.writing import write

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse has no public name for it


def add_to(commands: "Commands") -> None:
    """Add them."""
    render = commands.add_parser("render", help="make the pages and plots of a report again from its report.json")
    render.add_argument("report", type=Path, metavar="REPORT.json")
    render.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="made when it is not there")
    render.set_defaults(run=_render)
    comparing = commands.add_parser(
        "compare", help="what became better or worse between two reports of a scenario",
        description="Prints a Markdown table. Exit code 1 when a figure became worse by more than the tolerance, is no"
        " longer measured, or the run failed and did not before.",
    )  # fmt: skip
    comparing.add_argument("old", type=Path, metavar="OLD.json")
    comparing.add_argument("new", type=Path, metavar="NEW.json")
    comparing.add_argument(
        "--tolerance", type=_share, default=0.1, metavar="PERCENT", help="changes up to this are noise (10%%)"
    )
    comparing.set_defaults(run=_compare)


def _render(arguments: argparse.Namespace) -> int:
    report = _read(arguments.report)
    try:
        written = write(report, arguments.to)
    except OSError as error:
        raise ValueError(f"{arguments.to} cannot be written: {error.strerror}") from None
    for path in written:
        print(path)
    return 0


def _compare(arguments: argparse.Namespace) -> int:
    comparison = compare(_read(arguments.old), _read(arguments.new), arguments.tolerance)
    print(comparison.text(), end="")
    return comparison.exit_code


def _read(path: Path) -> Report:
    """The report of a file, or of the folder that it is in."""
    file = path / "report.json" if path.is_dir() else path
    try:
        return Report.decode(file.read_bytes())
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{file} {error}") from None


def _share(text: str) -> float:
    try:
        value = float(text.rstrip("%")) / 100
    except ValueError:
        value = -1.0
    if not 0 <= value < 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage such as 10%")
    return value
