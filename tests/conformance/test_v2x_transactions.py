"""OCPP 2.0.1 and 2.1 transactions: events in any order and repeated; OCTT C_02 to C_39, E_03 to E_53."""

import itertools
from datetime import datetime
from typing import Any

import pytest

from contracts.versions import Version
from tests.support.live import LiveSystem, Records
from tests.support.stations import ask
from workers.store import tables as t
from workers.store import transactions

VERSIONS = pytest.mark.parametrize("version", [Version.V201, Version.V21])
SOLO = {Version.V201: "TAG-SOLO-201", Version.V21: "TAG-SOLO-21"}


def token(text: str) -> dict[str, str]:
    return {"idToken": text, "type": "ISO14443"}


def event(kind: str, seq_no: int, minute: int, *, reference: str = "T-1", wh: float | None = None, **more: Any) -> Any:
    moment = f"2026-05-01T12:{minute:02}:00Z"
    info = {"transactionId": reference, **more.pop("info", {})}
    reasons = {"Started": "Authorized", "Updated": "MeterValuePeriodic", "Ended": "StopAuthorized"}
    payload = {
        "eventType": kind,
        "timestamp": moment,
        "triggerReason": reasons[kind],
        "seqNo": seq_no,
        "transactionInfo": info,
        **more,
    }
    if wh is not None:
        payload["meterValue"] = [{"timestamp": moment, "sampledValue": [{"value": wh}]}]
    return payload


SESSION = [
    event("Started", 0, 0, wh=1000, idToken=token("TAG-OK"), evse={"id": 1, "connectorId": 1}),
    event("Updated", 1, 10, wh=2500, info={"chargingState": "Charging"}),
    event("Updated", 2, 20, wh=4000, info={"chargingState": "SuspendedEV"}),
    event("Ended", 3, 30, wh=4200, idToken=token("TAG-OK"), info={"stoppedReason": "Local", "chargingState": "Idle"}),
]


async def state_of(records: Records) -> dict[str, Any]:
    row = await records.one(t.transactions)
    names = (
        "reference", "state", "evse_id", "connector_id", "id_token", "started_at", "ended_at", "meter_start_wh",
        "meter_stop_wh", "energy_wh", "stop_reason", "charging_state", "token_status", "flags",
    )  # fmt: skip
    return {name: row[name] for name in names}


EXPECTED = {
    "reference": "T-1",
    "state": "ended",
    "evse_id": 1,
    "connector_id": 1,
    "id_token": "TAG-OK",
    "started_at": datetime.fromisoformat("2026-05-01T12:00:00Z"),
    "ended_at": datetime.fromisoformat("2026-05-01T12:30:00Z"),
    "meter_start_wh": 1000,
    "meter_stop_wh": 4200,
    "energy_wh": 3200,
    "stop_reason": "Local",
    "charging_state": "Idle",
    "token_status": "Accepted",
    "flags": "",
}


@VERSIONS
async def test_events_in_any_order_and_repeated_make_the_same_transaction(
    live: LiveSystem, records: Records, identity: str, version: Version
):
    """OCTT E_03 and E_04; each order is a charge point of its own."""
    for number, order in enumerate(itertools.permutations(SESSION)):
        name = f"{identity}-{number}"
        async with live.station(name, version) as station, live.records(name) as own:
            for payload in (*order, *order[:2]):
                reply = await ask(station, version, "TransactionEvent", payload)
                told = None if reply.id_token_info is None else reply.id_token_info["status"]
                assert told == ("Accepted" if "idToken" in payload else None)  # E01.FR.12
            assert await state_of(own) == EXPECTED, [payload["seqNo"] for payload in order]
            assert len(await own.of(t.transaction_events)) == 4
            assert len(await own.of(t.meter_samples)) == 4


@VERSIONS
async def test_a_running_transaction_shows_its_energy_so_far(
    live: LiveSystem, records: Records, identity: str, version: Version
):
    async with live.station(identity, version) as station:
        for payload in SESSION[:2]:
            await ask(station, version, "TransactionEvent", payload)
    async with records.store.transaction(read_only=True) as transaction:
        (view,) = await transactions.list_transactions(transaction, identity=identity)
        register = await transactions.series(transaction, view, "Energy.Active.Import.Register")
    assert (view.state, view.energy_wh) == ("active", 1500)
    assert [point.value for point in register] == [1000, 2500]


@VERSIONS
async def test_sequence_numbers_begin_again_with_every_transaction(
    live: LiveSystem, records: Records, identity: str, version: Version
):
    """OCTT E_53."""
    async with live.station(identity, version) as station:
        for reference in ("T-1", "T-2"):
            for payload in (event("Started", 0, 0, reference=reference), event("Ended", 1, 5, reference=reference)):
                await ask(station, version, "TransactionEvent", payload)
    rows = await records.of(t.transactions)
    assert sorted((row["reference"], row["state"]) for row in rows) == [("T-1", "ended"), ("T-2", "ended")]
    assert len(await records.of(t.transaction_events)) == 4


