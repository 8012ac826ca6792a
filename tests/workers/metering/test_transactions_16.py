"""OCPP 1.6 billing data on a real store: nothing is refused, nothing is counted twice."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from contracts.schemas import Violation
from contracts.versions import ErrorKind
from tests.support.incoming_calls import NOW, call
from tests.support.worker_store import all_rows, handle, migrated_store
from workers.metering.service import service
from workers.runtime.calls import Answer
from workers.settings import WorkerSettings
from workers.store import tables
from workers.store.provisioning import Plan, apply_plan
from workers.store.transactions import find_transaction, list_transactions, series

METERING = service(WorkerSettings())
TIME = "2026-05-01T11:59:00Z"


@pytest.fixture
async def store(database_url) -> Any:
    async with migrated_store(database_url) as store:
        plan = Plan(
            tokens=[
                token("DEMO"),
                token("BLOCKED", status="Blocked"),
                token("OLD", expires_at=NOW - timedelta(days=1)),
                token("FLEET", concurrent=True, group_token="GROUP"),
            ]
        )
        async with store.transaction() as transaction:
            await apply_plan(transaction, plan, NOW)
        yield store


def token(id_token, *, status="Accepted", expires_at=None, group_token=None, concurrent=False) -> Any:
    return {
        "token_key": id_token.casefold(),
        "id_token": id_token,
        "status": status,
        "expires_at": expires_at,
        "group_token": group_token,
        "concurrent": concurrent,
    }


def start_payload(**changes) -> Any:
    return as_received({"connectorId": 1, "idTag": "DEMO", "meterStart": 1000, "timestamp": TIME, **changes})


def as_received(payload) -> Any:
    """The payload as a gateway's frame gives it, without what is `...`."""
    return orjson.loads(json.dumps({key: value for key, value in payload.items() if value is not ...}))


async def start(store, *, identity="CP-1", after_s=0, violation=None, **changes) -> Any:
    one = call("StartTransaction", start_payload(**changes), identity=identity, after_s=after_s)
    reply = await handle(store, METERING, with_violation(one, violation))
    assert isinstance(reply, Answer)
    return reply.payload["transactionId"], reply.payload["idTagInfo"]


def with_violation(one, violation) -> Any:
    object.__setattr__(one, "violation", violation)
    return one


async def stop(store, number, *, identity="CP-1", after_s=600, **changes) -> Any:
    payload = {"transactionId": number, "meterStop": 3500, "timestamp": "2026-05-01T12:30:00Z", **changes}
    payload = as_received(payload)
    return await handle(store, METERING, call("StopTransaction", payload, identity=identity, after_s=after_s))


async def meter(store, payload, *, after_s=60) -> Any:
    reply = await handle(store, METERING, call("MeterValues", payload, after_s=after_s))
    assert reply == Answer({})


async def view(store, number) -> Any:
    async with store.transaction(read_only=True) as transaction:
        return await find_transaction(transaction, number)


async def test_a_transaction_is_stored_with_the_energy_it_delivered(store):
    number, info = await start(store)
    assert info == {"status": "Accepted"}
    assert 0 < number < 2**31
    assert await stop(store, number, reason="EVDisconnected") == Answer({})
    found = await view(store, number)
    assert (found.state, found.energy_wh, found.stop_reason) == ("ended", 2500, "EVDisconnected")
    assert found.started_at == datetime(2026, 5, 1, 11, 59, tzinfo=UTC)
    assert found.flags == ""


async def test_a_retried_start_gets_the_same_id_and_decision(store):
    first = await start(store, idTag="demo")
    again = await start(store, after_s=30, idTag="DEMO")
    other = await start(store, connectorId=2, idTag="FLEET")
    assert first == again
    assert other[0] != first[0]
    assert other[1] == {"status": "Accepted", "parentIdTag": "GROUP"}


