"""Signed meter values on their way into the store: judged once, never lost, never refused."""

from collections import Counter
from typing import Any

from prometheus_client import REGISTRY

from contracts.versions import Version
from tests.support.incoming_calls import call
from tests.support.meters import Meter
from tests.support.worker_store import all_rows, handle, migrated_store
from workers.metering.keeping import MOST_JUDGED
from workers.metering.service import service
from workers.runtime.calls import Answer
from workers.settings import WorkerSettings
from workers.store import tables
from workers.store.meter_keys import MOST_KEYS, keys_of, put_key, remove_key

METERING = service(WorkerSettings())
METER = Meter()


def meter_values(*sampled) -> dict[str, Any]:
    return {"connectorId": 1, "meterValue": [{"timestamp": "2026-05-01T11:59:00Z", "sampledValue": list(sampled)}]}


def counted(result) -> float:
    return REGISTRY.get_sample_value("ocpp_worker_signed_samples_total", {"result": result}) or 0.0


async def know(store, identity="CP-1", meter=METER, serial="") -> bool:
    async with store.transaction() as transaction:
        at = call("MeterValues", {}).received_at
        return await put_key(transaction, identity, bytes.fromhex(meter.public_key), serial, at)


async def test_each_sample_says_what_its_signature_is_worth(database_url):
    before = counted("verified")
    async with migrated_store(database_url) as store:
        await know(store)
        sampled = [
            {"value": "12"},
            {"value": METER.record(), "format": "SignedData", "context": "Transaction.Begin"},
            {"value": METER.record().replace("1000", "9000"), "format": "SignedData", "context": "Transaction.End"},
            {"value": "\x00", "format": "SignedData", "context": "Trigger"},
        ]
        reply = await handle(store, METERING, call("MeterValues", meter_values(*sampled)))
        rows = await all_rows(store, tables.meter_samples)
    assert isinstance(reply, Answer)
    assert {row["context"]: row["signature"] for row in rows} == {
        "Sample.Periodic": None,
        "Transaction.Begin": "verified",
        "Transaction.End": "invalid",
        "Trigger": "unsupported",
    }
    assert next(row["raw_value"] for row in rows if row["signature"] == "verified").startswith("OCMF|")
    assert counted("verified") == before + 1


async def test_2x_keeps_the_reading_and_the_signed_value_side_by_side(database_url):
    signed = {"signedMeterData": METER.record(), "signingMethod": "", "encodingMethod": "OCMF", "publicKey": ""}
    payload = meter_values({"value": 12.0, "signedMeterValue": signed}, {"value": 13.0, "signedMeterValue": 7})
    del payload["connectorId"]
    async with migrated_store(database_url) as store:
        await know(store)
        await handle(store, METERING, call("MeterValues", payload | {"evseId": 1}, version=Version.V201))
        rows = await all_rows(store, tables.meter_samples)
    assert sorted((row["value"], row["signature"], row["signed_value"]) for row in rows) == [
        (12.0, "verified", signed),
        (13.0, "unreadable", 7),
    ]


async def test_another_charge_points_key_counts_for_nothing(database_url):
    sampled = {"value": METER.record(), "format": "SignedData"}
    async with migrated_store(database_url) as store:
        await know(store, "CP-2")
        await handle(store, METERING, call("MeterValues", meter_values(sampled)))
        (row,) = await all_rows(store, tables.meter_samples)
    assert row["signature"] == "unknown_key"


async def test_a_charge_point_has_room_for_so_many_keys(sqlite_database_url):
    async with migrated_store(sqlite_database_url) as store:
        meters = [Meter() for _ in range(MOST_KEYS)]
        assert all([await know(store, meter=meter) for meter in meters])
        assert not await know(store)
        assert await know(store, meter=meters[0], serial="S-1")
        async with store.transaction() as transaction:
            (keys,) = (await keys_of(transaction, {"CP-1", "CP-9"})).values()
            assert len(keys) == MOST_KEYS
            assert not await remove_key(transaction, "CP-1", "unknown")


async def test_a_message_with_a_flood_of_signatures_is_stored_and_not_all_are_judged(sqlite_database_url):
    flood = [{"value": f"OCMF|{number}", "format": "SignedData"} for number in range(MOST_JUDGED + 5)]
    async with migrated_store(sqlite_database_url) as store:
        await handle(store, METERING, call("MeterValues", meter_values(*flood)))
        rows = await all_rows(store, tables.meter_samples)
    words = Counter(row["signature"] for row in rows)
    assert words == {"unreadable": MOST_JUDGED, "too_many": 5}
