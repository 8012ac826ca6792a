"""OCPP 2.x billing data on a real store: in any order, once, confirmed."""

import itertools
import json
from datetime import timedelta
from typing import Any

import orjson
import pytest

from contracts.versions import Version
from tests.support.incoming_calls import NOW, call
from tests.support.worker_store import all_rows, handle, migrated_store
from workers.metering.service import service
from workers.runtime.calls import Answer
from workers.settings import WorkerSettings
from workers.store import tables
from workers.store.provisioning import apply_plan, read_plan
from workers.store.transactions import list_transactions

METERING = service(WorkerSettings())
TOKEN = {"idToken": "demo", "type": "ISO14443"}


@pytest.fixture
async def store(database_url) -> Any:
    async with migrated_store(database_url) as store:
        async with store.transaction() as transaction:
            plan = read_plan(
                '[[tokens]]\nid_token = "DEMO"\ngroup = "FLEET"\n[[tokens]]\nid_token = "B"\nstatus = "Blocked"'
            )
            await apply_plan(transaction, plan, NOW)
        yield store


@pytest.fixture
async def sqlite_store(sqlite_database_url) -> Any:
    async with migrated_store(sqlite_database_url) as store:
        yield store


def at(minute) -> Any:
    return (NOW + timedelta(minutes=minute)).isoformat().replace("+00:00", "Z")


def energy(minute, kilowatt_hours, context="Sample.Periodic") -> Any:
    value = {"value": kilowatt_hours, "context": context, "unitOfMeasure": {"unit": "Wh", "multiplier": 3}}
    return [{"timestamp": at(minute), "sampledValue": [value]}]


def event(kind, seq, minute, **more) -> Any:
    payload = {
        "eventType": kind,
        "timestamp": at(minute),
        "triggerReason": "Authorized",
        "seqNo": seq,
        "transactionInfo": {"transactionId": "tx-1", **more.pop("info", {})},
        "evse": {"id": 1, "connectorId": 1},
        **more,
    }
    payload = {key: value for key, value in payload.items() if value is not ...}
    return orjson.loads(json.dumps(payload))


def life() -> Any:
    return [
        event("Started", 0, 0, idToken=TOKEN, meterValue=energy(0, 1.0), info={"chargingState": "Charging"}),
        event("Updated", 1, 10, meterValue=energy(10, 2.5), info={"chargingState": "SuspendedEV"}),
        event("Ended", 2, 20, meterValue=energy(20, 4.0), info={"stoppedReason": "EVDisconnected"}),
    ]


async def send(store, payload, *, version=Version.V201, identity="CP-1", after_s=0) -> Any:
    one = call("TransactionEvent", payload, version=version, identity=identity, after_s=after_s)
    reply = await handle(store, METERING, one)
    assert isinstance(reply, Answer)
    return reply.payload


async def only(store) -> Any:
    async with store.transaction(read_only=True) as transaction:
        (found,) = await list_transactions(transaction)
    return found


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_events_make_the_same_transaction_in_whatever_order_they_come(store, order):
    for index in order:
        await send(store, life()[index], after_s=1800)
    found = await only(store)
    assert (found.state, found.energy_wh, found.stop_reason) == ("ended", 3000, "EVDisconnected")
    assert (found.started_at, found.ended_at) == (NOW, NOW + timedelta(minutes=20))
    assert (found.id_token, found.token_status, found.reference) == ("demo", "Accepted", "tx-1")
    (row,) = await all_rows(store, tables.transactions)
    assert (row["charging_state"], row["charging_state_seq"], row["evse_id"]) == ("SuspendedEV", 1, 1)


async def test_a_retried_event_is_stored_once_and_answered_as_before(store):
    first = await send(store, life()[0], version=Version.V21)
    again = await send(store, life()[0], version=Version.V21, after_s=60)
    assert first == again
    assert first["idTokenInfo"]["status"] == "Accepted"
    assert first["idTokenInfo"]["groupIdToken"] == {"idToken": "FLEET", "type": "Central"}
    assert len(await all_rows(store, tables.transaction_events)) == 1
    assert len(await all_rows(store, tables.meter_samples)) == 1


