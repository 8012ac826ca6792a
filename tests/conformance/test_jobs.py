"""Firmware and log jobs: a backend asks over AMQP, the charge point is told and reports, the store follows.

OCTT 044, 045, 079 to 081 (1.6); L_01, L_06, L_10, N_25, N_35 and N_36 (2.x).
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from contracts.actions import Service
from contracts.versions import Version
from tests.support.backend import Backend, backend_on
from tests.support.calling import until
from tests.support.live import LiveSystem, Records
from tests.support.stations import ANSWER_WITHIN_S, ask
from workers.store.job_tables import job_history, jobs

V2X = pytest.mark.parametrize("version", [Version.V201, Version.V21])
FIRMWARE = {
    "location": "https://example.com/fw.bin",
    "retrieveDateTime": "2026-05-01T12:00:00Z",
    "signingCertificate": "-----BEGIN CERTIFICATE-----",
    "signature": "bm90IGEgc2lnbmF0dXJl",
}
PLAIN = {"location": FIRMWARE["location"], "retrieveDate": "2026-05-01T12:00:00Z", "retries": 2}
LOG = {"logType": "SecurityLog", "log": {"remoteLocation": "https://example.com/logs"}}


@pytest.fixture
async def backend(live: LiveSystem) -> AsyncIterator[Backend]:
    async with backend_on(live.amqp_url) as backend:
        yield backend
        assert await backend.dead_letters() == 0


async def job_of(records: Records, job_id: str, *, left: str | None = None) -> dict[str, Any]:
    """The job as stored, once it is in another state than `left`."""
    async with asyncio.timeout(ANSWER_WITHIN_S):
        while (job := await records.one(jobs, job_id=job_id))["state"] == left:
            pass
    return job


async def told(station: Any, action: str, count: int = 1) -> dict[str, Any]:
    """The charge point's newest request of this action, once there are that many."""
    await until(lambda: len(station.requests(action)) >= count)
    request: dict[str, Any] = station.requests(action)[-1]
    return request


async def statuses_of(records: Records, job_id: str, source: str) -> list[str]:
    return [row["status"] for row in await records.of(job_history, job_id=job_id, source=source)]


FIRMWARE_ENDS = [
    ["Downloading", "Downloaded", "Installing", "Installed"],
    ["Downloading", "DownloadFailed"],
    ["Downloading", "Downloaded", "Installing", "InstallationFailed"],
]


@pytest.mark.parametrize("statuses", FIRMWARE_ENDS, ids=["044_1", "044_2", "044_3"])
async def test_16_firmware_is_updated_and_followed_to_its_end(
    live: LiveSystem, records: Records, backend: Backend, identity: str, statuses: list[str]
):
    async with live.station(identity, Version.V16) as station:
        await ask(station, Version.V16, "FirmwareStatusNotification", {"status": "Idle"})
        job_id, receipt = await backend.request_job(Service.FIRMWARE, identity, "UpdateFirmware", PLAIN)
        assert receipt.accepted
        request = await told(station, "UpdateFirmware")
        assert (request["location"], request["retries"]) == (PLAIN["location"], 2)
        for status in statuses:
            await ask(station, Version.V16, "FirmwareStatusNotification", {"status": status})
        job = await job_of(records, job_id)
    assert job["state"] == statuses[-1]
    assert job["ended_at"] is not None
    assert await statuses_of(records, job_id, "FirmwareStatusNotification") == statuses


@pytest.mark.parametrize(
    "statuses",
    [
        ["Downloading", "Downloaded", "SignatureVerified", "Installing", "InstallRebooting", "Installed"],
        ["Downloading", "Downloaded", "InvalidSignature"],
    ],
    ids=["080", "081"],
)
async def test_16_signed_firmware_is_updated_and_followed_to_its_end(
    live: LiveSystem, records: Records, backend: Backend, identity: str, statuses: list[str]
):
    action = "SignedFirmwareStatusNotification"
    async with live.station(identity, Version.V16) as station:
        await ask(station, Version.V16, "Heartbeat", {})
        job_id, receipt = await backend.request_job(
            Service.FIRMWARE, identity, "SignedUpdateFirmware", {"firmware": FIRMWARE}
        )
        assert receipt.accepted
        request = await told(station, "SignedUpdateFirmware")
        assert request["firmware"]["signature"] == FIRMWARE["signature"]
        for status in statuses:
            await ask(station, Version.V16, action, {"status": status, "requestId": request["request_id"]})
        job = await job_of(records, job_id)
    assert (job["state"], job["request_id"]) == (statuses[-1], request["request_id"])
    assert await statuses_of(records, job_id, action) == statuses


@pytest.mark.parametrize("answer", ["Rejected", "InvalidCertificate", "RevokedCertificate"])
async def test_a_refused_update_is_over_and_the_reason_stored(
    live: LiveSystem, records: Records, backend: Backend, identity: str, answer: str
):
    async with live.station(identity, Version.V16) as station:
        station.answers["SignedUpdateFirmware"] = {"status": answer}
        await ask(station, Version.V16, "Heartbeat", {})
        request = {"firmware": FIRMWARE}
        job_id, _ = await backend.request_job(Service.FIRMWARE, identity, "SignedUpdateFirmware", request)
        job = await job_of(records, job_id, left="Pending")
    assert (job["state"], job["answer"]) == (answer, {"status": answer})