@pytest.mark.parametrize(
    ("tag", "status"), [("BLOCKED", "Blocked"), ("OLD", "Expired"), ("NOBODY", "Invalid"), ("", "Invalid")]
)
async def test_a_start_gets_an_id_whatever_its_tag(store, tag, status):
    number, info = await start(store, idTag=tag)
    assert info["status"] == status
    assert (await view(store, number)).token_status == status


async def test_a_token_charges_at_one_place_at_a_time_unless_it_may_at_several(store):
    await start(store)
    assert (await start(store, identity="CP-2"))[1]["status"] == "ConcurrentTx"
    await start(store, idTag="FLEET", connectorId=3)
    assert (await start(store, idTag="FLEET", identity="CP-2", connectorId=3))[1]["status"] == "Accepted"


async def test_a_lost_stop_frees_the_token_when_the_connector_starts_again(store):
    lost, _ = await start(store)
    await start(store, idTag="FLEET", timestamp="2026-05-01T12:10:00Z")
    assert (await view(store, lost)).state == "abandoned"
    assert (await start(store, identity="CP-2"))[1]["status"] == "Accepted"
    await stop(store, lost)
    assert (await view(store, lost)).energy_wh == 2500


async def test_a_retried_stop_gets_the_same_reply_and_ends_once(store):
    number, _ = await start(store)
    first = await stop(store, number, idTag="DEMO")
    again = await stop(store, number, idTag="DEMO", after_s=700)
    assert first == again == Answer({"idTagInfo": {"status": "Accepted"}})
    assert not await all_rows(store, tables.parked_messages)


@pytest.mark.parametrize("number", [-1, 0, 999_999, 2**40, "text", ...])
async def test_a_stop_of_no_known_transaction_is_confirmed_and_parked_once(store, number):
    for after_s in (600, 660):
        assert await stop(store, number, after_s=after_s) == Answer({})
    (parked,) = await all_rows(store, tables.parked_messages)
    assert parked["payload"]["meterStop"] == 3500


async def test_another_charge_points_transaction_cannot_be_stopped(store):
    number, _ = await start(store)
    await stop(store, number, identity="CP-2")
    assert (await view(store, number)).state == "active"
    (parked,) = await all_rows(store, tables.parked_messages)
    assert (parked["identity"], parked["reason"]) == ("CP-2", "transaction_unknown")


async def test_a_second_different_stop_is_parked(store):
    number, _ = await start(store)
    await stop(store, number)
    await stop(store, number, meterStop=9999)
    (parked,) = await all_rows(store, tables.parked_messages)
    assert parked["reason"] == "transaction_ended_before"
    assert (await view(store, number)).energy_wh == 2500


async def test_samples_of_a_stop_are_stored_beside_those_of_meter_values_once(store):
    number, _ = await start(store)
    value = {
        "timestamp": "2026-05-01T12:10:00Z",
        "sampledValue": [
            {"value": "1.5", "unit": "kWh"},
            {"value": "7", "measurand": "Voltage", "phase": "L1", "unit": "V"},
        ],
    }
    await meter(store, {"connectorId": 1, "transactionId": number, "meterValue": [value]})
    later = {"timestamp": "2026-05-01T12:30:00Z", "sampledValue": [{"value": "3500", "context": "Transaction.End"}]}
    await stop(store, number, transactionData=[value, later])
    samples = await all_rows(store, tables.meter_samples)
    assert [(row["measurand"], row["normal_value"], row["connector_id"]) for row in samples] != []
    assert sorted((row["measurand"], row["normal_value"]) for row in samples) == [
        ("Energy.Active.Import.Register", 1500.0),
        ("Energy.Active.Import.Register", 3500.0),
        ("Voltage", 7.0),
    ]
    assert {row["connector_id"] for row in samples} == {1}


