"""`idle`: many sockets that only send Heartbeats, and what one of them holds."""

import argparse

from loadtest.scenarios import figures, memory
from loadtest.scenarios.running import Run
from loadtest.scenarios.scenario import Scenario


async def play(run: Run, options: argparse.Namespace) -> None:
    """Connect and boot all, let them beat, count who stays."""
    async with memory.warmed(run) as before, run.crowd() as crowd:
        took = await run.settle(crowd)
        stretch = await run.begin("idle", crowd)
        await crowd.pause(options.seconds)
        after = await memory.gateway_bytes(run)
        window = await stretch.end()
        count, counts = crowd.charge_points, window.counts
        run.figure("sockets", counts.least_connected, "count", title="Sockets held all the time", at_least=count)
        run.figure("booted", counts.least_booted, "count", title="Of them booted", at_least=count)
        run.figure(
            "connects_per_second", count / took, "connects/s", title="Connected and booted a second", better="more"
        )
        each = memory.kb_per_connection(before, after, count)
        run.figure(
            "gateway_kb_per_connection", each, "KB", title="Gateway memory per idle socket", better="less",
            at_most=memory.limit_kb(run) if memory.expected(run) else None,
            note="" if each is not None else "not all gateways told their memory: give --metrics of each",
        )  # fmt: skip
        run.figure("heartbeats_per_second", counts.per_second, "Calls/s", title="Heartbeats answered a second")
        run.figure("p99_ms", counts.quantile_ms(0.99), "ms", title="Latency, p99", better="less",
                   at_most=options.limit_p99_ms if counts.answered else None)  # fmt: skip
        figures.tell_costs(run, window)
        run.report.generator_limited = counts.generator_limited
        run.report.stages = window.stages
        await run.conclude(crowd)


SCENARIO = Scenario(
    name="idle",
    title="Idle sockets",
    help="As many sockets as asked, booted and heartbeating: none may drop; memory of the gateway for each.",
    play=play,
    defaults={"charge_points": 10_000, "kind": "heartbeat", "heartbeat_seconds": 60.0, "settle_seconds": 600.0},
)
