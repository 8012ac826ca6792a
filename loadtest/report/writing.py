"""A report's folder."""

import os
from importlib.util import find_spec
from pathlib import Path

from loadtest.report import html, markdown
from loadtest.report.model import Report
from loadtest.report.pictures import Picture

WITHOUT_PLOTS = "matplotlib is not installed (the extra `report`); `ocpp-loadtest render` draws them later"
NO_PLOTS = "plots were not asked for (--no-plots); `ocpp-loadtest render` draws them later"


def write(report: Report, folder: Path, *, plots: bool = True) -> list[Path]:
    """Write report.json, report.md, report.html and plots/*.png; gives their paths, the data first.

    The data is on disk before anything is drawn of it: whatever happens then, the run is not lost. Without matplotlib,
    or when none are wanted, there are no plots, and both pages say so.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = [_put(folder / "report.json", report.encode())]
    pictures = _pictures(report) if plots else None
    without = "" if pictures is not None else WITHOUT_PLOTS if plots else NO_PLOTS
    for picture in pictures or ():
        (folder / "plots").mkdir(exist_ok=True)
        written.append(_put(folder / "plots" / f"{picture.group.key}.png", picture.light))
    pages = {"report.md": markdown.render, "report.html": html.render}
    for name, render in pages.items():
        text = render(report, pictures or (), without)
        written.append(_put(folder / name, text.encode(errors="replace")))
    return written


def _pictures(report: Report) -> list[Picture] | None:
    if find_spec("matplotlib") is None:
        return None
    from loadtest.report.plots import draw

    return draw(report)


def _put(path: Path, content: bytes) -> Path:
    """Whole or not at all, for somebody may have the page open while it is made again."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_bytes(content)
    beside.replace(path)
    return path