@VERSIONS
@pytest.mark.parametrize(
    ("text", "info"),
    [
        ("TAG-OK", {"status": "Accepted"}),
        ("tag-ok", {"status": "Accepted"}),
        ("TAG-BLOCKED", {"status": "Blocked"}),
        ("TAG-EXPIRED", {"status": "Expired", "cache_expiry_date_time": "2020-01-01T00:00:00.000Z"}),
        ("NOBODY", {"status": "Invalid"}),
        ("TAG-FATHER", {"status": "Accepted", "group_id_token": {"id_token": "FAMILY", "type": "Central"}}),
    ],
)
async def test_a_token_is_judged_alike_in_authorize_and_started(
    live: LiveSystem, records: Records, identity: str, version: Version, text: str, info: dict[str, Any]
):
    """OCTT C_02, C_06, C_07 and C_39; E_16: an invalid one is stored all the same, and its end answered."""
    async with live.station(identity, version) as station:
        authorized = await ask(station, version, "Authorize", {"idToken": token(text)})
        started = await ask(station, version, "TransactionEvent", event("Started", 0, 0, idToken=token(text)))
        ended = event("Ended", 1, 1, info={"stoppedReason": "DeAuthorized"})
        await ask(station, version, "TransactionEvent", ended)
    assert authorized.id_token_info == info
    assert started.id_token_info == info
    row = await records.one(t.transactions)
    assert (row["token_status"], row["state"], row["stop_reason"]) == (info["status"], "ended", "DeAuthorized")


@VERSIONS
async def test_no_authorization_is_accepted(live: LiveSystem, records: Records, identity: str, version: Version):
    """C02.FR.02."""
    nobody = {"idToken": "", "type": "NoAuthorization"}
    async with live.station(identity, version) as station:
        started = await ask(station, version, "TransactionEvent", event("Started", 0, 0, idToken=nobody))
    assert started.id_token_info["status"] == "Accepted"
    assert (await records.one(t.transactions))["state"] == "active"


@VERSIONS
async def test_a_token_charging_elsewhere_is_concurrent(
    live: LiveSystem, records: Records, identity: str, version: Version
):
    tag = token(SOLO[version])
    async with live.station(identity, version) as here, live.station(f"{identity}-B", version) as there:
        first = await ask(here, version, "TransactionEvent", event("Started", 0, 0, idToken=tag))
        assert first.id_token_info["status"] == "Accepted"
        second = await ask(there, version, "TransactionEvent", event("Started", 0, 1, idToken=tag))
        assert second.id_token_info["status"] == "ConcurrentTx"
        again = await ask(here, version, "TransactionEvent", event("Started", 0, 0, idToken=tag))
        assert again == first


@VERSIONS
async def test_offline_events_and_links_are_stored(live: LiveSystem, records: Records, identity: str, version: Version):
    """OCTT F_01 to F_04: the remoteStartId ties the transaction to its request."""
    started = event("Started", 0, 0, offline=True, info={"remoteStartId": 42}, reservationId=7)
    async with live.station(identity, version) as station:
        await ask(station, version, "TransactionEvent", started)
    row = await records.one(t.transactions)
    assert (row["remote_start_id"], row["reservation_id"]) == (42, 7)
    assert (await records.one(t.transaction_events))["offline"] is True


@VERSIONS
async def test_meter_values_keep_multiplier_phase_and_signature(
    live: LiveSystem, records: Records, identity: str, version: Version
):
    """OCTT J_01."""
    signed = {"signedMeterData": "AA==", "signingMethod": "x", "encodingMethod": "OCMF", "publicKey": "BB=="}
    sampled = {
        "value": 1.5,
        "measurand": "Energy.Active.Import.Interval",
        "phase": "L1",
        "context": "Sample.Clock",
        "location": "Inlet",
        "unitOfMeasure": {"unit": "kWh", "multiplier": 1},
        "signedMeterValue": signed,
    }
    values = {"evseId": 1, "meterValue": [{"timestamp": "2026-05-01T12:00:00.5+02:00", "sampledValue": [sampled]}]}
    async with live.station(identity, version) as station:
        for _ in range(2):
            await ask(station, version, "MeterValues", values)
    row = await records.one(t.meter_samples)
    assert (row["normal_value"], row["normal_unit"], row["raw_value"]) == (15000, "Wh", "1.5")
    assert (row["phase"], row["context"], row["location"]) == ("L1", "Sample.Clock", "Inlet")
    assert row["signed_value"] == signed
    assert row["sampled_at"] == datetime.fromisoformat("2026-05-01T10:00:00.500Z")