async def test_an_active_transaction_tells_the_energy_so_far_and_its_course(store):
    number, _ = await start(store)
    for minute in (5, 10):
        await meter(
            store,
            {
                "connectorId": 1,
                "transactionId": number,
                "meterValue": [
                    {
                        "timestamp": f"2026-05-01T12:{minute:02}:00Z",
                        "sampledValue": [
                            {"value": str(1000 + minute * 100)},
                            {"value": "11", "measurand": "Power.Active.Import", "unit": "kW"},
                            {"value": "16", "measurand": "Current.Import", "phase": "L1", "unit": "A"},
                            {"value": "230", "measurand": "Voltage", "phase": "L1-N", "unit": "V"},
                        ],
                    }
                ],
            },
        )
    async with store.transaction(read_only=True) as transaction:
        (found,) = await list_transactions(transaction, identity="CP-1", state="active")
        power = await series(transaction, found, "Power.Active.Import")
        current = await series(transaction, found, "Current.Import", phase="L1")
        voltage = await series(transaction, found, "Voltage")
    assert found.energy_wh == 1000
    assert [(point.value, point.unit) for point in power] == [(11000, "W"), (11000, "W")]
    assert [point.value for point in current] == [16, 16]
    assert [(point.at.minute, point.phase) for point in voltage] == [(5, "L1-N"), (10, "L1-N")]


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({"connectorId": ...}, "connectorId_missing"),
        ({"connectorId": 2**70}, "connectorId_range"),
        ({"connectorId": 2**40}, "connectorId_range"),
        ({"idTag": ...}, "idTag_missing"),
        ({"idTag": 123456}, "idTag_type"),
        ({"idTag": {"a": 1}}, "idTag_type"),
        ({"meterStart": "12 Wh"}, "meterStart_type"),
        ({"meterStart": ...}, "meterStart_missing"),
        ({"timestamp": ...}, "timestamp_missing"),
        ({"timestamp": "yesterday"}, "timestamp_unreadable"),
        ({"timestamp": 1777636740}, "timestamp_unreadable"),
        ({"timestamp": "1970-01-01T00:00:00Z"}, "timestamp_implausible"),
        ({"timestamp": "0001-01-01T00:00:00+03"}, "timestamp_unreadable"),
        ({"timestamp": "9999-12-31T23:59:59Z"}, "timestamp_implausible"),
        ({"timestamp": "2026-05-01T11:59:00"}, "timestamp_zoneless"),
        ({"idTag": "NUL\x00", "reservationId": 2**64}, "reservationId_range"),
    ],
)
async def test_a_start_that_violates_its_schema_is_stored_flagged_and_confirmed(store, changes, flag):
    number, info = await start(store, violation=Violation(ErrorKind.TYPE, "wrong"), **changes)
    assert info["status"] in {"Accepted", "Invalid"}
    found = await view(store, number)
    assert set(found.flags.split()) == {flag, "schema"}
    (row,) = await all_rows(store, tables.transactions)
    assert row["start_received_at"] == NOW


async def test_a_charge_point_without_a_clock_gets_a_new_transaction_after_the_first_ended(store):
    lost_clock = "1970-01-01T00:00:00Z"
    first, _ = await start(store, timestamp=lost_clock)
    again, _ = await start(store, timestamp=lost_clock, after_s=5)
    await stop(store, first)
    second, _ = await start(store, timestamp=lost_clock, after_s=3600)
    assert first == again != second


async def test_a_meter_that_ran_backwards_delivers_no_negative_energy(store):
    number, _ = await start(store)
    await stop(store, number, meterStop=10)
    found = await view(store, number)
    assert (found.energy_wh, found.flags) == (None, "energy_negative")


@pytest.mark.parametrize("values", [..., None, "text", [], [None], [{"timestamp": TIME}], [{"sampledValue": ["x"]}]])
async def test_meter_values_without_readable_samples_are_parked_and_confirmed(store, values):
    payload = {"connectorId": 1, "meterValue": values} if values is not ... else {"connectorId": 1}
    await meter(store, payload)
    await meter(store, payload)
    assert not await all_rows(store, tables.meter_samples)
    assert len(await all_rows(store, tables.parked_messages)) == (0 if values in (..., []) or values is None else 1)


