"""Two reports of the same scenario beside each other: what became better, what became worse, what is only noise."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import copysign, inf, isinf
from typing import Final, Literal

from loadtest.report.markdown import escaped, table
from loadtest.report.model import Figure, Report
from loadtest.report.wording import limit, measured, number, settings, title

Judgement = Literal["better", "worse", "same", "changed", "new", "gone"]
"""`same`: within the tolerance; `changed`: past it, where neither way is better; `gone`: no longer measured."""

_RUN_ONLY: Final = frozenset({"report", "began"})
"""Settings that say nothing about what was measured."""


@dataclass(frozen=True)
class Change:
    """One figure then and now."""

    old: Figure | None
    new: Figure | None
    share: float | None
    """Of the old value; None where one of them is missing, infinite where the old one was zero."""
    judgement: Judgement
    worsened: bool


@dataclass(frozen=True)
class Comparison:
    """All figures of two runs, what else became worse, and why they may not be comparable."""

    old: Report
    new: Report
    tolerance: float
    """A share: 0.1 is 10 %."""
    changes: Sequence[Change]
    worsened: Sequence[str]
    """What became worse beside the figures."""
    warnings: Sequence[str]

    @property
    def exit_code(self) -> int:
        """1 when anything became worse."""
        return 1 if self.worsened or any(change.worsened for change in self.changes) else 0

    def text(self) -> str:
        """A Markdown table that is readable as it stands, with what is to be known before and after it."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield f"{escaped(self.new.scenario)}: {escaped(self.old.began)} against {escaped(self.new.began)}"
        yield ""
        yield from (f"- Warning: {escaped(warning)}" for warning in self.warnings)
        yield from ("",) if self.warnings else ()
        yield from table(("Figure", ">Old", ">New", ">Change", "Judgement", "Asked"), map(_row, self.changes))
        yield ""
        yield from (f"- Worse: {escaped(what)}" for what in self.worsened)
        count = sum(change.worsened for change in self.changes)
        figures = "1 figure is" if count == 1 else f"{count or 'no'} figures are"
        yield f"{figures[0].upper()}{figures[1:]} worse by more than {number(self.tolerance * 100)} %."


def compare(old: Report, new: Report, tolerance: float = 0.1) -> Comparison:
    """Judge every figure by the way that is better for it; ValueError when the runs are of different scenarios.

    A figure that was measured and is no longer counts as worse: a gate that lost its figure holds nothing back.
    """
    if old.scenario != new.scenario:
        raise ValueError(f"a run of {old.scenario!r} and one of {new.scenario!r} cannot be compared")
    pairs: dict[str, tuple[Figure | None, Figure | None]] = {each.name: (None, each) for each in new.figures}
    pairs |= {each.name: (each, new.figure(each.name)) for each in old.figures}
    fell = new.verdict == "failed" and old.verdict != "failed"
    worsened = [f"the verdict was {old.verdict!r} and is {new.verdict!r}", *new.failures] if fell else []
    return Comparison(
        old=old, new=new, tolerance=tolerance,
        changes=[_change(before, after, tolerance) for before, after in pairs.values()],
        worsened=worsened, warnings=list(_warnings(old, new, tolerance)),
    )  # fmt: skip


def _change(old: Figure | None, new: Figure | None, tolerance: float) -> Change:
    before, after = (None if each is None else each.value for each in (old, new))
    way = better(new) or better(old)
    if before is None:
        return Change(old, new, None, "same" if after is None else "new", worsened=False)
    if after is None:
        return Change(old, new, None, "gone", worsened=bool(way))
    more = after - before
    share = more / abs(before) if before else copysign(inf, more) if more else 0.0
    if abs(share) <= tolerance:
        return Change(old, new, share, "same", worsened=False)
    if not way:
        return Change(old, new, share, "changed", worsened=False)
    improved = (share > 0) == (way == "more")
    return Change(old, new, share, "better" if improved else "worse", worsened=not improved)


def better(figure: Figure | None) -> Literal["more", "less", ""]:
    """Which way is better for a figure: as it says, or else as its limit does."""
    if figure is None:
        return ""
    if figure.better or (figure.at_most is None) == (figure.at_least is None):
        return figure.better
    return "less" if figure.at_most is not None else "more"


def _warnings(old: Report, new: Report, tolerance: float) -> Iterator[str]:
    machines = (asdict(old.machine), asdict(new.machine))
    for what, value in machines[0].items():
        if value != machines[1][what]:
            yield f"another machine: {what} was {value} and is {machines[1][what]}"
    before, after = dict(settings(old)), dict(settings(new))
    for name in sorted((before.keys() | after.keys()) - _RUN_ONLY):
        if before.get(name) != after.get(name):
            yield f"another setting: {name} was {before.get(name, 'not set')} and is {after.get(name, 'not set')}"
    theirs = {(anchor.name, anchor.unit): anchor.value for anchor in old.anchors}
    for anchor in new.anchors:
        was = theirs.get((anchor.name, anchor.unit))
        if was and abs(anchor.value - was) / abs(was) > tolerance:
            values = f"was {number(was)} and is {number(anchor.value)} ({anchor.unit})"
            yield f"the machine itself changed: {anchor.name} {values}"
    for age, report in (("old", old), ("new", new)):
        if report.generator_limited:
            yield f"the generator was the bottleneck of the {age} run: {report.generator_limited}"


def _row(change: Change) -> tuple[str, ...]:
    if change.share is None:
        share = ""
    elif isinf(change.share):
        share = "from 0"
    else:
        share = f"{'+' if change.share > 0 else ''}{number(change.share * 100, 2)} %"
    word = f"**{change.judgement}**" if change.worsened else change.judgement
    names, values, asked = zip(*(_cells(each) for each in (change.new, change.old)), strict=True)
    return (names[0] or names[1], values[1], values[0], share, word, asked[0] or asked[1])


def _cells(figure: Figure | None) -> tuple[str, str, str]:
    if figure is None:
        return ("", "", "")
    return (escaped(title(figure)), escaped(measured(figure)), escaped(limit(figure)))
