"""What must hold at the end of every run, whatever its figures. Pure."""

from collections.abc import Mapping, Sequence

from loadtest.crowd.orders import Tick, added
from loadtest.scenarios.counting import unanswered


def about_answers(ticks: Sequence[Tick]) -> list[str]:
    """Calls without a good answer, and sockets that were lost; by the last ticks of all crowds."""
    failures = []
    errors: dict[str, int] = {}
    ended: dict[str, int] = {}
    for tick in ticks:
        errors, ended = added(errors, tick.errors), added(ended, tick.ended)
    if failed := {what: count for what, count in errors.items() if count}:
        failures.append(f"{sum(failed.values()):,} Calls ended in errors: {_listed(failed)}")
    if left := sum(unanswered(tick) for tick in ticks):
        failures.append(f"{left:,} Calls have no answer")
    if dropped := {code: count for code, count in ended.items() if count}:
        failures.append(f"{sum(dropped.values()):,} sockets were dropped, by close code: {_listed(dropped)}")
    if cut_off := sum(tick.cut_off for tick in ticks):
        failures.append(f"{cut_off:,} Calls were cut off before their answer")
    return failures


def about_transactions(
    ticks: Sequence[Tick], before: Mapping[str, int] | None, after: Mapping[str, int] | None
) -> list[str]:
    """Billing data that was lost or doubled: the crowds' last ticks against the store before and after the run."""
    failures = []
    if unconfirmed := sum(tick.unconfirmed for tick in ticks):
        failures.append(f"{unconfirmed:,} transaction messages were never confirmed")
    started, ended = sum(tick.start_confirmed for tick in ticks), sum(tick.stop_confirmed for tick in ticks)
    if before is None:
        return failures
    if after is None:
        return [*failures, "the store did not answer at the end: nobody knows whether it holds what was confirmed"]
    opened_more, ended_more, doubled = (
        after.get(what, 0) - before.get(what, 0) for what in ("open", "ended", "double")
    )
    if ended_more != ended:
        failures.append(f"{ended:,} transactions were confirmed as ended, but the store has {ended_more:,} more")
    if opened_more != started - ended:
        failures.append(f"{started - ended:,} transactions were left open, but the store has {opened_more:,} more")
    if doubled > 0:
        failures.append(f"{doubled:,} transactions are in the store more than once")
    return failures


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{what} {count:,}" for what, count in sorted(counts.items()))
