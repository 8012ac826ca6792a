"""A worker that is killed with a Call in its hands: the Call is answered after redelivery, its effect is there once."""

import asyncio
import sqlite3
from pathlib import Path

import orjson
import pytest
from sqlalchemy import select
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from loadtest import scraping
from tests.support.systems import running_stack, until
from tools.stack import OwnProcess
from workers.store.engine import Store
from workers.store.tables import transactions

pytestmark = pytest.mark.system

START = {"connectorId": 1, "idTag": "DEMO-0001", "meterStart": 1000, "timestamp": "2026-01-01T00:00:00Z"}


def in_hand(worker: OwnProcess) -> float:
    return scraping.read(f"{worker.monitor_url}/metrics").total("ocpp_worker_calls_waiting")


async def test_a_worker_killed_in_mid_call_is_replaced_and_the_effect_is_there_once(
    amqp_url: str, tmp_path: Path
) -> None:
    database = tmp_path / "ocpp.db"
    with running_stack(amqp_url, f"sqlite+aiosqlite:///{database}", tmp_path) as stack:
        metering = stack.workers["metering"]
        async with connect(f"{stack.urls[0]}/MID-CALL", subprotocols=[Subprotocol("ocpp1.6")]) as socket:
            lock = sqlite3.connect(database, isolation_level=None)  # holds the worker in the middle of its Call
            lock.execute("BEGIN IMMEDIATE")
            await socket.send(orjson.dumps([2, "s1", "StartTransaction", START]), text=True)
            await until(lambda: in_hand(metering) >= 1, "the worker has the Call in its hands")
            metering.kill()
            lock.execute("ROLLBACK")
            lock.close()
            metering.start()
            async with asyncio.timeout(40):
                kind, unique_id, first = orjson.loads(await socket.recv())
            assert (kind, unique_id) == (3, "s1")
            await socket.send(orjson.dumps([2, "s2", "StartTransaction", START]), text=True)  # as a retry would be
            async with asyncio.timeout(40):
                _, _, again = orjson.loads(await socket.recv())
            assert again["transactionId"] == first["transactionId"]
        store = Store(f"sqlite+aiosqlite:///{database}")
        async with store.transaction(read_only=True) as transaction:
            rows = await transaction.rows(select(transactions.c.id).where(transactions.c.identity == "MID-CALL"))
        await store.close()
        assert [row.id for row in rows] == [first["transactionId"]]
