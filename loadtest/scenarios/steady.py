"""`steady`: an open loop of so many Calls a second, for so long."""

import argparse

from loadtest.scenarios import figures
from loadtest.scenarios.running import Run
from loadtest.scenarios.scenario import Scenario


async def play(run: Run, options: argparse.Namespace) -> None:
    """Every Call has its own time to be sent, and its latency counts from there: a stall is not hidden."""
    async with run.crowd() as crowd:
        await run.put_under_load(crowd, options.rate)
        window = await run.window("steady", options.seconds, crowd)
        figures.tell(run, window, rate=options.rate, limit_p99_ms=options.limit_p99_ms)
        await run.conclude(crowd)


SCENARIO = Scenario(
    name="steady",
    title="Steady load",
    help="A given rate of Calls in an open loop, as a realistic day mix or as one kind; nothing may be lost.",
    play=play,
)
