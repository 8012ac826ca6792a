"""Firmware jobs on a real store: what is recorded of reports and outcomes."""

from datetime import timedelta
from typing import Any

import orjson
import pytest

from contracts.envelope import JobRequest, OutcomeEnvelope, OutcomeKind
from contracts.versions import Version
from tests.support.incoming_calls import NOW, call
from tests.support.worker_store import migrated_store
from workers.firmware.service import FirmwareLifecycle, service
from workers.jobs.dispatch import Dispatcher
from workers.jobs.requests import accept
from workers.runtime.calls import Answer
from workers.settings import WorkerSettings
from workers.store import jobs
from workers.store.engine import StoreTransaction
from workers.store.jobs import Job

LIFECYCLE = FirmwareLifecycle()
DISPATCHER = Dispatcher(LIFECYCLE)
HANDLERS = service(WorkerSettings()).handlers
SIGNED: dict[str, Any] = {
    "firmware": {
        "location": "https://example.com/fw.bin",
        "retrieveDateTime": "2026-05-01T12:00:00Z",
        "signingCertificate": "-----BEGIN",
        "signature": "c2ln",
    }
}
PLAIN = {"location": "https://example.com/fw.bin", "retrieveDate": "2026-05-01T12:00:00Z"}


async def new_job(
    transaction: StoreTransaction,
    job_id: str,
    action: str = "SignedUpdateFirmware",
    payload: dict[str, Any] = SIGNED,
    *,
    sent: bool = True,
) -> Job:
    deadline_ms = int((NOW + timedelta(hours=1)).timestamp() * 1000)
    receipt = await accept(
        LIFECYCLE, JobRequest(job_id, "CP-1", action, orjson.dumps(payload), deadline_ms), NOW, transaction
    )
    assert receipt.accepted, receipt.reason
    job = await found(transaction, job_id)
    if sent:
        assert await jobs.change(transaction, job, {"session": "session-1", "attempts": 1, "sent_at": NOW})
        job = await found(transaction, job_id)
    return job


async def found(transaction: StoreTransaction, job_id: str) -> Job:
    job = await jobs.find(transaction, job_id)
    assert job is not None
    return job


def outcome(
    job: Job, kind: OutcomeKind = OutcomeKind.RESULT, payload: dict[str, Any] | None = None, **more: Any
) -> OutcomeEnvelope:
    return OutcomeEnvelope(job.command_id, job.identity, kind, "gateway-1", payload=orjson.dumps(payload or {}), **more)


async def answered(transaction: StoreTransaction, job: Job, payload: dict[str, Any], *, fresh: bool = True) -> None:
    await DISPATCHER.settle(transaction, job.job_id, outcome(job, payload=payload), NOW, fresh=fresh)


async def report(
    transaction: StoreTransaction,
    status: str,
    request_id: int | None = None,
    *,
    version: Version = Version.V16,
    **more: Any,
) -> None:
    signed = version is Version.V16 and request_id is not None
    action = "SignedFirmwareStatusNotification" if signed else "FirmwareStatusNotification"
    payload = {"status": status} if request_id is None else {"status": status, "requestId": request_id}
    one = call(action, payload, version=version, **more)
    assert await HANDLERS[version, action](one, transaction) == Answer({})


@pytest.mark.parametrize("version", Version)
async def test_a_job_goes_through_its_states_with_a_whole_history(database_url, version):
    statuses = ["Downloading", "Downloaded", "SignatureVerified", "Installing", "Installed"]
    async with migrated_store(database_url) as store:
        async with store.transaction() as transaction:
            job = await new_job(transaction, "job-1")
            await answered(transaction, job, {"status": "Accepted"})
            for number, status in enumerate(statuses):
                await report(transaction, status, job.request_id, version=version, after_s=number)
        async with store.transaction(read_only=True) as transaction:
            job = await found(transaction, "job-1")
            history = await jobs.history(transaction, "job-1")
    assert (job.state, job.irregular, job.next_attempt_at) == ("Installed", False, None)
    assert job.ended_at is not None
    assert [entry.status for entry in history] == ["Requested", "Accepted", *statuses]
    assert [entry.state for entry in history][2:] == statuses
    reported = [entry.reported_at for entry in history][2:]
    assert reported == [NOW + timedelta(seconds=number) for number in range(5)]
    assert all(entry.received_at >= entry.reported_at for entry in history)


async def test_a_report_about_a_number_that_was_never_sent_is_unsolicited(database_url):
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        job = await new_job(transaction, "job-1", sent=False)
        await report(transaction, "Installed", job.request_id)
        job = await found(transaction, "job-1")
        assert (job.state, job.ended_at, job.next_attempt_at) == ("Pending", None, NOW)
        (stray,) = await jobs.unsolicited(transaction, "firmware")
        assert (stray.status, stray.request_id) == ("Installed", job.request_id)


async def test_a_plain_update_of_16_is_matched_without_a_request_id(database_url):
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        job = await new_job(transaction, "job-1", "UpdateFirmware", PLAIN)
        await answered(transaction, job, {})
        assert (await found(transaction, "job-1")).state == "Accepted"
        for status in ("Downloading", "Downloaded", "Installing", "Installed"):
            await report(transaction, status)
        assert (await found(transaction, "job-1")).state == "Installed"
        # as after the reboot
        await report(transaction, "Installed")
        assert len(await jobs.history(transaction, "job-1")) == 6
        assert not await jobs.unsolicited(transaction, "firmware")