async def test_a_job_asked_for_twice_is_one_job(live: LiveSystem, records: Records, backend: Backend, identity: str):
    async with live.station(identity, Version.V16) as station:
        await ask(station, Version.V16, "Heartbeat", {})
        job_id, first = await backend.request_job(Service.FIRMWARE, identity, "UpdateFirmware", PLAIN)
        await job_of(records, job_id, left="Pending")
        _, again = await backend.request_job(Service.FIRMWARE, identity, "UpdateFirmware", PLAIN, job_id=job_id)
        changed = {**PLAIN, "location": "https://example.com/other.bin"}
        _, other = await backend.request_job(Service.FIRMWARE, identity, "UpdateFirmware", changed, job_id=job_id)
        assert len(station.requests("UpdateFirmware")) == 1
    assert first.accepted
    assert again.accepted
    assert not other.accepted
    assert (await records.one(jobs))["payload"]["location"] == PLAIN["location"]


async def test_a_request_that_no_charge_point_could_take_is_refused(backend: Backend, identity: str):
    for service, action, payload in (
        (Service.FIRMWARE, "UpdateFirmware", {"location": 5}),
        (Service.FIRMWARE, "Reset", {"type": "Hard"}),
        (Service.DIAGNOSTICS, "GetLog", {"logType": "Poem", "log": {"remoteLocation": "x"}}),
    ):
        _, receipt = await backend.request_job(service, identity, action, payload)
        assert not receipt.accepted
        assert receipt.reason


@pytest.mark.parametrize("end", ["Uploaded", "UploadFailed"])
async def test_16_diagnostics_are_uploaded_and_followed_to_their_end(
    live: LiveSystem, records: Records, backend: Backend, identity: str, end: str
):
    """OCTT 045_1 and 045_2."""
    action, location = "DiagnosticsStatusNotification", {"location": "ftp://example.com/logs"}
    async with live.station(identity, Version.V16) as station:
        await ask(station, Version.V16, action, {"status": "Idle"})
        job_id, receipt = await backend.request_job(Service.DIAGNOSTICS, identity, "GetDiagnostics", location)
        assert receipt.accepted
        assert await told(station, "GetDiagnostics") == location
        for status in ("Uploading", end):
            await ask(station, Version.V16, action, {"status": status})
        job = await job_of(records, job_id)
    assert (job["state"], await statuses_of(records, job_id, action)) == (end, ["Uploading", end])


async def test_diagnostics_without_a_file_name_have_nothing_to_send(
    live: LiveSystem, records: Records, backend: Backend, identity: str
):
    async with live.station(identity, Version.V16) as station:
        station.answers["GetDiagnostics"] = {}
        await ask(station, Version.V16, "Heartbeat", {})
        location = {"location": "ftp://example.com/logs"}
        job_id, _ = await backend.request_job(Service.DIAGNOSTICS, identity, "GetDiagnostics", location)
        assert (await job_of(records, job_id, left="Pending"))["state"] == "NothingToSend"


@pytest.mark.parametrize("version", list(Version))
@pytest.mark.parametrize("end", ["Uploaded", "UploadFailure", "PermissionDenied"])
async def test_a_log_is_uploaded_and_followed_to_its_end(
    live: LiveSystem, records: Records, backend: Backend, identity: str, version: Version, end: str
):
    """OCTT 079 and N_25."""
    async with live.station(identity, version) as station:
        await ask(station, version, "Heartbeat", {})
        job_id, receipt = await backend.request_job(Service.DIAGNOSTICS, identity, "GetLog", LOG)
        assert receipt.accepted
        number = (await told(station, "GetLog"))["request_id"]
        for status in ("Uploading", end):
            await ask(station, version, "LogStatusNotification", {"status": status, "requestId": number})
        job = await job_of(records, job_id)
    assert job["state"] == {"UploadFailure": "UploadFailed"}.get(end, end)


@V2X
@pytest.mark.parametrize(
    "statuses",
    [
        ["Downloading", "Downloaded", "SignatureVerified", "Installing", "Installed"],
        ["Downloading", "Downloaded", "InvalidSignature"],
    ],
    ids=["L_01", "L_06"],
)
async def test_2x_firmware_is_updated_and_followed_to_its_end(
    live: LiveSystem, records: Records, backend: Backend, identity: str, version: Version, statuses: list[str]
):
    async with live.station(identity, version) as station:
        await ask(station, version, "Heartbeat", {})
        job_id, receipt = await backend.request_job(
            Service.FIRMWARE, identity, "UpdateFirmware", {"firmware": FIRMWARE}
        )
        assert receipt.accepted
        number = (await told(station, "UpdateFirmware"))["request_id"]
        for status in statuses:
            report = {"status": status, "requestId": number}
            await ask(station, version, "FirmwareStatusNotification", report)
        job = await job_of(records, job_id)
    assert job["state"] == statuses[-1]
    assert await statuses_of(records, job_id, "FirmwareStatusNotification") == statuses


@V2X
@pytest.mark.parametrize(
    ("service", "action", "payload"),
    [(Service.FIRMWARE, "UpdateFirmware", {"firmware": FIRMWARE}), (Service.DIAGNOSTICS, "GetLog", LOG)],
    ids=["L_10", "N_36"],
)
async def test_a_second_request_that_cancels_the_first_ends_its_job(
    live: LiveSystem,
    records: Records,
    backend: Backend,
    identity: str,
    version: Version,
    service: Service,
    action: str,
    payload: dict[str, Any],
):
    async with live.station(identity, version) as station:
        await ask(station, version, "Heartbeat", {})
        first, _ = await backend.request_job(service, identity, action, payload)
        await job_of(records, first, left="Pending")
        station.answers[action] = {"status": "AcceptedCanceled"}
        second, _ = await backend.request_job(service, identity, action, payload)
        request = await told(station, action, 2)
        assert (await job_of(records, second, left="Pending"))["state"] == "Accepted"
        assert (await job_of(records, first, left="Accepted"))["state"] == "Canceled"
        assert request["request_id"] != station.requests(action)[0]["request_id"]
