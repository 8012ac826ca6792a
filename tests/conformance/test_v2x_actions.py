"""OCPP 2.0.1 and 2.1: the actions that work, valid and invalid; the others are NotSupported by name."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from ocpp.exceptions import NotSupportedError
from ocpp.messages import unpack

from contracts.actions import TRANSACTION_ACTIONS
from contracts.versions import Version
from tests.support.calls_2x import AT, VALID, unserved
from tests.support.live import LiveSystem, Records
from tests.support.payloads import least_payload, missing, mistyped
from tests.support.stations import ask, exchange
from workers.store import tables as t
from workers.store.device_model import device_events, device_reports, device_variables
from workers.store.faults import faults
from workers.store.job_tables import job_history
from workers.store.security_events import security_events

VERSIONS = pytest.mark.parametrize("version", [Version.V201, Version.V21])
MOMENT = datetime.fromisoformat(AT)
TIMED = {"MeterValues", "NotifyEvent", "NotifyReport", "SecurityEventNotification", "TransactionEvent"}
"""What carries a time or number of its own: it is stored once, however often it comes."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What the reply must say, and the columns that the charge point's only row of a table must have."""

    columns: dict[str, Any]
    reply: dict[str, Any] = field(default_factory=dict)


# fmt: off
EFFECTS: dict[str, list[tuple[Any, Effect]]] = {
    "Authorize": [
        (t.authorizations, Effect(
            {"id_token": "TAG-OK", "status": "Accepted"}, {"id_token_info": {"status": "Accepted"}},
        )),
    ],
    "BootNotification": [
        (t.charge_points, Effect(
            {"registration": "accepted", "vendor": "Example", "model": "Pole", "serial_number": "S-1",
             "firmware_version": "1.2.3", "iccid": "8931", "imsi": "2040", "boot_reason": "PowerUp"},
            {"status": "Accepted", "interval": 300},
        )),
    ],
    "DataTransfer": [
        (t.data_transfers, Effect({"data": {"open": ["to", "all"]}, "status": "Accepted"}, {"status": "Accepted"})),
    ],
    "FirmwareStatusNotification": [
        (job_history, Effect({"service": "firmware", "status": "Installed", "request_id": 7})),
    ],
    "Heartbeat": [(t.charge_points, Effect({"registration": "accepted"}))],
    "LogStatusNotification": [(job_history, Effect({"service": "diagnostics", "status": "Uploaded", "request_id": 7}))],
    "MeterValues": [
        (t.meter_samples, Effect(
            {"evse_id": 1, "transaction_ref": "", "measurand": "Voltage", "value": 12.5, "sampled_at": MOMENT,
             "flags": ""},
        )),
    ],
    "NotifyEvent": [
        (device_events, Effect({"event_id": 5, "component": "TiltSensor", "evse_id": 1, "tech_code": "E5"})),
        (faults, Effect(
            {"place": "TiltSensor", "kind": "hardware", "evse_id": 1, "started_at": MOMENT, "ended_at": None},
        )),
    ],
    "NotifyReport": [
        (device_reports, Effect({"request_id": 9, "complete": True})),
        (device_variables, Effect(
            {"component": "SmartChargingCtrlr", "variable": "Enabled", "attribute": "Actual", "value": "true",
             "data_type": "boolean", "supports_monitoring": True},
        )),
    ],
    "SecurityEventNotification": [
        (security_events, Effect({"type": "SettingSystemTime", "tech_info": "by hand", "occurred_at": MOMENT})),
    ],
    # Without a certificate authority the request is kept, and refused.
    "SignCertificate": [
        (t.parked_messages, Effect(
            {"action": "SignCertificate", "payload": VALID["SignCertificate"]}, {"status": "Rejected"},
        )),
    ],
    "StatusNotification": [
        (t.connector_states, Effect({"evse_id": 1, "connector_id": 2, "status": "Available", "reported_at": MOMENT})),
    ],
    "TransactionEvent": [
        (t.transactions, Effect(
            {"reference": "T-1", "state": "active", "evse_id": 1, "connector_id": 2, "id_token": "TAG-OK",
             "charging_state": "Charging", "token_status": "Accepted", "started_at": MOMENT, "flags": ""},
            {"id_token_info": {"status": "Accepted"}},
        )),
        (t.transaction_events, Effect({"event_type": "Started", "trigger_reason": "Authorized", "flags": ""})),
    ],
}
# fmt: on


def test_every_action_that_works_is_here():
    assert set(EFFECTS) == set(VALID)
    assert len(unserved(Version.V201)) == 12
    assert len(unserved(Version.V21)) == 23


@VERSIONS
@pytest.mark.parametrize("action", EFFECTS)
async def test_a_valid_call_is_answered_and_its_effect_is_in_the_store(
    live: LiveSystem, records: Records, identity: str, version: Version, action: str
):
    async with live.station(identity, version) as station:
        reply = await ask(station, version, action, VALID[action])
        rows = [await records.one(table) for table, _ in EFFECTS[action]]
        if action in TIMED:
            assert await ask(station, version, action, VALID[action]) == reply
            assert [await records.one(table) for table, _ in EFFECTS[action]] == rows
    for (_, effect), row in zip(EFFECTS[action], rows, strict=True):
        assert {name: row[name] for name in effect.columns} == effect.columns
        assert {name: getattr(reply, name) for name in effect.reply} == effect.reply