async def test_the_token_is_answered_only_when_it_came(store):
    assert await send(store, life()[1]) == {}
    blocked = event("Updated", 5, 5, idToken={"idToken": "b", "type": "Central"})
    assert (await send(store, blocked))["idTokenInfo"] == {"status": "Blocked"}
    free = event("Updated", 6, 6, idToken={"idToken": "", "type": "NoAuthorization"})
    assert (await send(store, free))["idTokenInfo"] == {"status": "Accepted"}


async def test_a_token_that_charges_elsewhere_is_concurrent_but_stops_its_own(store):
    await send(store, life()[0])
    other = await send(store, life()[0], identity="CP-2")
    assert other["idTokenInfo"]["status"] == "ConcurrentTx"
    assert (await send(store, {**life()[2], "idToken": TOKEN}))["idTokenInfo"]["status"] == "Accepted"


async def test_a_token_charges_on_one_evse_of_a_station_at_a_time(store):
    second = {"info": {"transactionId": "tx-2"}, "idToken": TOKEN}
    await send(store, life()[0])
    other = await send(store, event("Started", 0, 1, **second, evse={"id": 2}))
    assert other["idTokenInfo"]["status"] == "ConcurrentTx"
    nowhere = await send(store, event("Updated", 1, 2, **second, evse=...))
    assert nowhere["idTokenInfo"]["status"] == "ConcurrentTx"
    again = await send(store, event("Updated", 1, 3, idToken=TOKEN, evse=...))
    assert again["idTokenInfo"]["status"] == "Accepted"
    await send(store, life()[2])
    free = await send(store, event("Updated", 2, 30, **second, evse={"id": 2}))
    assert free["idTokenInfo"]["status"] == "Accepted"


@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize("wrong", ["2036-05-01T12:00:00Z", "1970-01-01T00:00:00Z", at(120), at(-120)])
@pytest.mark.parametrize("arrivals", [(1, 601, 1201), (1801, 1802, 1803), (1803, 1801, 1802)])
async def test_a_clock_that_is_wrong_for_a_while_does_not_change_the_energy(sqlite_store, wrong, which, arrivals):
    events = life()
    events[which]["meterValue"][0]["timestamp"] = wrong
    for after_s, one in sorted(zip(arrivals, events, strict=True), key=lambda pair: pair[0]):
        await send(sqlite_store, one, after_s=after_s)
    found = await only(sqlite_store)
    assert found.energy_wh == 3000
    assert found.flags == ("" if wrong in {at(120), at(-120)} else "timestamp_implausible")


async def test_readings_that_name_the_begin_and_the_end_are_those(store):
    begin, middle, end = energy(0, 1.0, "Transaction.Begin"), energy(10, 2.0), energy(20, 4.0, "Transaction.End")
    await send(store, event("Started", 0, 0))
    await send(store, event("Updated", 1, 10, meterValue=middle), after_s=1800)
    await send(store, event("Ended", 2, 20, meterValue=[*end, *begin]), after_s=1800)
    assert (await only(store)).energy_wh == 3000


async def test_an_end_before_the_start_is_flagged(store):
    await send(store, life()[0])
    await send(store, event("Ended", 1, -10))
    assert (await only(store)).flags == "ended_before_start"


async def test_a_null_multiplier_is_none(store):
    for payload, reading in ((life()[0], 1000), (life()[2], 4000)):
        payload["meterValue"][0]["sampledValue"][0] = {"value": reading, "unitOfMeasure": {"multiplier": None}}
        await send(store, payload, after_s=1800)
    assert (await only(store)).energy_wh == 3000


async def test_a_used_number_is_recognised_when_it_is_sent_again_as_offline(store):
    await send(store, life()[0])
    wrong = event("Updated", 0, 5, triggerReason="MeterValuePeriodic", meterValue=energy(5, 1.5))
    await send(store, wrong)
    await send(store, {**wrong, "offline": True}, after_s=60)
    rows = await all_rows(store, tables.transaction_events)
    assert sorted(row["flags"] for row in rows) == ["", "seqNo_repeated"]


