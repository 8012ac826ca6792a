"""SIGTERM under load: every Call is answered, or its socket is closed cleanly; the exit code is 0."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import select
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.support.systems import running_stack
from tools.stack import SERVICES
from workers.store.engine import Store
from workers.store.tables import meter_samples

pytestmark = pytest.mark.system

CLIENTS = 60
WARM_UP = 10
GRACE_S = 20


@dataclass
class Talk:
    """What one client lived through; every second client sends billing data."""

    identity: str
    billing: bool
    answered: int = 0
    close_code: int | None = None

    def next_call(self) -> tuple[str, dict[str, Any]]:
        if not self.billing:
            return "Heartbeat", {}
        stamp, reading = moment(self.answered).isoformat(), {"value": str(self.answered)}
        return "MeterValues", {"connectorId": 1, "meterValue": [{"timestamp": stamp, "sampledValue": [reading]}]}


def moment(number: int) -> datetime:
    """When a client's sample of that number was taken."""
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)


async def talk_until_closed(url: str, talk: Talk, warm: asyncio.Event) -> None:
    """Send Calls in lockstep until the gateway closes the socket."""
    async with connect(f"{url}/{talk.identity}", subprotocols=[Subprotocol("ocpp1.6")]) as socket:
        try:
            while True:
                action, payload = talk.next_call()
                await socket.send(orjson.dumps([2, str(talk.answered), action, payload]), text=True)
                kind, unique_id, _ = orjson.loads(await socket.recv())
                assert (kind, unique_id) == (3, str(talk.answered))
                talk.answered += 1
                if talk.answered >= WARM_UP:
                    warm.set()
        except ConnectionClosed as closed:
            talk.close_code = closed.rcvd.code if closed.rcvd else None


async def stored_samples(database_url: str) -> dict[str, list[datetime]]:
    store = Store(database_url)
    async with store.transaction(read_only=True) as transaction:
        rows = await transaction.rows(select(meter_samples.c.identity, meter_samples.c.sampled_at))
    await store.close()
    found: dict[str, list[datetime]] = {}
    for identity, sampled_at in sorted(map(tuple, rows)):
        found.setdefault(identity, []).append(sampled_at)
    return found


async def test_sigterm_under_load_answers_or_closes_every_call_and_stores_what_it_answered(
    amqp_url: str, tmp_path: Path
) -> None:
    database_url = f"sqlite+aiosqlite:///{tmp_path}/ocpp.db"
    with running_stack(amqp_url, database_url, tmp_path, OCPP_GATEWAY_DRAIN_GRACE_SECONDS=str(GRACE_S)) as stack:
        talks = [Talk(f"TALK-{number}", billing=number % 2 == 0) for number in range(CLIENTS)]
        events = [asyncio.Event() for _ in talks]
        tasks = [
            asyncio.create_task(talk_until_closed(stack.urls[0], talk, event))
            for talk, event in zip(talks, events, strict=True)
        ]
        async with asyncio.timeout(60):
            await asyncio.gather(*(event.wait() for event in events))
        gateway, began = stack.gateways[0], time.monotonic()
        gateway.terminate()
        async with asyncio.timeout(GRACE_S + 5):
            await asyncio.gather(*tasks)
        exit_code = await asyncio.to_thread(gateway.wait, GRACE_S)
        assert exit_code == 0
        assert time.monotonic() - began < GRACE_S
        assert {talk.close_code for talk in talks} == {1001}
    stored = await stored_samples(database_url)
    for talk in (talk for talk in talks if talk.billing):
        sent = [moment(number) for number in range(talk.answered + 1)]
        # the last one was sent into a closing socket: it may have come through, its answer may not
        assert stored[talk.identity] in (sent[:-1], sent)


async def test_idle_workers_exit_0_on_sigterm(amqp_url: str, tmp_path: Path) -> None:
    with running_stack(amqp_url, f"sqlite+aiosqlite:///{tmp_path}/ocpp.db", tmp_path) as stack:
        for worker in stack.workers.values():
            worker.terminate()
        codes = {name: await asyncio.to_thread(worker.wait, 15) for name, worker in stack.workers.items()}
        assert codes == dict.fromkeys(SERVICES, 0)
