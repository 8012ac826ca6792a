"""Log jobs and their reports on a real store."""

from datetime import timedelta
from typing import Any

import orjson
import pytest

from contracts.envelope import JobRequest, OutcomeEnvelope, OutcomeKind
from contracts.versions import Version
from tests.support.incoming_calls import NOW, call
from tests.support.worker_store import migrated_store
from workers.diagnostics.log_jobs import LogLifecycle
from workers.diagnostics.service import service
from workers.jobs.dispatch import Dispatcher
from workers.jobs.requests import accept
from workers.runtime.calls import Answer, IncomingCall
from workers.settings import WorkerSettings
from workers.store import jobs
from workers.store.engine import StoreTransaction
from workers.store.jobs import Job

HANDLERS = service(WorkerSettings()).handlers
LIFECYCLE = LogLifecycle()


async def handle(transaction: StoreTransaction, one: IncomingCall) -> None:
    assert await HANDLERS[one.version, one.action](one, transaction) == Answer({})
    await transaction.flush()  # what waits for the commit is to be seen by the test


def at(seconds: float) -> str:
    return (NOW + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


LOG = {"logType": "SecurityLog", "log": {"remoteLocation": "https://example.com/logs"}}


async def log_job(
    transaction: StoreTransaction, job_id: str, action: str, payload: dict[str, Any], answer: dict[str, Any]
) -> Job:
    deadline_ms = int((NOW + timedelta(hours=1)).timestamp() * 1000)
    request = JobRequest(job_id, "CP-1", action, orjson.dumps(payload), deadline_ms)
    assert (await accept(LIFECYCLE, request, NOW, transaction)).accepted
    job = await jobs.find(transaction, job_id)
    assert job is not None
    await jobs.change(transaction, job, {"session": "session-1"})
    outcome = OutcomeEnvelope(job.command_id, "CP-1", OutcomeKind.RESULT, "gateway-1", payload=orjson.dumps(answer))
    await Dispatcher(LIFECYCLE).settle(transaction, job_id, outcome, NOW, fresh=True)
    return job


async def state_of(transaction: StoreTransaction, job_id: str) -> str:
    job = await jobs.find(transaction, job_id)
    assert job is not None
    return job.state


async def test_get_diagnostics_without_a_file_name_ends_with_nothing_to_send(database_url):
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        await log_job(transaction, "job-1", "GetDiagnostics", {"location": "ftp://example.com"}, {})
        assert await state_of(transaction, "job-1") == "NothingToSend"


@pytest.mark.parametrize(("status", "state"), [("Uploaded", "Uploaded"), ("UploadFailed", "UploadFailed")])
async def test_get_diagnostics_follows_its_statuses(database_url, status, state):
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        await log_job(transaction, "job-1", "GetDiagnostics", {"location": "ftp://example.com"}, {"fileName": "a.zip"})
        for one in ("Uploading", status):
            await handle(transaction, call("DiagnosticsStatusNotification", {"status": one}))
        assert await state_of(transaction, "job-1") == state
        assert [entry.status for entry in await jobs.history(transaction, "job-1")][-2:] == ["Uploading", status]


@pytest.mark.parametrize("version", Version)
@pytest.mark.parametrize("status", ["Uploaded", "BadMessage", "PermissionDenied", "NotSupportedOperation"])
async def test_get_log_is_matched_by_its_request_id(database_url, version, status):
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        first = await log_job(transaction, "first", "GetLog", LOG, {"status": "Accepted"})
        await log_job(transaction, "second", "GetLog", LOG, {"status": "Accepted"})
        for one in ("Uploading", status):
            payload = {"status": one, "requestId": first.request_id}
            await handle(transaction, call("LogStatusNotification", payload, version=version))
        assert await state_of(transaction, "first") == status
        assert await state_of(transaction, "second") == "Accepted"


async def test_accepted_canceled_ends_the_log_job_before_it(database_url):
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        await log_job(transaction, "first", "GetLog", LOG, {"status": "Accepted"})
        await log_job(transaction, "second", "GetLog", LOG, {"status": "AcceptedCanceled"})
        assert await state_of(transaction, "first") == "Canceled"
        assert await state_of(transaction, "second") == "Accepted"


async def test_a_newer_log_job_leaves_unsent_and_other_jobs_alone(database_url):
    deadline_ms = int((NOW + timedelta(hours=1)).timestamp() * 1000)
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        unsent = JobRequest("unsent", "CP-1", "GetLog", orjson.dumps(LOG), deadline_ms)
        assert (await accept(LIFECYCLE, unsent, NOW, transaction)).accepted
        location = {"location": "ftp://example.com"}
        await log_job(transaction, "diagnostics", "GetDiagnostics", location, {"fileName": "a.zip"})
        await log_job(transaction, "log", "GetLog", LOG, {"status": "AcceptedCanceled"})
        assert await state_of(transaction, "unsent") == "Pending"
        assert await state_of(transaction, "diagnostics") == "Accepted"
        await log_job(transaction, "again", "GetDiagnostics", location, {"fileName": "b.zip"})
        assert await state_of(transaction, "diagnostics") == "Canceled"
        assert await state_of(transaction, "log") == "Accepted"


async def test_log_reports_without_a_job_are_kept(database_url):
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        await handle(transaction, call("LogStatusNotification", {"status": "Idle"}))
        await handle(transaction, call("DiagnosticsStatusNotification", {"status": "Uploaded"}))
        kept = await jobs.unsolicited(transaction, "diagnostics")
    assert [entry.source for entry in kept] == ["DiagnosticsStatusNotification", "LogStatusNotification"]
