"""More Calls than workers can answer. Real broker, real sockets."""

import asyncio
from collections import Counter

from websockets.asyncio.client import ClientConnection

from contracts.envelope import CallEnvelope, ReplyEnvelope
from tests.gateway.station import call, plug_in
from tests.gateway.worker import TinyWorker

CHARGE_POINTS = 80
SERVICE_S = 0.05
TIMEOUT_S = 2.0
"""Half of what it takes to answer all of them once."""
IN_HAND = 8
PILED_UP, MEASURED = 60, 80


async def test_what_a_worker_takes_under_overload_is_still_answered_in_time(start_gateway, amqp_url):
    answered: Counter[int] = Counter()

    async def call_again_and_again(station: ClientConnection) -> None:
        while True:
            answered[(await call(station, "b", "Heartbeat"))[0]] += 1

    one_at_a_time = asyncio.Lock()

    async def slowly(_: CallEnvelope) -> ReplyEnvelope:
        async with one_at_a_time:
            await asyncio.sleep(SERVICE_S)
        return ReplyEnvelope(payload=b"{}")

    async with TinyWorker(amqp_url, prefetch=IN_HAND) as worker:
        worker.answer = slowly
        gateway = await start_gateway(call_timeout_seconds=TIMEOUT_S)
        stations = [await plug_in(gateway, f"CP-{number}") for number in range(CHARGE_POINTS)]
        busy = [asyncio.create_task(call_again_and_again(station)) for station in stations]
        try:
            await worker.until(lambda: len(worker.seen) >= PILED_UP, 60)
            before = answered[3]
            await worker.until(lambda: len(worker.seen) >= PILED_UP + MEASURED, 60)
            assert answered[3] - before > MEASURED / 2
            assert answered[4] > 0, "there was no overload"
        finally:
            for task in busy:
                task.cancel()
            await asyncio.gather(*busy, return_exceptions=True)
            for station in stations:
                await station.close()
