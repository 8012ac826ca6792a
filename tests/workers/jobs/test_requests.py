from datetime import timedelta
from typing import Any

import orjson
import pytest

from contracts.envelope import JobRequest
from contracts.versions import Version
from tests.support.incoming_calls import NOW
from tests.support.worker_store import migrated_store
from workers.diagnostics.log_jobs import LogLifecycle
from workers.firmware.service import JOB_ACTIONS, FirmwareLifecycle
from workers.jobs.lifecycle import Lifecycle
from workers.jobs.requests import Prepared, accept, command_id, prepare
from workers.store import jobs

DEADLINE_MS = int((NOW + timedelta(hours=1)).timestamp() * 1000)
PLAIN = {"location": "https://example.com/fw.bin", "retrieveDate": "2026-05-01T12:00:00Z"}
FIRMWARE_2X = {"location": "https://example.com/fw.bin", "retrieveDateTime": "2026-05-01T12:00:00Z"}
SIGNED = {"firmware": {**FIRMWARE_2X, "signingCertificate": "-----BEGIN", "signature": "c2ln"}}
LOG = {"logType": "SecurityLog", "log": {"remoteLocation": "https://example.com/logs"}}


def request(
    action: str = "UpdateFirmware",
    payload: Any = PLAIN,
    *,
    job_id: str = "job-1",
    identity: str = "CP-1",
    deadline_ms: int = DEADLINE_MS,
) -> JobRequest:
    body = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    return JobRequest(job_id, identity, action, body, deadline_ms)


def test_an_update_of_16_has_no_request_id():
    assert prepare(request(), JOB_ACTIONS, Version.V16, NOW) == Prepared(PLAIN, takes_request_id=False)


@pytest.mark.parametrize(
    ("action", "payload", "version"),
    [
        ("SignedUpdateFirmware", SIGNED, Version.V16),
        ("UpdateFirmware", {"firmware": FIRMWARE_2X}, Version.V201),
        ("UpdateFirmware", SIGNED, Version.V21),
        ("UpdateFirmware", SIGNED, None),
    ],
)
def test_other_updates_get_a_request_id_of_ours(action, payload, version):
    asked = {**payload, "requestId": 77}
    assert prepare(request(action, asked), JOB_ACTIONS, version, NOW) == Prepared(payload, takes_request_id=True)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (request("Reset"), "no such job"),
        (request(payload=b"{"), "not JSON"),
        (request(payload=b"[]"), "not a JSON object"),
        (request(payload={"location": "x"}), "retrieveDate"),
        (request(payload={**PLAIN, "retrieveDate": "tomorrow"}), "retrieveDate"),
        (request(payload={"firmware": FIRMWARE_2X}), "OCPP 1.6"),
        (request(job_id=""), "job id"),
        (request(job_id="x" * 200), "job id"),
        (request(identity=""), "identity"),
        (request(deadline_ms=int(NOW.timestamp() * 1000)), "deadline"),
        (request(deadline_ms=2**60), "deadline"),
        (request(payload=b" " * 70_000), "bytes"),
    ],
    ids=range(12),
)
def test_a_bad_request_is_refused_with_its_reason(wrong, reason):
    refused = prepare(wrong, JOB_ACTIONS, Version.V16, NOW)
    assert isinstance(refused, str)
    assert reason in refused


def test_a_signed_update_is_not_checked_for_its_signature():
    """OCTT 080/081: the charge point must meet a bad signature, so it must be possible to send one."""
    bad = {"firmware": {**SIGNED["firmware"], "signature": "nonsense"}}
    assert isinstance(prepare(request("SignedUpdateFirmware", bad), JOB_ACTIONS, Version.V16, NOW), Prepared)


def test_a_command_id_is_the_jobs_own_and_fits_ocpp():
    assert command_id("job-1", 0) == command_id("job-1", 0)
    assert len({command_id("job-1", 0), command_id("job-1", 1), command_id("job-2", 0)}) == 3
    assert len(command_id("x" * 128, 0)) == 36


async def test_the_same_request_again_is_the_same_job(database_url):
    async with migrated_store(database_url) as store:
        for expected_reason in ("", "known already"):
            async with store.transaction() as transaction:
                receipt = await accept(FirmwareLifecycle(), request(), NOW, transaction)
            assert (receipt.accepted, receipt.reason) == (True, expected_reason)
        async with store.transaction() as transaction:
            stored = await jobs.list_jobs(transaction, "firmware")
            history = await jobs.history(transaction, "job-1")
    assert [(job.job_id, job.state, job.payload) for job in stored] == [("job-1", "Pending", PLAIN)]
    assert [entry.status for entry in history] == ["Requested"]


async def test_a_job_id_cannot_mean_two_requests(database_url):
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        await accept(FirmwareLifecycle(), request(), NOW, transaction)
        receipt = await accept(FirmwareLifecycle(), request(identity="CP-2"), NOW, transaction)
    assert not receipt.accepted
    assert "another request" in receipt.reason


async def test_request_ids_are_unique_per_charge_point_across_services(database_url):
    asked: list[tuple[Lifecycle, JobRequest]] = [
        (FirmwareLifecycle(), request("SignedUpdateFirmware", SIGNED, job_id="a")),
        (LogLifecycle(), request("GetLog", LOG, job_id="b")),
        (LogLifecycle(), request("GetLog", LOG, job_id="c")),
        (LogLifecycle(), request("GetLog", LOG, job_id="d", identity="CP-2")),
    ]
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        for lifecycle, one in asked:
            assert (await accept(lifecycle, one, NOW, transaction)).accepted
        found = [await jobs.find(transaction, job_id) for job_id in "abcd"]
    assert [job.request_id for job in found if job] == [1, 2, 3, 1]
    assert [job.payload["requestId"] for job in found if job] == [1, 2, 3, 1]


async def test_a_newer_update_replaces_one_that_was_not_sent_yet(database_url):
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        await accept(FirmwareLifecycle(), request(job_id="old"), NOW, transaction)
        await accept(FirmwareLifecycle(), request(job_id="new"), NOW, transaction)
        old = await jobs.find(transaction, "old")
        history = await jobs.history(transaction, "old")
    assert old is not None
    assert (old.state, old.next_attempt_at, old.ended_at) == ("Canceled", None, NOW)
    assert history[-1].detail == {"replaced_by": "new"}


async def test_log_jobs_wait_beside_each_other(database_url):
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        await accept(LogLifecycle(), request("GetLog", LOG, job_id="old"), NOW, transaction)
        await accept(LogLifecycle(), request("GetLog", LOG, job_id="new"), NOW, transaction)
        waiting = await jobs.list_jobs(transaction, "diagnostics", open_only=True)
    assert [job.job_id for job in waiting] == ["new", "old"]
