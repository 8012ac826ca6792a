"""Billing data that is odd enough to harm other charge points, to be lost, or to be believed."""

import asyncio
import secrets
from typing import Any

import pytest

from contracts.versions import Version
from tests.support.incoming_calls import NOW, call
from tests.support.worker_store import all_rows, handle, migrated_store
from workers.metering.service import service
from workers.metering.transaction_event import merge, read_event
from workers.runtime.calls import Answer
from workers.settings import WorkerSettings
from workers.store import tables
from workers.store.engine import Store
from workers.store.provisioning import apply_plan, read_plan
from workers.store.transactions import list_transactions

METERING = service(WorkerSettings())
TIME = "2026-05-01T11:59:00Z"
LONG = secrets.token_hex(20_000)
"""No index entry of PostgreSQL can hold it, compressed or not."""


@pytest.fixture
async def store(database_url) -> Any:
    async with migrated_store(database_url) as store:
        async with store.transaction() as transaction:
            text = '[[tokens]]\nid_token = "A"\n[[tokens]]\nid_token = "B"\nstatus = "Blocked"'
            await apply_plan(transaction, read_plan(text), NOW)
        yield store


def event(kind, seq, **more) -> Any:
    info = {"transactionId": more.pop("transaction", "tx-1")}
    base = {"eventType": kind, "timestamp": TIME, "triggerReason": "Authorized", "seqNo": seq, "transactionInfo": info}
    return {**base, **more}


def token(text) -> Any:
    return {"idToken": {"idToken": text, "type": "Central"}}


def register(value, timestamp=TIME, **more) -> Any:
    return [{"timestamp": timestamp, "sampledValue": [{"value": value, **more}]}]


async def answer(store, action, payload, *, version=Version.V16, identity="CP-1", after_s=0) -> Any:
    one = call(action, payload, version=version, identity=identity, after_s=after_s)
    reply = await handle(store, METERING, one)
    assert isinstance(reply, Answer)
    return reply.payload


async def send(store, payload, *, identity="CP-1", after_s=0) -> Any:
    return await answer(store, "TransactionEvent", payload, version=Version.V201, identity=identity, after_s=after_s)


async def test_names_longer_than_an_index_holds_are_stored_and_confirmed(store):
    start = {"connectorId": 1, "idTag": LONG, "meterStart": 0, "timestamp": TIME}
    first = await answer(store, "StartTransaction", start)
    assert await answer(store, "StartTransaction", start) == first
    assert first["idTagInfo"]["status"] == "Invalid"
    long = event("Started", 0, transaction=LONG, meterValue=register(1))
    other = event("Started", 0, transaction=LONG[:-1] + "x", meterValue=register(1))
    for payload in (long, other, long):
        await send(store, {**payload, **token(LONG)})
    assert len(await all_rows(store, tables.transactions)) == 3
    kept = await all_rows(store, tables.transaction_events)
    assert sorted(row["payload"]["transactionInfo"]["transactionId"] for row in kept) == sorted([LONG, LONG[:-1] + "x"])
    assert len(await all_rows(store, tables.meter_samples)) == 2


async def test_a_sequence_number_used_again_for_another_event_loses_and_accepts_nothing(store):
    started = event("Started", 0, **token("A"))
    assert (await send(store, started))["idTokenInfo"]["status"] == "Accepted"
    again = event("Updated", 0, timestamp="2026-05-01T11:59:30Z", meterValue=register(5), **token("B"))
    for after_s in (30, 60):
        assert (await send(store, again, after_s=after_s))["idTokenInfo"]["status"] == "Blocked"
    await send(store, event("Ended", 0, timestamp="2026-05-01T12:00:00Z"), after_s=90)
    assert (await send(store, started, after_s=120))["idTokenInfo"]["status"] == "Accepted"
    rows = await all_rows(store, tables.transaction_events)
    assert sorted(row["event_type"] for row in rows) == ["Ended", "Started", "Updated"]
    assert [row["flags"] for row in rows if row["event_type"] == "Ended"] == ["seqNo_repeated"]
    (transaction,) = await all_rows(store, tables.transactions)
    assert transaction["state"] == "ended"
    assert len(await all_rows(store, tables.meter_samples)) == 1


async def test_the_starting_token_wins_over_one_that_was_heard_earlier(store):
    await send(store, event("Updated", 3, triggerReason="Deauthorized", **token("B")))
    await send(store, event("Started", 0, **token("A")))
    (row,) = await all_rows(store, tables.transactions)
    assert (row["id_token"], row["token_key"], row["token_status"]) == ("A", "a", "Accepted")


async def test_a_token_that_stops_is_neither_busy_nor_the_transactions_own(store):
    await send(store, event("Started", 0, **token("A")), identity="CP-2")
    stopping = event("Updated", 1, triggerReason="StopAuthorized", **token("A"))
    assert (await send(store, stopping))["idTokenInfo"]["status"] == "Accepted"
    (here,) = [row for row in await all_rows(store, tables.transactions) if row["identity"] == "CP-1"]
    assert (here["id_token"], here["token_status"]) == (None, None)


