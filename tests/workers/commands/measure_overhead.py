"""What the commands service adds to a command: `python -m tests.workers.commands.measure_overhead`.

Against a scripted gateway that answers at once, one command at a time and then many at once; the bare hops are the same
gateway asked by its own queue.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from contracts import topology
from contracts.envelope import CommandEnvelope
from tests.support.commanding import CommandCaller, command_caller_on
from tests.support.scripted_gateway import ScriptedGateway, gateway_on
from tools.nodes import broker_for
from tools.stack import Stack

COUNT = 2000
SIDE_BY_SIDE = 100


async def timed(ask: Callable[[int], Awaitable[None]], side_by_side: int) -> tuple[list[float], float]:
    """Milliseconds of each, and how many a second."""
    took: list[float] = []
    numbers = iter(range(COUNT))

    async def one_after_the_other() -> None:
        for number in numbers:
            began = time.perf_counter()
            await ask(number)
            took.append((time.perf_counter() - began) * 1000)

    began = time.perf_counter()
    await asyncio.gather(*(one_after_the_other() for _ in range(side_by_side)))
    return took, COUNT / (time.perf_counter() - began)


def show(name: str, took: list[float], rate: float) -> None:
    cuts = statistics.quantiles(took, n=100)
    print(f"{name:32} median {cuts[49]:7.2f} ms   p99 {cuts[98]:7.2f} ms   {rate:6.0f}/s")


async def measure(amqp_url: str) -> None:
    identities = [f"CP-{number}" for number in range(1000)]
    async with gateway_on(amqp_url, *identities, heartbeat_s=1) as gateway, command_caller_on(amqp_url) as caller:
        waiting: dict[str, asyncio.Future[None]] = {}

        def delivered(delivery) -> None:
            waiting.pop(delivery.correlation_id).set_result(None)

        caller.delivered = delivered  # type: ignore[method-assign]
        for side_by_side in (1, SIDE_BY_SIDE):
            for name, ask in (("bare", bare), ("through the service", through)):

                async def one(number: int, ask=ask) -> None:
                    identity = identities[number % len(identities)]
                    answer = asyncio.get_running_loop().create_future()
                    waiting[ask(caller, gateway, identity)] = answer
                    await answer

                show(f"{name}, {side_by_side} at a time", *await timed(one, side_by_side))


def bare(caller: CommandCaller, gateway: ScriptedGateway, identity: str) -> str:
    """Ask the gateway itself."""
    command_id = str(time.perf_counter_ns())
    command = CommandEnvelope(command_id, identity, "Reset", b'{"type":"Soft"}', int(time.time() * 1000) + 20_000)
    caller.link.publish(
        topology.GATEWAYS,
        gateway.name,
        command.encode(),
        mandatory=True,
        correlation_id=command_id,
        reply_to=caller.link.reply_queue,
    )
    return command_id


def through(caller: CommandCaller, _: ScriptedGateway, identity: str) -> str:
    """Ask the commands service."""
    return caller.ask(identity)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        broker = broker_for(Path(folder) / "rabbit")
        try:
            broker.start()
            database = f"sqlite+aiosqlite:///{folder}/ocpp.db"
            stack = Stack(amqp_url=broker.amqp_url, database_url=database, logs=Path(folder) / "logs")
            stack.migrate()
            service = stack.workers["commands"]
            service.start()
            try:
                service.await_ready()
                asyncio.run(measure(broker.amqp_url))
            finally:
                service.release()
        finally:
            broker.discard()


if __name__ == "__main__":
    main()
