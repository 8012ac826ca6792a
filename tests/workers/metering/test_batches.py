"""A batch of 2.x billing data leaves what the same Calls leave when each has a transaction of its own."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from contracts.versions import Version
from tests.support.incoming_calls import NOW, call
from tests.support.worker_store import all_rows, migrated_store
from workers.metering.service import service
from workers.settings import WorkerSettings
from workers.store import outbox, reading_ahead, tables, transaction_records

_WAITING = text("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")
METERING = service(WorkerSettings())


@pytest.fixture
async def store(database_url) -> Any:
    async with migrated_store(database_url) as store:
        yield store


def event(kind, seq, minute, reading, transaction="tx-1", **more) -> Any:
    moment = (NOW + timedelta(minutes=minute)).isoformat().replace("+00:00", "Z")
    return {
        "eventType": kind,
        "timestamp": moment,
        "triggerReason": "Authorized",
        "seqNo": seq,
        "transactionInfo": {"transactionId": transaction, **more.pop("info", {})},
        "evse": {"id": 1, "connectorId": 1},
        "meterValue": [{"timestamp": moment, "sampledValue": [{"value": reading}]}],
        **more,
    }


def life(transaction, begin=0) -> Any:
    """A transaction with a retry of each event, one that comes too late and a number that is given twice."""
    token = {"idToken": {"idToken": "A", "type": "Central"}}
    started = event("Started", 0, begin, 100.0, transaction, **token, info={"chargingState": "Charging"})
    late = event("Updated", 1, begin + 1, 110.0, transaction, info={"chargingState": "EVConnected"})
    updated = event("Updated", 2, begin + 2, 120.0, transaction, info={"chargingState": "SuspendedEV\x00"})
    again = event("Updated", 2, begin + 3, 130.0, transaction)
    ended = event("Ended", 4, begin + 4, 150.0, transaction, info={"stoppedReason": "EVDisconnected"})
    return [started, started, updated, updated, again, late, ended, started, ended, again]


def calls_of(*lives) -> Any:
    """The Calls of two charge points in turn."""
    return [
        call("TransactionEvent", payload, identity=identity, version=Version.V201)
        for payloads in zip(*lives, strict=True)
        for payload in payloads
        for identity in ("CP-1", "CP-2")
    ]


async def handled(store, calls) -> Any:
    async with store.transaction() as transaction:
        assert METERING.read_ahead is not None
        await METERING.read_ahead(calls, transaction)
        return [await METERING.handlers[each.version, each.action](each, transaction) for each in calls]


async def all_that_is_stored(store) -> Any:
    kept = (tables.transactions, tables.transaction_events, tables.meter_samples, outbox.outbox)
    passing = {"id", "number", "event_id"}
    found = []
    for table in kept:
        rows = await all_rows(store, table)
        found.append(sorted(repr([value for name, value in row.items() if name not in passing]) for row in rows))
        async with store.transaction() as transaction:
            await transaction.run(table.delete())
    return found


@pytest.mark.parametrize("names", [("tx-1",), ("NUL \x00",), ("tx-1", "tx-2"), ("NUL \x00", "NUL \ufffd")])
async def test_a_batch_leaves_what_its_calls_leave_one_by_one(store, names):
    calls = calls_of(*(life(name, 10 * index) for index, name in enumerate(names)))
    apart = [reply for each in calls for reply in await handled(store, [each])]
    left_apart = await all_that_is_stored(store)
    for size in (len(calls), 7):
        together = []
        for first in range(0, len(calls), size):
            together += await handled(store, calls[first : first + size])
        assert together == apart
        assert await all_that_is_stored(store) == left_apart


async def test_an_event_that_another_replica_is_storing_is_seen_once_its_lock_is_gone(postgres_url):
    async with migrated_store(postgres_url) as store:
        started, updated = (
            call("TransactionEvent", payload, version=Version.V201)
            for payload in (event("Started", 0, 0, 100.0), event("Updated", 1, 1, 110.0))
        )
        await handled(store, [started])

        async def other() -> Any:
            async with store.transaction() as transaction:
                await reading_ahead.read(transaction, [("CP-1", "tx-1", "1")])
                return await transaction_records.find_event(transaction, "CP-1", "tx-1", "1")

        async with store.transaction() as transaction:
            assert METERING.read_ahead is not None
            await METERING.read_ahead([updated], transaction)
            await METERING.handlers[updated.version, updated.action](updated, transaction)
            found = asyncio.create_task(other())

            async def is_waiting() -> bool:
                async with store.transaction() as third:
                    return await third.first(_WAITING) is not None

            while not await is_waiting():
                assert not found.done()
        assert (await found).payload == updated.payload