def test_a_meter_that_runs_backwards_is_flagged_beside_the_events_own_flags():
    values = [*register(10), *register(4, "2026-05-01T12:00:00Z")]
    read = read_event("CP-1", event("Updated", "7", meterValue=values), NOW)
    assert merge({}, read, NOW)["flags"].split() == ["seqNo_type", "energy_negative"]


@pytest.mark.parametrize(("value", "unit"), [("1e308", "kWh"), ("1e308", "kW")])
async def test_a_value_beyond_all_numbers_stays_raw(store, value, unit):
    sampled = [{"timestamp": TIME, "sampledValue": [{"value": value, "unit": unit}]}]
    await answer(store, "MeterValues", {"connectorId": 1, "meterValue": sampled})
    await send(store, event("Updated", 1, meterValue=register(1e300, unitOfMeasure={"unit": "Wh", "multiplier": 20})))
    rows = await all_rows(store, tables.meter_samples)
    assert [(row["value"], row["normal_value"]) for row in rows] == [(None, None)] * 2
    assert all("unparsable" in row["flags"].split() for row in rows)


async def test_energy_beyond_all_numbers_is_none(store):
    start = {"connectorId": 1, "idTag": "A", "meterStart": -1e308, "timestamp": TIME}
    number = (await answer(store, "StartTransaction", start))["transactionId"]
    await answer(store, "StopTransaction", {"transactionId": number, "meterStop": 1e308, "timestamp": TIME})
    (row,) = await all_rows(store, tables.transactions)
    assert (row["energy_wh"], row["state"]) == (None, "ended")


async def test_samples_that_only_the_retried_stop_brings_are_kept(store):
    start = {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": TIME}
    number = (await answer(store, "StartTransaction", start))["transactionId"]
    stop = {"transactionId": number, "meterStop": 9, "timestamp": "2026-05-01T12:00:00Z", "idTag": "A"}
    first = await answer(store, "StopTransaction", stop)
    for _ in range(2):
        data = register("9", context="Transaction.End")
        assert await answer(store, "StopTransaction", {**stop, "transactionData": data}) == first
    assert len(await all_rows(store, tables.meter_samples)) == 1


async def test_different_stops_of_an_unassigned_transaction_are_all_kept(store):
    for value in ("1", "2", "1"):
        await answer(store, "StopTransaction", {"transactionId": -1, "transactionData": register(value)})
    assert len(await all_rows(store, tables.parked_messages)) == 2


async def test_the_energy_so_far_is_that_of_the_outlet(store):
    start = {"connectorId": 1, "idTag": "A", "meterStart": 100, "timestamp": TIME}
    number = (await answer(store, "StartTransaction", start))["transactionId"]
    values = [
        *register("300"),
        *register("90000", location="Inlet"),
        *register("70000", unit="furlong", context="Other"),
    ]
    await answer(store, "MeterValues", {"connectorId": 1, "transactionId": number, "meterValue": values})
    async with store.transaction(read_only=True) as transaction:
        (view,) = await list_transactions(transaction)
    assert view.energy_wh == 200


async def test_a_token_that_starts_twice_at_the_same_moment_is_accepted_once(postgres_url):
    async with migrated_store(postgres_url) as one:
        async with one.transaction() as transaction:
            await apply_plan(transaction, read_plan('[[tokens]]\nid_token = "A"'), NOW)
        two = Store(postgres_url)
        try:
            start = {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": TIME}
            handler = METERING.handlers[Version.V16, "StartTransaction"]
            async with one.transaction() as transaction:
                first = await handler(call("StartTransaction", start, identity="CP-1"), transaction)
                waiting = asyncio.create_task(answer(two, "StartTransaction", start, identity="CP-2"))
                await asyncio.wait([waiting], timeout=0.5)  # without a lock it would be answered by now
            assert isinstance(first, Answer)
            assert first.payload["idTagInfo"]["status"] == "Accepted"
            assert (await waiting)["idTagInfo"]["status"] == "ConcurrentTx"
        finally:
            await two.close()


@pytest.mark.parametrize("timestamp", [None, "0001-01-01T00:00:00Z"])
async def test_a_retried_start_of_a_charge_point_without_a_clock_is_recognised_in_every_session(store, timestamp):
    start = {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": timestamp}
    numbers = []
    for session in range(3):
        for retry in range(3):
            after_s = 1000 * session + 60 * retry
            numbers.append((await answer(store, "StartTransaction", start, after_s=after_s))["transactionId"])
        stop = {"transactionId": numbers[-1], "meterStop": 9, "timestamp": timestamp}
        await answer(store, "StopTransaction", stop, after_s=1000 * session + 500)
    assert numbers == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert {row["state"] for row in await all_rows(store, tables.transactions)} == {"ended"}
