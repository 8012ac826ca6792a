"""A report as one HTML page with all that it needs in it: the style, and the plots for light screens and dark ones."""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files

from loadtest.report.model import Figure, Report
from loadtest.report.pictures import Picture
from loadtest.report.wording import (
    TIMES,
    clock,
    duration,
    heading,
    held,
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

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_ROOM = 1.2
"""How far the scale of a figure goes beyond its value and its limit."""


def render(report: Report, pictures: Sequence[Picture] = (), without_plots: str = "") -> str:
    """The page."""
    style = files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    return "\n".join((
        "<!doctype html>", '<html lang="en">', "<head>", '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{_text(heading(report))}: {report.verdict}</title>", f"<style>{style}</style>", "</head>", "<body>",
        *_body(report, pictures, without_plots), "</body>", "</html>", "",
    ))  # fmt: skip


def _body(report: Report, pictures: Sequence[Picture], without_plots: str) -> Iterator[str]:
    yield "<header>"
    yield f'<p class="verdict {_class(report.verdict)}">{report.verdict.capitalize()}</p>'
    yield f"<h1>{_text(heading(report))}</h1>"
    yield f'<p class="summary">{_text(summary(report))}</p>'
    when = f"{_text(report.began)} \u00b7 {duration(report.seconds)} \u00b7 {_text(place(report.machine))}"
    yield f'<p class="soft">{when}</p>'
    yield "</header>"
    yield "<main>"
    if report.generator_limited:
        yield f'<p class="warning"><b>The load generator was the bottleneck:</b> {_text(report.generator_limited)}.</p>'
    if report.failures:
        yield from ('<section class="failures">', "<h2>What went wrong</h2>", *_list(report.failures), "</section>")
    limited = sorted((each for each in report.figures if each.holds is not None), key=lambda each: bool(each.holds))
    if limited:
        yield from ('<section class="tiles">', *map(_tile, limited), "</section>")
    if report.moments:
        yield '<section><h2>What happened</h2><ol class="moments">'
        for moment in report.moments:
            yield f"<li><time>{clock(moment.at_s)}</time> {_text(moment.text)}</li>"
        yield "</ol></section>"
    if pictures:
        yield from ("<section>", "<h2>Over time, and part by part</h2>", *map(_picture, pictures), "</section>")
    elif without_plots:
        yield f'<p class="soft">No plots: {_text(without_plots)}.</p>'
    yield from _figures(report)
    yield from _stages(report)
    yield from _anchors(report)
    if report.notes:
        yield from ("<section>", "<h2>Notes</h2>", *_list(report.notes), "</section>")
    yield f"<section><h2>The run again</h2><pre><code>{_text(report.command)}</code></pre>"
    if report.settings:
        yield from (
            "<details><summary>Settings</summary>",
            *_table(("Setting", "Value"), settings(report)),
            "</details>",
        )
    yield "</section></main>"


def _tile(figure: Figure) -> str:
    word = held(figure)
    value, _, unit = measured(figure).partition(" ") if figure.value is not None else (measured(figure), "", "")
    note = f'<p class="soft">{_text(figure.note)}</p>' if figure.note else ""
    return (
        f'<article class="tile {word}"><h3>{_text(title(figure))}</h3>'
        f'<p class="value">{_text(value)} <small>{_text(unit)}</small></p>{_gauge(figure)}'
        f'<p class="asked"><span class="mark">{word}</span> {_text(limit(figure))}</p>{note}</article>'
    )


def _gauge(figure: Figure) -> str:
    """How far the value is from its limit, at a glance; the words beside it say the same."""
    bounds = [bound for bound in (figure.at_least, figure.at_most) if bound is not None]
    if figure.value is None or figure.value < 0 or max(bounds, default=0.0) <= 0:
        return ""
    most = max(figure.value, *bounds) * _ROOM
    ticks = "".join(f'<i style="left:{bound / most:.1%}"></i>' for bound in bounds if bound >= 0)
    return f'<div class="gauge" aria-hidden="true"><b style="width:{figure.value / most:.1%}"></b>{ticks}</div>'


def _picture(picture: Picture) -> str:
    group, size = picture.group, f'width="{picture.width // 2}" height="{picture.height // 2}"'
    return (
        f'<figure><picture><source media="(prefers-color-scheme: dark)" srcset="{_data(picture.dark)}">'
        f'<img src="{_data(picture.light)}" alt="{_text(group.title)}" {size}></picture>'
        f"<figcaption>{_text(group.caption)}</figcaption></figure>"
    )


def _figures(report: Report) -> Iterator[str]:
    if not report.figures:
        return
    rows = [(title(figure), measured(figure), limit(figure), held(figure), figure.note) for figure in report.figures]
    yield "<section><h2>All figures</h2>"
    yield from _table(("Figure", ">Measured", "Asked", "Verdict", "Note"), rows, marked=3)
    yield "</section>"


def _stages(report: Report) -> Iterator[str]:
    if not report.stages:
        return
    rows = []
    for stage in report.stages:
        values = (
            (stage.cpu_us_per_call, "µs"), (stage.cpu_share, "share"), (stage.rss_bytes, "bytes"),
            (stage.p50_ms, "ms"), (stage.p99_ms, "ms"),
        )  # fmt: skip
        rows.append((stage.name, *("" if value is None else said(value, unit) for value, unit in values), stage.what))
    yield "<section><h2>Stages</h2>"
    yield from _table(("Stage", ">CPU per Call", ">CPU", ">Memory", ">p50", ">p99", "What the times are"), rows)
    yield "</section>"


def _anchors(report: Report) -> Iterator[str]:
    if not report.anchors:
        return
    rows = [
        (
            anchor.name, number(anchor.value), "" if anchor.ours is None else number(anchor.ours),
            "" if anchor.ratio is None else f"{number(anchor.ratio, 2)} {TIMES}", anchor.unit, anchor.what,
        )
        for anchor in report.anchors
    ]  # fmt: skip
    yield "<section><h2>Beside others on this machine</h2>"
    yield from _table(("What", ">Theirs", ">Ours", ">Ours to theirs", "Unit", "Note"), rows)
    yield "</section>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], marked: int | None = None) -> Iterator[str]:
    """A column headed `>name` is set right; the cells of a marked one are in colours by their own word.

    Columns with nothing in them are left out.
    """
    kept = [column for column in range(len(head)) if any(row[column] for row in rows)]
    names = {column: ' class="number"' if head[column].startswith(">") else "" for column in kept}
    yield '<div class="wide"><table><thead><tr>'
    yield "".join(f'<th scope="col"{names[column]}>{_text(head[column].removeprefix(">"))}</th>' for column in kept)
    yield "</tr></thead><tbody>"
    for row in rows:
        cells = (
            f'<td><span class="mark {_class(row[column])}">{_text(row[column])}</span></td>'
            if column == marked and row[column]
            else f"<td{names[column]}>{_text(row[column])}</td>"
            for column in kept
        )
        yield f"<tr>{''.join(cells)}</tr>"
    yield "</tbody></table></div>"


def _list(lines: Sequence[str]) -> Iterator[str]:
    yield from ("<ul>", *(f"<li>{_text(line)}</li>" for line in lines), "</ul>")


def _text(value: object) -> str:
    return escape(plain(value), quote=True)


def _class(word: str) -> str:
    return word.replace(" ", "-")


def _data(png: bytes) -> str:
    return f"data:image/png;base64,{b64encode(png).decode()}"
