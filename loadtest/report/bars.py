"""Plots without a time axis: the stages of a Call, and the anchors."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from matplotlib.patches import Rectangle

from loadtest.report.model import Anchor, Report, Stage
from loadtest.report.palette import Theme, colours, hue_of
from loadtest.report.pictures import ANCHORS, STAGES_CPU, STAGES_TIME, Group
from loadtest.report.sheet import SMALL, WIDTH, Sheet, shortened
from loadtest.report.wording import TIMES, number, said

_LEFT: Final = 0.12
_RIGHT: Final = 0.25
_TOP: Final = 0.55
_NAMES: Final = 3.0
_BAR: Final = 0.17


def drawings(report: Report) -> Iterator[tuple[Group, Callable[[Theme], Sheet]]]:
    """Those for which there is something to show."""
    costs = [(stage.name, cpu) for stage in report.stages if (cpu := stage.cpu_us_per_call) is not None and cpu > 0]
    if costs:
        yield STAGES_CPU, lambda theme: _cpu(costs, theme)
    timed = [stage for stage in report.stages if stage.p50_ms is not None or stage.p99_ms is not None]
    if timed:
        yield STAGES_TIME, lambda theme: _times(timed, theme)
    compared = [anchor for anchor in report.anchors if anchor.ours is not None]
    if compared:
        yield ANCHORS, lambda theme: _anchors(compared, theme)


def _cpu(costs: Sequence[tuple[str, float]], theme: Theme) -> Sheet:
    total = sum(cost for _, cost in costs)
    colour = colours([name for name, _ in costs], theme)
    entries = [(name, f"{said(cost, 'µs')} \u00b7 {number(cost / total * 100, 2)} %") for name, cost in costs]
    measuring = Sheet(theme, 1.0)
    columns = max(
        1,
        int((WIDTH - _LEFT) / (0.6 + max(measuring.width_of(f"{shortened(name)}  {cost}") for name, cost in entries))),
    )
    columns = -(-len(entries) // -(-len(entries) // columns))
    sheet = Sheet(theme, _TOP + 0.62 + 0.24 * -(-len(entries) // columns))
    used = _head(sheet, STAGES_CPU)
    sheet.write(used, 0.2, f"{said(total, 'µs')} together", soft=True)
    x, wide = _LEFT, WIDTH - _LEFT - _RIGHT
    for name, cost in costs:
        _bar(sheet, x, _TOP, wide * cost / total, 0.36, colour[name], gap=0.015)
        x += wide * cost / total
    for index, (name, text) in enumerate(entries):
        row, column = divmod(index, columns)
        x, y = _LEFT + column * wide / columns, _TOP + 0.62 + row * 0.24
        _bar(sheet, x, y - 0.06, 0.12, 0.12, colour[name])
        x += 0.2 + sheet.write(x + 0.2, y, shortened(name))
        sheet.write(x + 0.1, y, text, soft=True)
    return sheet


def _times(stages: Sequence[Stage], theme: Theme) -> Sheet:
    most = max(max(stage.p50_ms or 0.0, stage.p99_ms or 0.0) for stage in stages) or 1.0
    step = 0.46
    sheet = Sheet(theme, _TOP + step * len(stages) + 0.05)
    _head(sheet, STAGES_TIME)
    labels = [
        " \u00b7 ".join(
            f"{name} {said(value, 'ms')}"
            for name, value in (("p50", stage.p50_ms), ("p99", stage.p99_ms))
            if value is not None
        )
        for stage in stages
    ]
    left = _LEFT + _NAMES
    wide = WIDTH - left - _RIGHT - 0.1 - max(sheet.width_of(label, SMALL) for label in labels)
    for index, (stage, label) in enumerate(zip(stages, labels, strict=True)):
        y = _TOP + step * (index + 0.5)
        hue = theme.hues[hue_of(stage.name)]
        sheet.write(_LEFT, y - (0.08 if stage.what else 0), shortened(stage.name))
        sheet.write(_LEFT, y + 0.09, sheet.fitting(stage.what, _NAMES - 0.1, SMALL - 0.5), soft=True, size=SMALL - 0.5)
        half, most_of = stage.p50_ms or 0.0, max(stage.p50_ms or 0.0, stage.p99_ms or 0.0)
        _bar(sheet, left, y - _BAR / 2, wide * most_of / most, _BAR, hue[0])
        _bar(sheet, left, y - _BAR / 2, wide * half / most, _BAR, hue[2])
        sheet.write(left + wide * most_of / most + 0.1, y, label, soft=True, size=SMALL)
    return sheet


def _anchors(anchors: Sequence[Anchor], theme: Theme) -> Sheet:
    """Bars of one unit share a scale, so each unit is a block of its own."""
    units = list(dict.fromkeys(anchor.unit for anchor in anchors))
    step, between = 0.52, 0.36
    sheet = Sheet(theme, _TOP + step * len(anchors) + between * len(units))
    used = _head(sheet, ANCHORS)
    for name, hue in (("ours", "blue"), ("theirs", "gray")):
        _bar(sheet, used, 0.14, 0.12, 0.12, theme.hues[hue][2])
        used += 0.35 + sheet.write(used + 0.18, 0.2, name, soft=True)
    sheet.write(WIDTH - _RIGHT, 0.2, "ours to theirs", soft=True, right=True)
    left = _LEFT + _NAMES
    wide = WIDTH - left - 1.75
    y = _TOP
    for unit in units:
        alike = [anchor for anchor in anchors if anchor.unit == unit]
        most = max(max(anchor.value, anchor.ours or 0.0) for anchor in alike) or 1.0
        sheet.write(_LEFT, y + 0.12, shortened(unit), bold=True, size=SMALL)
        sheet.stroke((_LEFT, y + 0.25), (WIDTH - _RIGHT, y + 0.25), theme.grid)
        y += between
        for anchor in alike:
            middle = y + step / 2 - 0.06
            sheet.write(_LEFT, middle - (0.08 if anchor.what else 0), sheet.fitting(anchor.name, _NAMES - 0.1))
            sheet.write(
                _LEFT, middle + 0.09, sheet.fitting(anchor.what, _NAMES - 0.1, SMALL - 1), soft=True, size=SMALL - 1
            )
            for offset, value, colour in (
                (-0.17, anchor.ours or 0.0, theme.hues["blue"][2]),
                (0.01, anchor.value, theme.hues["gray"][2]),
            ):
                _bar(sheet, left, middle + offset, wide * value / most, 0.15, colour)
                sheet.write(left + wide * value / most + 0.08, middle + offset + 0.075, number(value), size=SMALL - 1)
            ratio = "" if anchor.ratio is None else f"{number(anchor.ratio, 2)} {TIMES}"
            sheet.write(WIDTH - _RIGHT, middle, ratio, bold=True, right=True, size=11)
            y += step
    return sheet


def _head(sheet: Sheet, group: Group) -> float:
    return 0.3 + _LEFT + sheet.write(_LEFT, 0.2, group.title, bold=True, size=11)


def _bar(sheet: Sheet, x: float, y: float, wide: float, high: float, colour: str, gap: float = 0.0) -> None:
    sheet.figure.add_artist(
        Rectangle(
            (x / WIDTH, 1 - (y + high) / sheet.height), max(0.0, wide - gap) / WIDTH, high / sheet.height,
            transform=sheet.figure.transFigure, facecolor=colour, linewidth=0,
        )
    )  # fmt: skip
