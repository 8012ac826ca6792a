"""`storm`: everybody loses the connection at once, and comes back."""

import argparse
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from enum import StrEnum
from typing import Any

from loadtest.crowd.orders import Load
from loadtest.parsing import number
from loadtest.scenarios import beside
from loadtest.scenarios.counting import unanswered
from loadtest.scenarios.recovering import Answers, Return, inflict, need, strike, tell_refused, tell_return
from loadtest.scenarios.running import Run
from loadtest.scenarios.scenario import Scenario
from loadtest.scenarios.system import Fault, SystemFailed
from loadtest.scenarios.watching import Watched


class How(StrEnum):
    """What makes them lose it."""

    GATEWAY_KILLED = "gateway-killed"
    BROKER_RESTART = "broker-restart"
    POWER_CUT = "power-cut"


async def play(run: Run, options: argparse.Namespace) -> None:
    """A quiet stretch, the fault, and the curve of recovery, while others work on."""
    how = How(options.how)
    if how is How.BROKER_RESTART:
        await _broker_restart(run, options)
        return
    where = _where(run, how)
    async with AsyncExitStack() as living:
        others = await living.enter_async_context(beside.crowd(run, where.get("fallback_urls")))
        crowd = await living.enter_async_context(run.crowd(**where))
        await run.settle(others)
        await run.settle(crowd)
        await others.load(beside.load(run, options.kind))
        await crowd.load(Load(kind=options.kind, rate=options.rate))
        await crowd.pause(options.warm_up_seconds)
        run.tell.say(f"quiet: measuring for {options.seconds:.0f} s")
        with others.gathering() as gathered:
            await others.pause(options.seconds)
        quiet = gathered.counts()
        before, curve = crowd.latest, Return(crowd.latest)
        stretch = await run.begin("storm", crowd)
        with others.gathering() as gathered:
            await strike(run, crowd, curve, _harm(run, crowd, how), options.recovery_seconds)
        storm = await stretch.end()
        tell_return(run, curve, options.limit_recovery_seconds)
        tell_refused(run, before, crowd.latest)
        beside.tell(run, quiet, gathered.counts(), "the storm")
        _tell_harm(run, storm.counts.cut_off, sum(storm.counts.errors.values()))
        run.report.stages = storm.stages
        run.report.generator_limited = beside.limited(storm.counts, gathered.counts())
        await run.conclude(crowd, others, faultless=False)
        beside.judge(run, others)
        _judge(run, crowd)


async def _broker_restart(run: Run, options: argparse.Namespace) -> None:
    """No gateway is spared, so there are no others; sockets should outlive it, and everything be answered again."""
    need(run, Fault.RESTART_BROKER)
    async with run.crowd() as crowd:
        await run.put_under_load(crowd, options.rate)
        quiet = await run.window("quiet", options.seconds, crowd)
        before, curve = crowd.latest, Answers(crowd.latest, quiet.counts.per_second)
        stretch = await run.begin("outage", crowd)
        harm = inflict(run, Fault.RESTART_BROKER)
        took = await strike(run, crowd, curve, harm, options.recovery_seconds, from_end=True)
        outage = await stretch.end()
        run.figure(
            "recovery_s", curve.seconds, "s", title="Until Calls were answered as before, from the broker's return",
            at_most=options.limit_recovery_seconds, better="less",
        )  # fmt: skip
        run.figure("outage_s", took, "s", title="The same from the begin of the restart", better="less")
        run.figure("silent_s", curve.silent_s, "s", title="Time in which hardly a Call was answered", better="less")
        lost = sum(outage.counts.ended.values())
        run.figure("sockets_lost", lost, "count", title="Connections that the outage cost", better="less")
        tell_refused(run, before, crowd.latest)
        _tell_harm(run, outage.counts.cut_off, sum(outage.counts.errors.values()))
        run.report.stages = outage.stages
        run.report.generator_limited = beside.limited(outage.counts)
        await run.conclude(crowd, faultless=False)
        _judge(run, crowd)


def _where(run: Run, how: How) -> dict[str, Any]:
    """Where the crowd lives, and where it goes."""
    if how is How.POWER_CUT:
        return {}
    need(run, Fault.KILL_GATEWAY)
    first, *survivors = run.urls
    if not survivors:
        raise SystemFailed("gateway-killed needs the endpoint of each of several gateways; the first is killed")
    return {"urls": (first,), "fallback_urls": tuple(survivors)}


def _harm(run: Run, crowd: Watched, how: How) -> Awaitable[None]:
    return _cut(run, crowd) if how is How.POWER_CUT else inflict(run, Fault.KILL_GATEWAY)


async def _cut(run: Run, crowd: Watched) -> None:
    run.moment("power cut")
    await crowd.cut()


def _tell_harm(run: Run, cut_off: int, errors: int) -> None:
    run.figure("cut_off", cut_off, "count", title="Calls cut off before their answer", better="less")
    run.figure("errors", errors, "count", title="Calls that ended in an error or a timeout", better="less")


def _judge(run: Run, crowd: Watched) -> None:
    """Calls may be cut off or fail in a storm, but each has an end; `conclude` has seen to the billing data."""
    if left := unanswered(crowd.latest):
        run.fail(f"{left:,} Calls have no answer")


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add its own arguments."""
    add = parser.add_argument_group("storm").add_argument
    add("--how", choices=[how.value for how in How], default=How.GATEWAY_KILLED.value,
        help="what happens; of a power cut all who lose their connection boot again (%(default)s)")  # fmt: skip
    add("--recovery-seconds", type=number(1, 86_400), default=300.0, metavar="S",
        help="to wait for everybody to be back (%(default)s)")  # fmt: skip
    add("--limit-recovery-seconds", type=number(1, 86_400), default=60.0, metavar="S",
        help="in which they have to be (%(default)s)")  # fmt: skip
    beside.add_to(parser)


SCENARIO = Scenario(
    name="storm",
    title="Reconnect storm",
    help="A gateway is killed, the broker restarts, or a city loses power: everybody comes back at once.",
    play=play,
    defaults={"charge_points": 5000, "rate": 200.0, "seconds": 15.0, "ramp": 400.0},
    add_to=add_to,
)
