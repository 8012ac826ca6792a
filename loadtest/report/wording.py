"""How numbers and verdicts are put into words; the same on every page."""

import unicodedata
from math import floor, isfinite, log10
from typing import Final

import orjson

from loadtest.report.model import Figure, Machine, Report

NOT_MEASURED: Final = "not measured"
TIMES: Final = "\u00d7"
_BYTES: Final = ((1e9, "GB"), (1e6, "MB"), (1e3, "KB"))


def number(value: float, digits: int = 3) -> str:
    """So many significant digits, never an exponent, thousands apart, no fraction of zeros."""
    if not isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    decimals = min(9, max(0, digits - 1 - floor(log10(abs(value)))))
    text = f"{value:,.{decimals}f}"
    whole, _, fraction = text.partition(".")
    return text if fraction.strip("0") else whole


def said(value: float | None, unit: str, digits: int = 3) -> str:
    """A value with its unit: shares as percent, bytes in the unit that fits, counts in full."""
    if value is None:
        return NOT_MEASURED
    if unit == "count":
        return number(value, max(digits, 12) if value == int(value) else digits)
    if unit == "share":
        return f"{number(value * 100, digits)} %"
    if unit == "ratio":
        return f"{number(value, digits)} {TIMES}"
    if unit == "bytes":
        for size, name in _BYTES:
            if abs(value) >= size:
                return f"{number(value / size, digits)} {name}"
    return f"{number(value, digits)} {unit}".rstrip()


def title(figure: Figure) -> str:
    """What a figure is called for the reader."""
    return figure.title or figure.name.replace("_", " ")


def limit(figure: Figure) -> str:
    """What was asked of a figure; empty when nothing was."""
    bounds = []
    if figure.at_least is not None:
        bounds.append(f"at least {said(figure.at_least, figure.unit)}")
    if figure.at_most is not None:
        bounds.append(f"at most {said(figure.at_most, figure.unit)}")
    return ", ".join(bounds)


def measured(figure: Figure) -> str:
    """Its value, with as many digits as it takes to tell it from a limit that it misses."""
    text = said(figure.value, figure.unit)
    for bound in (figure.at_most, figure.at_least):
        digits = 4
        while figure.value != bound and text == said(bound, figure.unit) and digits < 10:
            text = said(figure.value, figure.unit, digits)
            digits += 1
    return text


def held(figure: Figure) -> str:
    """`holds`, `missed`, or nothing where nothing was asked."""
    return {True: "holds", False: "missed", None: ""}[figure.holds]


def summary(report: Report) -> str:
    """The run's outcome in one sentence or two, for those who read no further."""
    limits = [figure for figure in report.figures if figure.holds is not None]
    missed = [figure for figure in limits if not figure.holds]
    parts = []
    if report.failures:
        parts.append(_counted(len(report.failures), "thing went wrong", "things went wrong"))
    if missed:
        parts.append(f"{len(missed)} of {_counted(len(limits), 'limit', 'limits')} missed")
    elif limits:
        parts.append("the limit holds" if len(limits) == 1 else f"all {len(limits)} limits hold")
    if not report.failures and not missed:
        parts.append("nothing went wrong")
    text = ", and ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def heading(report: Report) -> str:
    """The title of the page."""
    return f"Load test: {report.scenario}"


def duration(seconds: float) -> str:
    """As people say it: `45 s`, `2 min 5 s`, `3 h 20 min`."""
    if seconds < 60:
        return f"{number(seconds)} s"
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    parts = [(hours, "h"), (minutes, "min"), (rest if not hours else 0, "s")]
    return " ".join(f"{count} {unit}" for count, unit in parts if count)


def clock(at_s: float) -> str:
    """A time since the run's begin: `m:ss`, or `h:mm:ss`."""
    sign, whole = "-" if at_s < 0 else "", round(abs(at_s))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{sign}{hours}:{minutes:02}:{rest:02}" if hours else f"{sign}{minutes}:{rest:02}"


def place(machine: Machine) -> str:
    """The machine in one line."""
    cores = _counted(machine.cores, "core", "cores")
    memory = f"{said(float(machine.memory_bytes), 'bytes')} memory"
    return ", ".join(filter(None, (cores, machine.cpu, memory, machine.system, f"Python {machine.python}")))


def settings(report: Report) -> list[tuple[str, str]]:
    """What the run was set to, in the order of the alphabet."""
    return [
        (name, value if isinstance(value, str) else orjson.dumps(value, default=str).decode())
        for name, value in sorted(report.settings.items())
    ]


def plain(value: object) -> str:
    """A text from outside on one line: no control characters, nothing that turns the direction of writing."""
    text = " ".join(str(value).split())
    return "".join("\ufffd" if unicodedata.category(letter) in {"Cc", "Cf", "Cs"} else letter for letter in text)


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
