"""How a crowd comes back after a fault: the curve, told by its ticks, and the wait for its end."""

import asyncio
from collections.abc import Awaitable, Sequence
from math import ceil
from time import monotonic
from typing import Protocol

from loadtest.crowd.conductor import CrowdTick
from loadtest.report.model import Figure
from loadtest.scenarios.running import Run
from loadtest.scenarios.system import Fault, SystemFailed
from loadtest.scenarios.watching import RunFailed, Watched

SHARES = (0.5, 0.9, 0.99, 1.0)


class Curve(Protocol):
    """What has to come about after a fault."""

    what: str

    def add(self, tick: CrowdTick, since_s: float) -> bool:
        """Take up a second, so long after the fault; whether all is well again."""


class Return:
    """Everybody lost the connection, and has one again and is registered. Pure."""

    def __init__(self, before: CrowdTick) -> None:
        self.what = f"all {before.charge_points:,} back"
        self.reached: dict[float, float] = {}
        """By share of the crowd: the seconds until it was back."""
        self.most_per_s = 0.0
        """Connections opened in the busiest second."""
        self.longest_away_s = 0.0
        self._before = self._last = before

    def add(self, tick: CrowdTick, since_s: float) -> bool:
        """Count who has opened a connection since; of those that are there now, nobody knows which they are."""
        last, self._last = self._last, tick
        if tick.at > last.at:
            self.most_per_s = max(self.most_per_s, (tick.opened - last.opened) / (tick.at - last.at))
        self.longest_away_s = max(self.longest_away_s, tick.longest_away_s)
        if since_s < 0:
            return False
        back = min(tick.opened - self._before.opened, tick.connected, tick.booted)
        for share in SHARES:
            if back >= ceil(share * tick.charge_points):
                self.reached.setdefault(share, since_s)
        return back >= tick.charge_points


class Answers:
    """Everybody is there, and as many Calls a second are answered as before. Pure."""

    _ENOUGH = 0.8

    def __init__(self, before: CrowdTick, per_s: float) -> None:
        self.what = "all connected, and Calls answered as before"
        self.seconds: float | None = None
        """From the fault until it was so."""
        self.silent_s = 0.0
        """Seconds in which less than a tenth was answered."""
        self._wanted = self._ENOUGH * per_s
        self._last = before

    def add(self, tick: CrowdTick, since_s: float) -> bool:
        """Count the silence, and see whether this is the second that ends it."""
        last, self._last = self._last, tick
        seconds = tick.at - last.at
        if seconds <= 0:
            return False
        rate = (sum(tick.answers.values()) - sum(last.answers.values())) / seconds
        if rate < self._wanted / 10:
            self.silent_s += seconds
        if since_s < 0 or rate < self._wanted or not tick.connected == tick.booted == tick.charge_points:
            return False
        self.seconds = since_s
        return True


async def inflict(run: Run, fault: Fault) -> None:
    """Have it done, from a thread, and note when; SystemFailed when it cannot be."""
    run.moment(fault.replace("-", " "))
    await asyncio.to_thread(run.system.inflict, fault)


async def strike(
    run: Run, crowd: Watched, curve: Curve, fault: Awaitable[None], limit_s: float, *, from_end: bool = False
) -> float | None:
    """Do the harm and watch until the curve is at its end; the seconds since, or None when that took too long.

    They count from the begin of the fault, or `from_end`: only then can things get well again.
    """
    began = monotonic()
    striking = asyncio.ensure_future(fault)
    done_at = began if not from_end else float("inf")

    def over(tick: CrowdTick) -> bool:
        nonlocal done_at
        if from_end and striking.done():
            done_at = min(done_at, monotonic())
        well = curve.add(tick, tick.at - done_at)
        return striking.done() and (striking.exception() is not None or well)

    try:
        await crowd.until(over, limit_s, curve.what)
    except RunFailed as failure:
        run.fail(str(failure))
        return None
    finally:
        if not striking.done():
            striking.cancel()
    await striking
    run.moment(curve.what)
    return crowd.latest.at - began


def need(run: Run, fault: Fault) -> None:
    """SystemFailed when it cannot be inflicted on the system."""
    if fault not in run.system.faults:
        raise SystemFailed(f"{fault} cannot be done to this system: give --fault {fault}=COMMAND")


def tell_return(run: Run, curve: Return, limit_s: float) -> None:
    """Put the curve into the report."""
    for share in SHARES[:-1]:
        run.figure(
            f"recovery_{share:.0%}_s".replace("%", ""), curve.reached.get(share), "s",
            title=f"Until {share:.0%} were back", better="less",
        )  # fmt: skip
    run.figure(
        "recovery_s", curve.reached.get(SHARES[-1]), "s",
        title="Until all were connected and booted again", at_most=limit_s, better="less",
    )  # fmt: skip
    tell_away(run, curve)


def tell_away(run: Run, curve: Return) -> None:
    """Put into the report how many came back at a time, and who was away for longest."""
    run.figure("reconnects_per_second", curve.most_per_s, "count", title="Connections in the busiest second")
    run.figure("longest_away_s", curve.longest_away_s, "s", title="Longest without a connection", better="less")


def tell_refused(run: Run, before: CrowdTick, after: CrowdTick) -> Sequence[Figure]:
    """Put into the report how often connections did not come about, and whether that lasted longer than was said."""
    told = [
        run.figure(f"refused_{why}", count - before.refused.get(why, 0), "count", title=f"Connections refused: {why}")
        for why, count in sorted(after.refused.items())
        if count > before.refused.get(why, 0)
    ]
    outlasted = after.outlasted - before.outlasted
    title = "Retries refused although their Retry-After had passed"
    return [*told, run.figure("outlasted", outlasted, "count", title=title, at_most=0, better="less")]
