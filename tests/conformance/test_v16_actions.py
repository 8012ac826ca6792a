"""OCPP 1.6: every action a charge point sends, valid: the package accepts the reply, and the effect is in the store."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Table

from contracts import actions
from contracts.versions import Version
from tests.support.calls_16 import AT, VALID
from tests.support.live import LiveSystem, Records
from tests.support.stations import ask
from workers.store import tables as t
from workers.store.job_tables import job_history
from workers.store.security_events import security_events


@dataclass(frozen=True, slots=True)
class Effect:
    """What the reply must say, and the columns that the charge point's only row of a table must have."""

    table: Table
    columns: dict[str, Any]
    reply: dict[str, Any] = field(default_factory=dict)


MOMENT = datetime.fromisoformat(AT)
EFFECTS: dict[str, Effect] = {
    "Authorize": Effect(
        t.authorizations, {"id_token": "TAG-OK", "status": "Accepted"}, {"id_tag_info": {"status": "Accepted"}}
    ),
    "BootNotification": Effect(
        t.charge_points,
        {
            "registration": "accepted",
            "ocpp_version": "1.6",
            "vendor": "Example",
            "model": "Pole",
            "serial_number": "S-1",
            "box_serial_number": "B-1",
            "firmware_version": "1.2.3",
            "iccid": "8931",
            "imsi": "2040",
            "meter_type": "M",
            "meter_serial_number": "M-1",
        },
        {"status": "Accepted", "interval": 300},
    ),
    "DataTransfer": Effect(
        t.data_transfers,
        {"vendor_id": "com.example.known", "message_id": "ping", "data": "hello", "status": "Accepted"},
        {"status": "Accepted", "data": "pong"},
    ),
    "DiagnosticsStatusNotification": Effect(
        job_history, {"service": "diagnostics", "source": "DiagnosticsStatusNotification", "status": "Uploaded"}
    ),
    "FirmwareStatusNotification": Effect(
        job_history, {"service": "firmware", "source": "FirmwareStatusNotification", "status": "Installed"}
    ),
    "Heartbeat": Effect(t.charge_points, {"registration": "accepted"}),
    "LogStatusNotification": Effect(
        job_history,
        {"service": "diagnostics", "source": "LogStatusNotification", "status": "Uploaded", "request_id": 7},
    ),
    "MeterValues": Effect(
        t.meter_samples,
        {
            "connector_id": 1,
            "transaction_ref": "",
            "sampled_at": MOMENT,
            "measurand": "Voltage",
            "raw_value": "12.5",
            "value": 12.5,
            "normal_unit": "V",
            "context": "Sample.Periodic",
            "location": "Outlet",
            "format": "Raw",
            "flags": "",
        },
    ),
    "SecurityEventNotification": Effect(
        security_events, {"type": "SettingSystemTime", "tech_info": "by hand", "occurred_at": MOMENT}
    ),
    # Nobody signs certificates yet; the request is answered for real and kept.
    "SignCertificate": Effect(
        t.parked_messages,
        {"action": "SignCertificate", "payload": VALID["SignCertificate"]},
        {"status": "Rejected"},
    ),
    "SignedFirmwareStatusNotification": Effect(
        job_history,
        {"service": "firmware", "source": "SignedFirmwareStatusNotification", "status": "Installed", "request_id": 7},
    ),
    "StartTransaction": Effect(
        t.transactions,
        {
            "state": "active",
            "connector_id": 1,
            "id_token": "TAG-OK",
            "token_status": "Accepted",
            "started_at": MOMENT,
            "meter_start_wh": 100,
            "flags": "",
        },
        {"id_tag_info": {"status": "Accepted"}},
    ),
    "StatusNotification": Effect(
        t.connector_states,
        {
            "connector_id": 1,
            "status": "Available",
            "error_code": "NoError",
            "info": "ready",
            "vendor_id": "com.example",
            "vendor_error_code": "0",
            "reported_at": MOMENT,
        },
    ),
    "StopTransaction": Effect(
        t.parked_messages,
        {
            "action": "StopTransaction",
            "reason": "transaction_unknown",
            "transaction_ref": "2000000000",
            "payload": VALID["StopTransaction"],
        },
    ),
}


def test_every_action_of_16_is_here():
    sent = {
        action.name for action in actions.table().values() if action.version is Version.V16 and action.from_charge_point
    }
    assert set(EFFECTS) == set(VALID) == sent


@pytest.mark.parametrize("action", EFFECTS)
async def test_a_valid_call_is_answered_and_its_effect_is_in_the_store(
    live: LiveSystem, records: Records, identity: str, action: str
):
    effect = EFFECTS[action]
    async with live.station(identity, Version.V16) as station:
        reply = await ask(station, Version.V16, action, VALID[action])
        row = await records.one(effect.table)
    assert {name: getattr(reply, name) for name in effect.reply} == effect.reply
    assert {name: row[name] for name in effect.columns} == effect.columns


async def test_boot_and_heartbeat_tell_the_time_and_are_noted(live: LiveSystem, records: Records, identity: str):
    async with live.station(identity, Version.V16) as station:
        boot = await ask(station, Version.V16, "BootNotification", VALID["BootNotification"])
        beat = await ask(station, Version.V16, "Heartbeat", {})
        row = await records.one(t.charge_points)
    for told in (boot.current_time, beat.current_time):
        assert told.endswith("Z")
        assert abs(datetime.now(UTC) - datetime.fromisoformat(told)) < timedelta(seconds=20)
    assert row["booted_at"] is not None
    assert row["last_heartbeat_at"] >= row["booted_at"]


@pytest.mark.parametrize(
    ("payload", "reply"),
    [
        ({"vendorId": "com.example.nobody"}, {"status": "UnknownVendorId"}),
        ({"vendorId": "com.example.narrow", "messageId": "other"}, {"status": "UnknownMessageId"}),
        ({"vendorId": "com.example.narrow", "messageId": "status"}, {"status": "Rejected"}),
        ({"vendorId": "COM.Example.Known"}, {"status": "Accepted", "data": "pong"}),
    ],
    ids=["unknown vendor", "unknown message", "rejected", "accepted"],
)
async def test_data_transfer_is_answered_by_vendor_and_message(
    live: LiveSystem, records: Records, identity: str, payload: dict[str, Any], reply: dict[str, Any]
):
    """OCTT 064."""
    async with live.station(identity, Version.V16) as station:
        answer = await ask(station, Version.V16, "DataTransfer", payload)
        row = await records.one(t.data_transfers)
    assert {name: value for name, value in vars(answer).items() if value is not None} == reply
    assert (row["vendor_id"], row["status"]) == (payload["vendorId"], reply["status"])
