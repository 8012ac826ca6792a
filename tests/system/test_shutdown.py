"""SIGTERM under load: every Call is answered, or its socket is closed cleanly; the exit code is 0."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.support.systems import running_stack

pytestmark = pytest.mark.system

CLIENTS = 100
GRACE_S = 20


@dataclass
class Talk:
    """What one client lived through."""

    answered: int = 0
    unanswered: int = 0
    close_code: int | None = None


async def talk_until_closed(url: str, number: int, first_answer: asyncio.Event) -> Talk:
    """Send Heartbeats in lockstep until the gateway closes the socket."""
    talk = Talk()
    async with connect(f"{url}/TALK-{number}", subprotocols=[Subprotocol("ocpp1.6")]) as socket:
        try:
            while True:
                talk.unanswered = 1
                await socket.send(orjson.dumps([2, str(talk.answered), "Heartbeat", {}]), text=True)
                kind, unique_id, _ = orjson.loads(await socket.recv())
                assert (kind, unique_id) == (3, str(talk.answered))
                talk.answered += 1
                talk.unanswered = 0
                first_answer.set()
        except ConnectionClosed as closed:
            talk.close_code = closed.rcvd.code if closed.rcvd else None
    return talk


async def test_sigterm_under_load_answers_or_closes_every_call(amqp_url: str, tmp_path: Path) -> None:
    store = f"sqlite+aiosqlite:///{tmp_path}/ocpp.db"
    with running_stack(amqp_url, store, tmp_path, OCPP_GATEWAY_DRAIN_GRACE_SECONDS=str(GRACE_S)) as stack:
        events = [asyncio.Event() for _ in range(CLIENTS)]
        tasks = [
            asyncio.create_task(talk_until_closed(stack.urls[0], number, event)) for number, event in enumerate(events)
        ]
        async with asyncio.timeout(60):
            await asyncio.gather(*(event.wait() for event in events))
        gateway, began = stack.gateways[0], time.monotonic()
        gateway.terminate()
        async with asyncio.timeout(GRACE_S + 5):
            talks = await asyncio.gather(*tasks)
        exit_code = await asyncio.to_thread(gateway.wait, GRACE_S)
        assert exit_code == 0
        assert time.monotonic() - began < GRACE_S
        assert {talk.close_code for talk in talks} == {1001}
        assert all(talk.answered for talk in talks)


async def test_idle_workers_exit_0_on_sigterm(amqp_url: str, tmp_path: Path) -> None:
    with running_stack(amqp_url, f"sqlite+aiosqlite:///{tmp_path}/ocpp.db", tmp_path) as stack:
        for worker in stack.workers.values():
            worker.terminate()
        codes = [await asyncio.to_thread(worker.wait, 15) for worker in stack.workers.values()]
        assert codes == [0, 0, 0, 0]
