"""The plots of a report: what happened over time, group by group; then where the CPU of a Call goes, and the anchors.

Needs matplotlib (the extra `report`); nothing else of the report does.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from loadtest.report import bars, sheet
from loadtest.report.model import Report, Series
from loadtest.report.palette import DARK, LIGHT, Theme, colours, percentile
from loadtest.report.pictures import GROUPS, Group, Picture
from loadtest.report.sheet import BELOW, TOP, Sheet
from loadtest.report.wording import number, said, title

_PANEL: Final = 1.9
_GAP: Final = 0.36
_MOST: Final = 8
"""So many lines of one panel are told apart; smaller ones beyond that are gray, or added up where they are stacked."""
_SLIGHT: Final = 0.02
_CEILING_SHOWN_FROM: Final = 0.35
_TIMES: Final = {"µs": 1e-6, "ms": 1e-3, "s": 1.0}
_BYTES: Final = {"bytes": 1.0, "KB": 1e3, "MB": 1e6}


@dataclass(frozen=True)
class _Panel:
    unit: str
    factor: float
    """From the unit of the series to that of the panel."""
    series: Sequence[Series]
    stacked: bool = False


@dataclass(frozen=True)
class _Frame:
    """What all plots over time have in common, so that they can be read one above the other."""

    low: float
    high: float
    right: float
    """The margin for the names of the lines."""


def draw(report: Report) -> list[Picture]:
    """Every plot for which there is something to show, in the order of the page."""
    with sheet.plain_style():
        return list(_drawn(report))


def _drawn(report: Report) -> Iterator[Picture]:
    frame = _frame(report)
    for group in GROUPS:
        panels = _panels(report, group.key)
        if panels:
            yield _both(group, partial(_group, report, group, panels, frame))
    yield from (_both(*drawing) for drawing in bars.drawings(report))


def _both(group: Group, drawing: Callable[[Theme], Sheet]) -> Picture:
    light, dark = drawing(LIGHT), drawing(DARK)
    return Picture(group=group, light=light.png(), dark=dark.png(), width=light.pixels[0], height=light.pixels[1])


def _group(report: Report, group: Group, panels: Sequence[_Panel], frame: _Frame, theme: Theme) -> Sheet:
    moments = sorted((moment.at_s, moment.text) for moment in report.moments)
    rows = Sheet(theme, 1.0).rows_for(moments, frame.low, frame.high, frame.right)
    top = TOP + rows * sheet.LINE + 0.14
    page = Sheet(theme, top + len(panels) * (_PANEL + _GAP) - _GAP + BELOW)
    used = page.write(0.12, 0.2, group.title, bold=True, size=11)
    page.write(0.3 + used, 0.2, _heading(group, panels[0]), soft=True)
    drawn: list[Axes] = []
    for index, panel in enumerate(panels):
        at = top + index * (_PANEL + _GAP)
        axes = page.panel(at, _PANEL, right=frame.right)
        sheet.time_axis(axes, frame.low, frame.high, labelled=index == len(panels) - 1)
        if index:
            page.write(0.12, at - 0.15, _heading(group, panel), soft=True)
        _draw_panel(page, axes, panel, group, report)
        drawn.append(axes)
    page.moments(drawn, moments, TOP, rows)
    return page


def _draw_panel(page: Sheet, axes: Axes, panel: _Panel, group: Group, report: Report) -> None:
    if panel.stacked:
        _stack(page, axes, panel, report.machine.cores)
        return
    logarithmic = _is_logarithmic(group, panel)
    values = {series.name: _values(series, panel.factor, positive=logarithmic) for series in panel.series}
    peaks = {name: max((value for _, value in points), default=-math.inf) for name, points in values.items()}
    told = sorted(values, key=lambda name: -peaks[name])[:_MOST]
    colour = colours([name for name in values if name in told], page.theme)
    bounds = [value * panel.factor for value in _limits(report, panel)] if logarithmic else []
    _value_axis(axes, [value for points in values.values() for _, value in points] + bounds, panel, logarithmic)
    ends = []
    for name, points in sorted(values.items(), key=lambda item: -peaks[item[0]]):
        if not points:
            continue
        at, shown = zip(*points, strict=True)
        of = colour.get(name, page.theme.hues["gray"][1])
        axes.plot(at, shown, color=of, linewidth=1.5, marker="o" if len(at) < 12 else "", markersize=3.5)
        if group.key == "sockets":
            axes.fill_between(at, shown, color=of, alpha=0.07, linewidth=0)
        if name in told:
            ends.append((name, shown[-1], of))
    for bound in bounds:
        axes.axhline(bound, color=page.theme.hues["red"][2], linewidth=1.0, linestyle=(0, (6, 3)))
        ends.append((f"limit {said(bound / panel.factor, panel.unit)}", bound, page.theme.hues["red"][2]))
    rest = len(values) - len(told)
    if rest:
        ends.append((f"{rest} others", 0.0, page.theme.hues["gray"][1]))
    page.labels_at_end(axes, ends)


def _stack(page: Sheet, axes: Axes, panel: _Panel, cores: int) -> None:
    """CPU of all parts, one upon the other, so that the upper edge is what the machine gives them together."""
    times = sorted({at for series in panel.series for at, _ in series.points})
    layers = {series.name: _at(times, series.points) for series in panel.series}
    most = max(map(sum, zip(*layers.values(), strict=True)), default=0.0)
    by_peak = sorted(layers, key=lambda name: -max(layers[name]))
    told = {name for name in by_peak[:_MOST] if max(layers[name]) >= _SLIGHT * most}
    rest = [name for name in layers if name not in told]
    shown = {name: layers[name] for name in layers if name in told}
    colour = colours(list(shown), page.theme)
    if rest:
        others = f"{len(rest)} others" if len(rest) > 1 else rest[0]
        shown[others] = [sum(values) for values in zip(*(layers[name] for name in rest), strict=True)]
        colour[others] = page.theme.hues["gray"][0]
    axes.stackplot(
        times, *shown.values(), colors=[colour[name] for name in shown], edgecolor=page.theme.ground, linewidth=0.5
    )
    near = most >= _CEILING_SHOWN_FROM * cores
    top = max(most * 1.08, cores * 1.04 if near else 0.0) or 1.0
    axes.set_ylim(0, top)
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(_tick))
    ends, below = [], 0.0
    for name, values in shown.items():
        ends.append((name, below + values[-1] / 2, colour[name]))
        below += values[-1]
    if near:
        axes.axhline(cores, color=page.theme.soft_ink, linewidth=1.0, linestyle=(0, (6, 3)))
        ends.append((f"all of {cores} cores", float(cores), page.theme.soft_ink))
    page.labels_at_end(axes, ends)


def _value_axis(axes: Axes, values: Sequence[float], panel: _Panel, logarithmic: bool) -> None:
    least, most = min(values, default=0.0), max(values, default=1.0)
    if logarithmic:
        axes.set_yscale("log")
        axes.set_ylim(least / 1.25, most * 1.4)
        narrow = most / least < 100
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if narrow else (1.0,)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _time(value * _TIMES[panel.unit])))
        return
    axes.set_ylim(min(0.0, least * 1.08), most * 1.08 if most > 0 else 1.0)
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10], integer=panel.unit == "count"))
    axes.yaxis.set_major_formatter(FuncFormatter(_tick))


def _panels(report: Report, group: str) -> list[_Panel]:
    """One for each unit, for values of different units share no axis."""
    by_unit: dict[str, list[Series]] = {}
    for series in report.series:
        if series.group == group and series.points:
            by_unit.setdefault(series.unit, []).append(series)
    panels = []
    for unit, alike in by_unit.items():
        most = max(abs(value) for series in alike for _, value in series.points)
        if unit == "share" and group == "cpu":
            panels.append(_Panel("cores in use", 1.0, alike, stacked=True))
        elif unit == "share":
            panels.append(_Panel("%", 100.0, alike))
        elif unit in _BYTES:
            shown = next((name for name, size in (("GB", 1e9), ("MB", 1e6)) if most * _BYTES[unit] >= 2 * size), "KB")
            panels.append(_Panel(shown, _BYTES[unit] / {"GB": 1e9, "MB": 1e6, "KB": 1e3}[shown], alike))
        else:
            panels.append(_Panel(unit, 1.0, alike))
    return panels


def _heading(group: Group, panel: _Panel) -> str:
    """The unit, where the axis does not say it."""
    return "" if panel.unit == "count" or _is_logarithmic(group, panel) else panel.unit


def _is_logarithmic(group: Group, panel: _Panel) -> bool:
    return group.key == "latency" and panel.unit in _TIMES


def _values(series: Series, factor: float, *, positive: bool) -> list[tuple[float, float]]:
    return [
        (at, value * factor)
        for at, value in sorted(series.points)
        if math.isfinite(value) and (value > 0 or not positive)
    ]


def _at(times: Sequence[float], points: Sequence[tuple[float, float]]) -> list[float]:
    """The values at those times, along straight lines; nothing before the first point and after the last."""
    known = sorted(points)
    values, index = [], 0
    for at in times:
        while index + 1 < len(known) and known[index + 1][0] <= at:
            index += 1
        (left, before), (right, after) = known[index], known[min(index + 1, len(known) - 1)]
        if at < left or (at > left and left == right):
            values.append(0.0)
        else:
            values.append(before if at == left else before + (after - before) * (at - left) / (right - left))
    return values


def _limits(report: Report, panel: _Panel) -> list[float]:
    """What percentiles may reach at most, where a figure of this unit says so."""
    bounds = {
        figure.at_most
        for figure in report.figures
        if figure.at_most and figure.unit == panel.unit and (percentile(figure.name) or percentile(title(figure)))
    }
    return sorted(bounds)[:2]


def _frame(report: Report) -> _Frame:
    times = [at for series in report.series for at, _ in series.points] + [moment.at_s for moment in report.moments]
    low = min([0.0, *times])
    measuring = Sheet(LIGHT, 1.0)
    names = [sheet.shortened(series.name) for series in report.series] + ["limit 1,000 ms"]
    widest = max(measuring.width_of(name, sheet.SMALL) for name in names)
    return _Frame(low, max([report.seconds, low + 1.0, *times]), 0.35 + widest)


def _tick(value: float, _: object) -> str:
    return f"{value:,.10g}"


def _time(seconds: float) -> str:
    unit, size = next(
        ((unit, size) for unit, size in (("s", 1.0), ("ms", 1e-3)) if seconds >= size * 0.999), ("µs", 1e-6)
    )
    return f"{number(seconds / size)} {unit}"