async def test_a_station_whose_numbers_and_clock_stand_still_loses_no_event(store):
    await send(store, life()[0])
    for reading in (1.1, 1.2, 1.3, 1.3):
        await send(store, event("Updated", 0, 5, meterValue=energy(5, reading)), after_s=600)
    rows = await all_rows(store, tables.transaction_events)
    assert sorted(row["flags"] for row in rows) == ["", *["seqNo_repeated"] * 3]
    assert (await only(store)).energy_wh == 300


async def test_a_station_that_names_no_evse_is_one_place(store):
    for name in ("a", "b"):
        started = event("Started", 0, 0, info={"transactionId": name}, evse=..., idToken=TOKEN)
        assert (await send(store, started))["idTokenInfo"]["status"] == "Accepted"


async def test_a_started_event_that_is_overtaken_still_gives_up_a_lost_one(store):
    await send(store, life()[0])
    later = {"info": {"transactionId": "tx-2"}}
    await send(store, event("Updated", 1, 61, **later))
    await send(store, event("Started", 0, 60, **later))
    states = {row["reference"]: row["state"] for row in await all_rows(store, tables.transactions)}
    assert states == {"tx-1": "abandoned", "tx-2": "active"}


async def test_a_lost_end_is_given_up_when_the_evse_starts_again(store):
    await send(store, life()[0])
    await send(store, event("Started", 0, 60, info={"transactionId": "tx-2"}))
    states = {row["reference"]: row["state"] for row in await all_rows(store, tables.transactions)}
    assert states == {"tx-1": "abandoned", "tx-2": "active"}
    await send(store, life()[2])
    states = {row["reference"]: row["state"] for row in await all_rows(store, tables.transactions)}
    assert states["tx-1"] == "ended"


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({"seqNo": ...}, "seqNo_missing"),
        ({"seqNo": "7"}, "seqNo_type"),
        ({"seqNo": 2**70}, "seqNo_range"),
        ({"timestamp": "1970-01-01T00:00:00Z"}, "timestamp_implausible"),
        ({"timestamp": None}, "timestamp_missing"),
        ({"eventType": "Paused"}, "eventType_unknown"),
        ({"eventType": 4}, "eventType_type"),
        ({"transactionInfo": {"transactionId": 12}}, "transactionId_type"),
    ],
)
async def test_an_event_that_violates_its_schema_is_stored_once_and_flagged(store, changes, flag):
    payload = event("Updated", 3, 3, **changes)
    for after_s in (0, 30):
        assert await send(store, payload, after_s=after_s) == {}
    (row,) = await all_rows(store, tables.transaction_events)
    assert flag in row["flags"].split()
    assert row["payload"] == payload


@pytest.mark.parametrize("info", [..., None, [], {}, {"transactionId": ""}])
async def test_an_event_of_no_transaction_is_parked_and_confirmed(store, info):
    payload = event("Started", 0, 0, idToken=TOKEN, meterValue=energy(0, 1.0))
    payload = {**payload, "transactionInfo": info} if info is not ... else {**payload, "transactionInfo": None}
    assert (await send(store, payload))["idTokenInfo"]["status"] == "Accepted"
    (parked,) = await all_rows(store, tables.parked_messages)
    assert parked["reason"] == "transaction_missing"
    assert len(await all_rows(store, tables.meter_samples)) == 1


async def test_meter_values_outside_transactions_keep_signed_values(store):
    signed = {"signedMeterData": "T0NNRg", "encodingMethod": "OCMF", "signingMethod": "", "publicKey": ""}
    value = {"value": 1.25, "measurand": "Power.Active.Import", "signedMeterValue": signed}
    value["unitOfMeasure"] = {"unit": "kW"}
    payload = {"evseId": 2, "meterValue": [{"timestamp": at(0), "sampledValue": [value]}]}
    for _ in range(2):
        assert await handle(store, METERING, call("MeterValues", payload, version=Version.V21)) == Answer({})
    (row,) = await all_rows(store, tables.meter_samples)
    assert (row["evse_id"], row["normal_value"], row["normal_unit"]) == (2, 1250, "W")
    assert row["signed_value"] == signed