@pytest.mark.parametrize("status", ["Rejected", "InvalidCertificate", "RevokedCertificate"])
async def test_a_refused_request_ends_the_job(database_url, status):
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        job = await new_job(transaction, "job-1")
        await answered(transaction, job, {"status": status})
        ended = await found(transaction, "job-1")
    assert (ended.state, ended.answer, ended.next_attempt_at) == (status, {"status": status}, None)
    assert ended.ended_at == NOW


@pytest.mark.parametrize("first_sign", ["answer", "report"])
async def test_a_new_update_cancels_the_old_once_the_charge_point_takes_it(database_url, first_sign):
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        old = await new_job(transaction, "old")
        await answered(transaction, old, {"status": "Accepted"})
        await report(transaction, "Downloading", old.request_id)
        new = await new_job(transaction, "new")
        assert (await found(transaction, "old")).state == "Downloading"
        if first_sign == "answer":
            await answered(transaction, new, {"status": "AcceptedCanceled"})
        else:
            await report(transaction, "Downloading", new.request_id)
        assert (await found(transaction, "old")).state == "Canceled"
        await report(transaction, "DownloadFailed", old.request_id)
        late = await found(transaction, "old")
        assert (late.state, late.irregular) == ("Canceled", True)
        assert (await jobs.history(transaction, "old"))[-1].verdict == "after_end"
        assert (await found(transaction, "new")).ended_at is None


async def test_an_uncertain_request_is_resolved_by_the_statuses_that_follow(database_url):
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        job = await new_job(transaction, "job-1")
        lost = outcome(job, OutcomeKind.UNKNOWN, error_code="session_closed")
        await DISPATCHER.settle(transaction, "job-1", lost, NOW, fresh=True)
        uncertain = await found(transaction, "job-1")
        assert uncertain.state == "Uncertain"
        assert uncertain.next_attempt_at is not None
        assert uncertain.next_attempt_at > uncertain.deadline_at
        await report(transaction, "Downloading")
        resolved = await found(transaction, "job-1")
    assert (resolved.state, resolved.next_attempt_at) == ("Downloading", None)


async def test_a_request_that_was_not_sent_is_begun_anew(database_url):
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        job = await new_job(transaction, "job-1")
        gone = outcome(job, OutcomeKind.OFFLINE, error_code="not_here")
        await DISPATCHER.settle(transaction, "job-1", gone, NOW, fresh=True)
        waiting = await found(transaction, "job-1")
    assert (waiting.state, waiting.session, waiting.sent_at) == ("Pending", None, None)
    assert waiting.next_attempt_at is not None
    assert waiting.next_attempt_at > NOW


async def test_an_error_answer_fails_the_job_with_its_code(database_url):
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        job = await new_job(transaction, "job-1", "UpdateFirmware", PLAIN)
        refused = outcome(job, OutcomeKind.CALL_ERROR, error_code="NotSupported", description="signed only")
        await DISPATCHER.settle(transaction, "job-1", refused, NOW, fresh=True)
        failed = await found(transaction, "job-1")
    assert (failed.state, failed.error_code, failed.description) == ("Failed", "NotSupported", "signed only")


async def test_the_outcome_of_an_earlier_attempt_does_not_count(database_url):
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        job = await new_job(transaction, "job-1")
        stale = OutcomeEnvelope("another command", "CP-1", OutcomeKind.CALL_ERROR, "gateway-1")
        await DISPATCHER.settle(transaction, "job-1", stale, NOW, fresh=True)
        assert (await found(transaction, "job-1")).state == job.state == "Pending"


async def test_reports_without_a_job_are_kept_as_unsolicited(database_url):
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        await new_job(transaction, "waiting", sent=False)
        await report(transaction, "Downloading")
        await report(transaction, "Installed", 99)
        kept = await jobs.unsolicited(transaction, "firmware", identity="CP-1")
        assert (await found(transaction, "waiting")).state == "Pending"
    assert [(entry.status, entry.request_id, entry.verdict) for entry in kept] == [
        ("Installed", 99, "unsolicited"),
        ("Downloading", None, "unsolicited"),
    ]


async def test_a_redelivered_report_leaves_one_trace(database_url):
    async with migrated_store(database_url) as store:
        async with store.transaction() as transaction:
            job = await new_job(transaction, "job-1")
            await report(transaction, "Downloading", job.request_id)
        for _ in range(2):
            async with store.transaction() as transaction:
                await report(transaction, "Downloaded", job.request_id, unique_id="same", after_s=1)
        for _ in range(2):
            async with store.transaction() as transaction:
                await report(transaction, "Downloading", job.request_id, unique_id="late", after_s=2)
        async with store.transaction(read_only=True) as transaction:
            history = await jobs.history(transaction, "job-1")
            stored = await found(transaction, "job-1")
    verdicts = [(entry.status, entry.verdict) for entry in history][1:]
    assert verdicts == [("Downloading", "advanced"), ("Downloaded", "advanced"), ("Downloading", "out_of_order")]
    assert (stored.state, stored.irregular) == ("Downloaded", True)


async def test_any_payload_is_confirmed(database_url):
    statuses: list[Any] = [None, 7, ["Installed"], "x" * 5000, "a\x00b"]
    request_ids: list[Any] = ["one", 2**70, -(2**40), 1.5, {}, True]
    payloads: list[dict[str, Any]] = [{}, *({"status": wrong} for wrong in statuses)]
    payloads += [{"status": "Installed", "requestId": wrong} for wrong in request_ids]
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        await new_job(transaction, "job-1")
        for payload in payloads:
            one = call("FirmwareStatusNotification", payload)
            assert await HANDLERS[Version.V16, "FirmwareStatusNotification"](one, transaction) == Answer({})