@VERSIONS
async def test_every_other_action_of_a_charge_point_is_not_supported_by_name(
    live: LiveSystem, identity: str, version: Version
):
    async with live.socket(identity, version) as socket:
        for action in unserved(version):
            frame = await exchange(socket, action, least_payload(version, action))
            assert frame[0] == 4, action
            assert frame[2] == "NotSupported", action
            assert action in frame[3]
            assert isinstance(unpack(f'[4,"1","{frame[2]}","",{{}}]').to_exception(), NotSupportedError)
        assert (await exchange(socket, "Heartbeat", {}))[0] == 3


@VERSIONS
async def test_unknown_actions_and_those_of_the_other_direction(live: LiveSystem, identity: str, version: Version):
    async with live.socket(identity, version) as socket:
        for action in ("Authorise", "StartTransaction", "StopTransaction", "heartbeat", "NoSuchAction"):
            assert (await exchange(socket, action, {}))[2] == "NotImplemented", action
        for action in ("Reset", "GetVariables", "RequestStartTransaction", "SetVariables"):
            assert (await exchange(socket, action, {}))[2] == "NotSupported", action


@VERSIONS
@pytest.mark.parametrize("action", sorted(set(VALID) - TRANSACTION_ACTIONS))
async def test_an_invalid_call_gets_the_code_of_2x(live: LiveSystem, identity: str, version: Version, action: str):
    valid = VALID[action]
    async with live.socket(identity, version) as socket:
        for name, payload in missing(version, action, valid):
            assert (await exchange(socket, action, payload))[2] == "OccurrenceConstraintViolation", name
        for name, payload in mistyped(version, action, valid):
            if not (action == "DataTransfer" and name == "data"):
                assert (await exchange(socket, action, payload))[2] == "TypeConstraintViolation", name
        assert (await exchange(socket, action, {**valid, "unexpectedField": 1}))[2] == "FormatViolation"
        assert (await exchange(socket, "Heartbeat", {}))[0] == 3


@VERSIONS
@pytest.mark.parametrize("action", ["TransactionEvent", "MeterValues"])
async def test_invalid_billing_data_is_confirmed_and_flagged_or_parked(
    live: LiveSystem, records: Records, identity: str, version: Version, action: str
):
    def spoilt(payload: dict[str, Any]) -> dict[str, dict[str, Any]]:
        return {
            **{f"without {name}": bad for name, bad in missing(version, action, payload)},
            **{f"bad {name}": bad for name, bad in mistyped(version, action, payload)},
            "extra": {**payload, "unexpectedField": 1},
        }

    async with live.socket(identity, version) as socket:
        for number, how in enumerate(spoilt(VALID[action])):
            reference, moment = f"T-{number}", f"2026-05-01T13:{number:02}:00Z"
            valid = {**VALID[action], "timestamp": moment, "transactionInfo": {"transactionId": reference}}
            if action == "MeterValues":
                valid = {"evseId": 1, "meterValue": [{**VALID[action]["meterValue"][0], "timestamp": moment}]}
            payload = spoilt(valid)[how]
            frame = await exchange(socket, action, payload)
            assert frame[0] == 3, how
            if action == "TransactionEvent" and "idToken" in payload and "idToken" not in how:
                assert "idTokenInfo" in frame[2], how
            kept = [row["payload"] for row in await records.of(t.parked_messages)]
            events = await records.of(t.transaction_events, transaction_ref=reference)
            samples = [
                row for row in await records.of(t.meter_samples) if row["sampled_at"] == datetime.fromisoformat(moment)
            ]
            flagged = [bool(row["flags"]) for row in [*events, *samples]]
            assert payload in kept or (flagged and all(flagged)), how


@VERSIONS
async def test_report_pages_are_joined(live: LiveSystem, records: Records, identity: str, version: Version):
    """OCTT B_12."""
    page = VALID["NotifyReport"]
    (entry,) = page["reportData"]
    async with live.station(identity, version) as station:
        for number, name in enumerate(("One", "Two", "Three")):
            data = [{**entry, "component": {"name": name}}]
            values = {**page, "seqNo": number, "tbc": number < 2, "reportData": data}
            assert (await records.of(device_reports, complete=True)) == []
            await ask(station, version, "NotifyReport", values)
    assert (await records.one(device_reports))["complete"] is True
    assert {row["component"] for row in await records.of(device_variables)} == {"One", "Two", "Three"}


@VERSIONS
async def test_faults_of_connectors_have_a_start_an_end_and_a_duration(
    live: LiveSystem, records: Records, identity: str, version: Version
):
    place = {"evseId": 1, "connectorId": 1}
    async with live.station(identity, version) as station:
        for moment, status in (("12:00:00", "Faulted"), ("12:00:30", "Faulted"), ("12:01:30", "Available")):
            values = {"timestamp": f"2026-05-01T{moment}Z", "connectorStatus": status, **place}
            await ask(station, version, "StatusNotification", values)
    fault = await records.one(faults)
    assert (fault["started_at"], fault["duration_s"], fault["severe"]) == (MOMENT, 90, True)


@VERSIONS
async def test_a_component_problem_lasts_until_it_is_cleared(
    live: LiveSystem, records: Records, identity: str, version: Version
):
    (problem,) = VALID["NotifyEvent"]["eventData"]
    cleared = {**problem, "eventId": 6, "timestamp": "2026-05-01T12:00:09.5Z", "cleared": True}
    async with live.station(identity, version) as station:
        for entry in (problem, cleared):
            await ask(station, version, "NotifyEvent", {**VALID["NotifyEvent"], "eventData": [entry]})
    fault = await records.one(faults)
    assert (fault["place"], fault["kind"], fault["duration_s"]) == ("TiltSensor", "hardware", 9.5)
