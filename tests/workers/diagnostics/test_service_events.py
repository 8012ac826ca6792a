"""Events of diagnostics and firmware: each effect told once, whatever is retried."""

from typing import Any

from contracts.versions import Version
from tests.support.incoming_calls import call
from tests.support.worker_store import handle, migrated_store, told
from workers.authorization.service import service as authorization
from workers.diagnostics.service import service as diagnostics
from workers.firmware.service import service as firmware
from workers.settings import WorkerSettings

DIAGNOSTICS, FIRMWARE = diagnostics(WorkerSettings()), firmware(WorkerSettings())
AUTHORIZATION = authorization(WorkerSettings())


async def test_a_connector_is_told_of_when_its_state_changes(database_url):
    def status(word, second, error="NoError") -> dict[str, Any]:
        time = f"2026-05-01T11:59:{second:02}Z"
        return {"connectorId": 1, "status": word, "errorCode": error, "timestamp": time}

    available, charging = status("Available", 1), status("Charging", 3)
    reports = (
        available,
        available,
        status("Available", 2),
        charging,
        available,
        status("Charging", 4, "HighTemperature"),
    )
    async with migrated_store(database_url) as store:
        for report in reports:
            await handle(store, DIAGNOSTICS, call("StatusNotification", report))
        found = await told(store, "connector.status_changed")
    assert [(one["status"], one["error_code"]) for one in found] == [
        ("Available", "NoError"),
        ("Charging", "NoError"),
        ("Charging", "HighTemperature"),
    ]
    assert (found[0]["evse_id"], found[0]["connector_id"]) == (None, 1)


async def test_a_security_event_is_told_once(database_url):
    payload = {"type": "TamperDetectionActivated", "timestamp": "2026-05-01T11:59:00Z"}
    async with migrated_store(database_url) as store:
        for _ in range(2):
            await handle(store, DIAGNOSTICS, call("SecurityEventNotification", payload))
        (found,) = await told(store)
    assert (found["event"], found["type"]) == ("security.event", "TamperDetectionActivated")


async def test_a_status_report_without_a_job_is_told_once_and_idle_never(database_url):
    async with migrated_store(database_url) as store:
        report = call("FirmwareStatusNotification", {"status": "Downloading"})
        for one in (report, report, call("FirmwareStatusNotification", {"status": "Idle"})):
            await handle(store, FIRMWARE, one)
        upload = call("LogStatusNotification", {"status": "Uploading", "requestId": 7}, version=Version.V201)
        await handle(store, DIAGNOSTICS, upload)
        found = await told(store)
    assert [(one["event"], one["status"], one["request_id"]) for one in found] == [
        ("firmware.status_changed", "Downloading", None),
        ("diagnostics.status_changed", "Uploading", 7),
    ]


async def test_a_redelivered_boot_is_told_once(database_url):
    boot = call("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M", "firmwareVersion": "1"})
    later = call("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"}, after_s=1)
    async with migrated_store(database_url) as store:
        for one in (boot, boot, later):
            await handle(store, AUTHORIZATION, one)
        found = await told(store, "charge_point.booted")
    assert [(one["registration"], one["vendor"], one["firmware_version"]) for one in found] == [
        ("accepted", "V", "1"),
        ("accepted", "V", None),
    ]
