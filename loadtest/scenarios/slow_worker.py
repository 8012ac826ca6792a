"""`slow-worker`: metering becomes slow; nobody else may suffer, and nothing be lost."""

import argparse
import asyncio
from contextlib import AsyncExitStack

from loadtest.crowd.conductor import CrowdTick
from loadtest.crowd.orders import Load
from loadtest.parsing import number
from loadtest.scenarios import beside
from loadtest.scenarios.counting import unanswered
from loadtest.scenarios.recovering import inflict
from loadtest.scenarios.running import Run
from loadtest.scenarios.scenario import Scenario
from loadtest.scenarios.system import Fault
from loadtest.scenarios.watching import RunFailed, Watched

_SAMPLES = 3
_LITTLE_S = 0.2


async def play(run: Run, options: argparse.Namespace) -> None:
    """The crowd charges; the others send Heartbeats, which another service answers.

    They are charge points of their own, since one that waits for metering's answer cannot send another Call meanwhile.
    """
    async with AsyncExitStack() as living:
        others = await living.enter_async_context(beside.crowd(run))
        crowd = await living.enter_async_context(run.crowd())
        await run.settle(others)
        await run.settle(crowd)
        await others.load(beside.load(run, "heartbeat"))
        await crowd.load(Load(kind=options.kind, rate=options.rate))
        await crowd.pause(options.warm_up_seconds)
        with others.gathering() as gathered:
            quiet = await run.window("quiet", options.seconds, crowd)
        calm = gathered.counts()
        usual = await _usual(crowd, options.rate)
        try:
            await inflict(run, Fault.SLOW_WORKER)
            with others.gathering() as gathered:
                slow = await run.window("slow", options.slow_seconds, crowd)
        finally:
            await asyncio.shield(inflict(run, Fault.HEAL_WORKER))
        left = backlog(crowd.latest)
        drained = await _drained(run, crowd, usual, options.recovery_seconds)
        run.figure("p99_quiet_ms", quiet.counts.quantile_ms(0.99), "ms", title="p99 of charging, quiet", better="less")
        run.figure("p99_slow_ms", slow.counts.quantile_ms(0.99), "ms", title="p99 of charging, slowed", better="less")
        beside.tell(run, calm, gathered.counts(), "the slowness")
        run.figure("backlog", left, "count", title="Calls due or without an answer when it was over", better="less")
        run.figure(
            "backlog_drained_s", drained, "s", title="Until that was worked off",
            at_most=options.recovery_seconds, better="less",
        )  # fmt: skip
        run.report.stages = slow.stages
        run.report.generator_limited = beside.limited(slow.counts, gathered.counts())
        await run.conclude(crowd, others, faultless=False)
        beside.judge(run, others)
        _judge(run, crowd)


def backlog(tick: CrowdTick) -> int:
    """Calls that are due and not sent, or sent and not answered."""
    return tick.waiting + unanswered(tick)


async def _usual(crowd: Watched, rate: float) -> float:
    """As much of it as there is when nothing is wrong."""
    seen = [backlog(await crowd.tick()) for _ in range(_SAMPLES)]
    return max(*seen, rate * _LITTLE_S)


async def _drained(run: Run, crowd: Watched, usual: float, limit_s: float) -> float | None:
    what = f"no more than {usual:,.0f} Calls without an answer"
    try:
        seconds = await crowd.until(lambda tick: backlog(tick) <= usual, limit_s, what)
    except RunFailed as failure:
        run.fail(str(failure))
        return None
    run.moment("the backlog is worked off")
    return seconds


def _judge(run: Run, crowd: Watched) -> None:
    """Calls may time out, and billing data is sent again then; sockets are not lost by it."""
    last = crowd.latest
    run.figure("errors", sum(last.errors.values()), "count", title="Calls that ended in an error or a timeout")
    if lost := sum(count for code, count in last.ended.items() if code != "1000"):
        run.fail(f"{lost:,} sockets were dropped")
    if left := unanswered(last):
        run.fail(f"{left:,} Calls have no answer")


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add its own arguments."""
    add = parser.add_argument_group("slow worker").add_argument
    add("--slow-seconds", type=number(1, 86_400), default=20.0, metavar="S",
        help="for which metering is slow (%(default)s)")  # fmt: skip
    add("--recovery-seconds", type=number(1, 86_400), default=120.0, metavar="S",
        help="for the backlog to be worked off after it (%(default)s)")  # fmt: skip
    beside.add_to(parser)


SCENARIO = Scenario(
    name="slow-worker",
    title="A slow worker",
    help="Metering becomes slow: other actions must stay quick, and its backlog be worked off without loss.",
    play=play,
    defaults={"rate": 500.0, "seconds": 15.0},
    add_to=add_to,
    faults=frozenset({Fault.SLOW_WORKER, Fault.HEAL_WORKER}),
)
