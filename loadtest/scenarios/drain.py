"""`drain`: each gateway in turn is ended politely and started again, under load."""

import argparse

from loadtest.parsing import number
from loadtest.scenarios import beside
from loadtest.scenarios.counting import unanswered
from loadtest.scenarios.recovering import Return, inflict, strike, tell_away, tell_refused
from loadtest.scenarios.running import Run
from loadtest.scenarios.scenario import Scenario
from loadtest.scenarios.system import Fault

CLEAN = frozenset({"1000", "1001", "1012"})
"""Close codes by which a charge point knows that it is to come back: normal, going away, service restart."""


async def play(run: Run, options: argparse.Namespace) -> None:
    """Every Call is answered or its socket is closed cleanly, and no transaction is lost."""
    async with run.crowd() as crowd:
        await run.put_under_load(crowd, options.rate)
        quiet = await run.window("quiet", options.seconds, crowd)
        before, curve = crowd.latest, Return(crowd.latest)
        stretch = await run.begin("rolling restart", crowd)
        harm = inflict(run, Fault.RESTART_GATEWAYS)
        took = await strike(run, crowd, curve, harm, options.recovery_seconds)
        drain = await stretch.end()
        counts = drain.counts
        run.figure("restart_s", took, "s", title="The rolling restart, until all were back", better="less")
        tell_away(run, curve)
        tell_refused(run, before, crowd.latest)
        moved = sum(counts.ended.values())
        run.figure("sockets_moved", moved, "count", title="Connections that the restart closed", better="less")
        run.figure("p99_quiet_ms", quiet.counts.quantile_ms(0.99), "ms", title="Latency before, p99", better="less")
        run.figure("p99_ms", counts.quantile_ms(0.99), "ms", title="Latency during it, p99", better="less")
        run.report.stages = drain.stages
        run.report.generator_limited = beside.limited(counts)
        await run.conclude(crowd, faultless=False)
        last = crowd.latest
        cut_off = last.cut_off - before.cut_off
        run.figure("cut_off", cut_off, "count", title="Calls whose socket closed before their answer", better="less")
        unclean = sum(count for code, count in last.ended.items() if code not in CLEAN)
        run.figure("unclean_closes", unclean, "count", title="Sockets closed without a clean close code", at_most=0)
        errors = sum(last.errors.values())
        run.figure("errors", errors, "count", title="Calls that ended in an error or a timeout", at_most=0)
        run.figure("unanswered", unanswered(last), "count", title="Calls with neither answer nor close", at_most=0)
        for what, count in sorted(last.errors.items()):
            run.report.notes.append(f"{count:,} Calls ended with {what}")


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add its own arguments."""
    parser.add_argument(
        "--recovery-seconds", type=number(1, 86_400), default=300.0, metavar="S",
        help="for all gateways to be restarted and everybody to be back (%(default)s)",
    )  # fmt: skip


SCENARIO = Scenario(
    name="drain",
    title="Rolling restart of the gateways",
    help="All gateways are restarted one after the other under load; nothing may be lost.",
    play=play,
    defaults={"rate": 500.0, "seconds": 15.0},
    add_to=add_to,
    faults=frozenset({Fault.RESTART_GATEWAYS}),
)
