"""OCPP 1.6 faults: registered once, classified, with start, end and duration; OCTT 024, 077 and 078."""

from datetime import datetime
from typing import Any

import pytest

from contracts.versions import Version
from tests.support.live import LiveSystem, Records
from tests.support.stations import ask
from workers.store import tables as t
from workers.store.faults import faults
from workers.store.security_events import security_events

V16 = Version.V16


def at(minute: int) -> str:
    return f"2026-05-01T12:{minute:02}:00Z"


def status(minute: int, state: str, error: str = "NoError", connector: int = 1, **more: str) -> dict[str, Any]:
    return {"connectorId": connector, "errorCode": error, "status": state, "timestamp": at(minute), **more}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ConnectorLockFailure", "hardware"),
        ("GroundFailure", "hardware"),
        ("InternalError", "software"),
        ("EVCommunicationError", "external"),
        ("UnderVoltage", "external"),
        ("OtherError", "unknown"),
    ],
)
async def test_a_fault_lasts_from_its_first_report_to_the_first_without(
    live: LiveSystem, records: Records, identity: str, code: str, kind: str
):
    async with live.station(identity, V16) as station:
        for report in (
            status(0, "Available"),
            status(1, "Faulted", code, info="stuck", vendorErrorCode="E1"),
            status(2, "Faulted", code, info="stuck", vendorErrorCode="E1"),
        ):
            await ask(station, V16, "StatusNotification", report)
        fault = await records.one(faults)
        assert (fault["code"], fault["kind"], fault["ended_at"]) == (code, kind, None)
        assert (await records.one(t.connector_states))["status"] == "Faulted"
        await ask(station, V16, "StatusNotification", status(5, "Available"))
    fault = await records.one(faults)
    assert (fault["started_at"], fault["ended_at"]) == (datetime.fromisoformat(at(1)), datetime.fromisoformat(at(5)))
    assert (fault["duration_s"], fault["info"], fault["vendor_error_code"]) == (240, "stuck", "E1")
    assert (await records.one(t.connector_states))["status"] == "Available"


async def test_connectors_have_faults_of_their_own_and_another_code_is_another_fault(
    live: LiveSystem, records: Records, identity: str
):
    async with live.station(identity, V16) as station:
        for report in (
            status(0, "Faulted", "HighTemperature", 1),
            status(0, "Faulted", "PowerMeterFailure", 2),
            status(3, "Faulted", "GroundFailure", 1),
            status(4, "Charging", "WeakSignal", 0),
        ):
            await ask(station, V16, "StatusNotification", report)
    found = {(row["connector_id"], row["code"]): row["duration_s"] for row in await records.of(faults)}
    assert found == {
        (1, "HighTemperature"): 180,
        (1, "GroundFailure"): None,
        (2, "PowerMeterFailure"): None,
        (0, "WeakSignal"): None,
    }


async def test_a_late_report_changes_neither_state_nor_register(live: LiveSystem, records: Records, identity: str):
    async with live.station(identity, V16) as station:
        for report in (status(10, "Available"), status(5, "Faulted", "GroundFailure")):
            await ask(station, V16, "StatusNotification", report)
    assert (await records.one(t.connector_states))["status"] == "Available"
    assert await records.of(faults, ended_at=None) == []


async def test_security_events_of_any_type_are_confirmed_and_kept_once(
    live: LiveSystem, records: Records, identity: str
):
    known = {"type": "InvalidChargePointCertificate", "timestamp": at(0), "techInfo": "expired"}
    odd = {"type": "SomethingNobodyHeardOf", "timestamp": at(1), "techInfo": "?"}
    async with live.station(identity, V16) as station:
        for event in (known, known, odd):
            await ask(station, V16, "SecurityEventNotification", event)
    rows = await records.of(security_events)
    assert [(row["type"], row["tech_info"]) for row in rows] == [
        ("InvalidChargePointCertificate", "expired"),
        ("SomethingNobodyHeardOf", "?"),
    ]
