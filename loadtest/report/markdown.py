"""A report as Markdown, as a page of a repository or a comment of a review shows it."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from loadtest.report.model import Figure, Report
from loadtest.report.pictures import Picture
from loadtest.report.wording import (
    TIMES,
    clock,
    duration,
    heading,
    limit,
    measured,
    number,
    place,
    plain,
    said,
    settings,
    summary,
    title,
)

_SPECIAL: Final = re.compile(r"[\\`*\[\]<>|~#$&@]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_OPENING: Final = re.compile(r"^(\d*)([-+=.)])(?=[-+=.)\s]|$)")
"""What begins a list, or makes a heading of the line above."""
_FENCE: Final = re.compile(r"`+")


def render(report: Report, pictures: Sequence[Picture] = (), without_plots: str = "") -> str:
    """The page; plots are looked for in `plots/` beside it."""
    return "\n".join(_lines(report, pictures, without_plots)) + "\n"


def escaped(value: object) -> str:
    """A text from outside as text: on one line, nothing in it is markup."""
    return _OPENING.sub(r"\1\\\2", _SPECIAL.sub(r"\\\g<0>", plain(value)))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table that is also aligned in the source; a column headed `>name` is set right. Cells come escaped."""
    right = [name.startswith(">") for name in head]
    texts = [[name.removeprefix(">") for name in head], *map(list, rows)]
    widths = [max(3, *(len(row[column]) for row in texts)) for column in range(len(head))]
    lines = [
        "| " + " | ".join(
            cell.rjust(wide) if to_right else cell.ljust(wide)
            for cell, wide, to_right in zip(row, widths, right, strict=True)
        ) + " |"
        for row in texts
    ]  # fmt: skip
    rule = "|".join("-" * (wide + 1) + (":" if to_right else "-") for wide, to_right in zip(widths, right, strict=True))
    return [lines[0], f"|{rule}|", *lines[1:]]


def fenced(text: str) -> list[str]:
    """A block of code, whatever is in it."""
    fence = "`" * max(3, 1 + max(map(len, _FENCE.findall(text)), default=0))
    return [f"{fence}sh", plain(text), fence]


def _lines(report: Report, pictures: Sequence[Picture], without_plots: str) -> Iterator[str]:
    yield from (f"# {escaped(heading(report))}", "", f"**{report.verdict.capitalize()}.** {summary(report)}", "")
    yield f"{escaped(report.began)}, {duration(report.seconds)}, on {escaped(place(report.machine))}."
    yield ""
    if report.generator_limited:
        yield from (f"> The load generator was the bottleneck: {escaped(report.generator_limited)}.", "")
    if report.failures:
        yield from ("## What went wrong", "", *(f"- {escaped(failure)}" for failure in report.failures), "")
    if report.figures:
        yield from ("## Figures", "")
        yield from table(("Figure", ">Measured", "Asked", "Verdict", "Note"), map(_figure, report.figures))
        yield ""
    if report.moments:
        yield from ("## What happened", "")
        yield from table((">Time", "Event"), ((clock(each.at_s), escaped(each.text)) for each in report.moments))
        yield ""
    if pictures:
        yield from ("## Plots", "")
        for picture in pictures:
            group = picture.group
            yield from (f"![{group.title}](plots/{group.key}.png)", "", group.caption, "")
    elif without_plots:
        yield from (f"*No plots: {escaped(without_plots)}.*", "")
    yield from _stages(report)
    yield from _anchors(report)
    if report.notes:
        yield from ("## Notes", "", *(f"- {escaped(note)}" for note in report.notes), "")
    yield from ("## The run again", "", *fenced(report.command), "")
    if report.settings:
        yield from table(("Setting", "Value"), ((escaped(name), escaped(value)) for name, value in settings(report)))


def _figure(figure: Figure) -> tuple[str, ...]:
    word = {True: "holds", False: "**missed**", None: ""}[figure.holds]
    return (escaped(title(figure)), escaped(measured(figure)), escaped(limit(figure)), word, escaped(figure.note))


def _stages(report: Report) -> Iterator[str]:
    if not report.stages:
        return
    yield from ("## Stages", "")
    head = ("Stage", ">CPU per Call", ">CPU", ">Memory", ">p50", ">p99", "What the times are")
    yield from table(
        head,
        (
            (
                escaped(stage.name),
                *(
                    said(value, unit) if value is not None else ""
                    for value, unit in (
                        (stage.cpu_us_per_call, "µs"),
                        (stage.cpu_share, "share"),
                        (stage.rss_bytes, "bytes"),
                        (stage.p50_ms, "ms"),
                        (stage.p99_ms, "ms"),
                    )
                ),
                escaped(stage.what),
            )
            for stage in report.stages
        ),
    )
    yield ""


def _anchors(report: Report) -> Iterator[str]:
    if not report.anchors:
        return
    yield from ("## Beside others on this machine", "")
    yield from table(
        ("What", ">Theirs", ">Ours", ">Ours to theirs", "Unit", "Note"),
        (
            (
                escaped(anchor.name),
                number(anchor.value),
                "" if anchor.ours is None else number(anchor.ours),
                "" if anchor.ratio is None else f"{number(anchor.ratio, 2)} {TIMES}",
                escaped(anchor.unit),
                escaped(anchor.what),
            )
            for anchor in report.anchors
        ),
    )
    yield ""