async def test_meter_values_of_an_unassigned_transaction_are_stored_flagged_and_parked(store):
    value = {"timestamp": TIME, "sampledValue": [{"value": "1"}]}
    await meter(store, {"connectorId": 1, "transactionId": -1, "meterValue": [value]})
    (sample,) = await all_rows(store, tables.meter_samples)
    assert (sample["flags"], sample["transaction_ref"]) == ("transaction_unassigned", "")
    assert len(await all_rows(store, tables.parked_messages)) == 1


async def test_meter_values_of_an_unknown_transaction_never_join_the_one_that_gets_its_number_later(store):
    value = {"timestamp": TIME, "sampledValue": [{"value": "900000"}]}
    payload = {"connectorId": 1, "transactionId": 1, "meterValue": [value]}
    fresh = service(WorkerSettings())  # one that has not seen another store's transaction 1
    assert await handle(store, fresh, call("MeterValues", payload)) == Answer({})
    (sample,) = await all_rows(store, tables.meter_samples)
    assert (sample["flags"], sample["transaction_ref"]) == ("transaction_unknown", "")
    (parked,) = await all_rows(store, tables.parked_messages)
    assert (parked["reason"], parked["transaction_ref"]) == ("transaction_unknown", "1")
    number, _ = await start(store)
    assert number == 1
    assert (await view(store, number)).energy_wh is None


async def test_samples_of_a_clock_that_stands_still_are_all_kept_and_each_once(store):
    number, _ = await start(store)
    for reading in (1000, 1100, 1100, 1200):
        value = {"timestamp": "1970-01-01T00:00:00Z", "sampledValue": [{"value": str(reading)}]}
        await meter(store, {"connectorId": 1, "transactionId": number, "meterValue": [value]})
    samples = await all_rows(store, tables.meter_samples)
    assert sorted(row["value"] for row in samples) == [1000, 1100, 1200]


@pytest.mark.parametrize("meter_stop", [None, ..., "n/a"])
async def test_a_stop_without_a_readable_register_takes_that_of_its_data(store, meter_stop):
    number, _ = await start(store)
    data = [
        {"timestamp": "2026-05-01T12:05:00Z", "sampledValue": [{"value": "9000", "context": "Transaction.End"}]},
        {"timestamp": "2026-05-01T12:06:00Z", "sampledValue": [{"value": "7000"}, {"value": "9", "phase": "L1"}]},
    ]
    await stop(store, number, meterStop=meter_stop, transactionData=data)
    found = await view(store, number)
    assert (found.meter_stop_wh, found.energy_wh) == (9000, 8000)
    assert found.flags in {"meterStop_missing", "meterStop_type"}


async def test_a_reading_of_the_begin_is_no_end(store):
    number, _ = await start(store)
    value = {"timestamp": TIME, "sampledValue": [{"value": "1000", "context": "Transaction.Begin"}]}
    await stop(store, number, meterStop=..., transactionData=[value])
    assert (await view(store, number)).energy_wh is None


async def test_a_stop_before_its_start_is_flagged(store):
    number, _ = await start(store)
    await stop(store, number, timestamp="2026-04-01T12:00:00Z")
    assert (await view(store, number)).flags == "ended_before_start"


async def test_a_sample_that_is_no_number_is_kept_raw(store):
    sampled = [
        {"value": "n/a"},
        {"value": "1,5"},
        {"value": 3},
        {"value": "NaN"},
        {"value": "AA\x00FF", "format": "SignedData"},
        {},
    ]
    await meter(store, {"connectorId": 1, "meterValue": [{"timestamp": TIME, "sampledValue": sampled}]})
    samples = await all_rows(store, tables.meter_samples)
    found = {row["raw_value"]: (row["value"], row["flags"]) for row in samples}
    assert found == {
        "n/a": (None, "unparsable"),
        "1,5": (None, "unparsable"),
        "3": (3.0, "value_type"),
        "NaN": (None, "unparsable"),
        "AA\ufffdFF": (None, ""),
        "null": (None, "unparsable value_type"),
    }
