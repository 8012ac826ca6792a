"""What a direct command costs beyond the broker's own hops: `make bench-commands`.

Both ways are measured in turns, one command at a time, so that whatever else the machine does meets both alike.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import uvloop

from contracts.bodies import ContentType
from contracts.client import CommandClient
from contracts.commands import CommandOutcome, CommandRequest
from tools.bench.bare_hops import bare_hops
from tools.bench.sockets import Crowd
from tools.nodes import broker_for
from tools.stack import ROOT, Stack

ROUNDS = 10
STATIONS = 20


async def measure(stack: Stack, amqp_url: str, count: int) -> tuple[list[float], list[float]]:
    """Seconds of each command, and of each bare round trip."""
    crowd = Crowd([f"BENCH-{number}" for number in range(STATIONS)], stack.urls[0])
    crowd.start()
    request = CommandRequest(command_id="0" * 36, action="TriggerMessage", deadline_ms=0)
    body = request.encode(ContentType.MSGPACK)
    commands: list[float] = []
    hops: list[float] = []
    try:
        await asyncio.wait_for(crowd.all_open(), 30)
        async with CommandClient(amqp_url) as client:
            async with asyncio.timeout(30):
                for number in range(STATIONS):
                    while not (await _command(client, number)).ok:  # its session is not announced yet
                        pass
            for _ in range(ROUNDS):
                commands += [await _call(client, number) for number in range(count // ROUNDS)]
                hops += await bare_hops(amqp_url, body, count // ROUNDS)
    finally:
        await crowd.close()
    return commands, hops


async def _call(client: CommandClient, number: int) -> float:
    began = perf_counter()
    outcome = await _command(client, number)
    seconds = perf_counter() - began
    if not outcome.ok:
        raise SystemExit(f"a command ended {outcome.outcome}: {outcome.reason}")
    return seconds


async def _command(client: CommandClient, number: int) -> CommandOutcome:
    identity = f"BENCH-{number % STATIONS}"
    return await client.call(identity, "TriggerMessage", {"requestedMessage": "Heartbeat"}, timeout_s=10)


def _line(name: str, seconds: Sequence[float]) -> str:
    cuts = statistics.quantiles(seconds, n=100)
    return f"{name:28} median {cuts[49] * 1000:6.2f} ms   p90 {cuts[89] * 1000:6.2f} ms   p99 {cuts[98] * 1000:6.2f} ms"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="make bench-commands", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="commands, and as many bare round trips")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=ROOT / ".dev") as folder:
        broker = broker_for(Path(folder) / "rabbit")
        try:
            broker.start()
            stack = Stack(
                amqp_url=broker.amqp_url,
                database_url=f"sqlite+aiosqlite:///{folder}/ocpp.db",
                logs=Path(folder) / "logs",
            )
            try:
                stack.migrate()
                stack.start()
                commands, hops = uvloop.run(measure(stack, broker.amqp_url, options.count))
            finally:
                stack.stop()
        finally:
            broker.discard()
    print(f"{len(commands)} direct commands, one at a time; the charge point answers at once")
    print(_line("command, backend to backend", commands))
    print(_line("the same broker hops alone", hops))
    print(f"overhead of the median: {(statistics.median(commands) - statistics.median(hops)) * 1000:.2f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
