"""Jobs through a real broker and both stores: request, command, answer, statuses."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from contracts.actions import Service
from contracts.announcements import Opened
from contracts.envelope import OutcomeKind
from contracts.versions import Version
from tests.support.commanding import bringing_commands
from tests.support.job_caller import JobCaller, job_caller_on
from tests.support.serving import serving, worker_settings
from tests.support.worker_store import migrated_store
from workers.commands import dispatching
from workers.jobs import dispatch
from workers.runtime import backoff, due_work
from workers.runtime.application import Application, definition_of
from workers.settings import WorkerSettings
from workers.store import jobs, presence
from workers.store.engine import Store
from workers.store.jobs import Job

SIGNED: dict[str, Any] = {
    "firmware": {
        "location": "https://example.com/fw.bin",
        "retrieveDateTime": "2026-05-01T12:00:00Z",
        "signingCertificate": "-----BEGIN",
        "signature": "c2ln",
    }
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(due_work, "POLL_S", 0.05)
    monkeypatch.setattr(dispatching, "PATIENCE_MS", 300)
    monkeypatch.setattr(backoff, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(dispatch, "LEASE_MARGIN", timedelta(seconds=0.2))


async def until_state(store: Store, job_id: str, *states: str) -> Job:
    async with asyncio.timeout(30):
        while True:
            async with store.transaction(read_only=True) as transaction:
                job = await jobs.find(transaction, job_id)
            if job is not None and job.state in states:
                return job
            await asyncio.sleep(0.02)  # between two looks at the database, which tells nobody when it changes


@asynccontextmanager
async def crashing(service: Service, store: Store, settings: WorkerSettings) -> AsyncIterator[None]:
    """The service until the end of the block, where it is cancelled with whatever it has in hand."""
    application = Application(definition_of(service, settings), settings, store)
    task = asyncio.create_task(application.run(asyncio.Event()))
    try:
        await asyncio.wait_for(application.ready.wait(), 30)
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def working(service: Service, store: Store, amqp_url: str) -> AsyncIterator[None]:
    settings = worker_settings(amqp_url)
    async with bringing_commands(amqp_url, store), serving(definition_of(service, settings), settings, store):
        yield


ACCEPTED = (OutcomeKind.RESULT, {"status": "Accepted"})
OFFLINE: tuple[OutcomeKind, dict[str, Any]] = (OutcomeKind.OFFLINE, {})


async def online(store: Store, edge: JobCaller) -> None:
    """Have the charge point connect, and that known to everybody."""
    edge.connect(Opened("CP-1", "session-1", 1, Version.V16, "127.0.0.1", 1))
    async with asyncio.timeout(30):
        while True:
            async with store.transaction(read_only=True) as transaction:
                if await presence.find(transaction, "CP-1") is not None:
                    return
            await asyncio.sleep(0.02)  # as above


async def test_a_signed_update_from_request_to_installed(amqp_url, database_url):
    async with (
        migrated_store(database_url) as store,
        working(Service.FIRMWARE, store, amqp_url),
        job_caller_on(amqp_url, ACCEPTED) as edge,
    ):
        await online(store, edge)
        receipt = await edge.request_job(Service.FIRMWARE, "job-1", "SignedUpdateFirmware", SIGNED)
        assert receipt.accepted, receipt.reason
        (command,) = await edge.commanded(1)
        assert (command.action, command.identity, command.session) == ("SignedUpdateFirmware", "CP-1", "session-1")
        job = await until_state(store, "job-1", "Accepted")
        again = await edge.request_job(Service.FIRMWARE, "job-1", "SignedUpdateFirmware", SIGNED)
        assert again.accepted
        for status in ("Downloading", "Downloaded", "SignatureVerified", "Installing", "Installed"):
            payload = {"status": status, "requestId": job.request_id}
            reply = await edge.call("SignedFirmwareStatusNotification", payload)
            assert (reply.error, reply.payload) == (None, b"{}")
        job = await until_state(store, "job-1", "Installed")
        assert not job.irregular
    assert len(edge.commands) == 1


async def test_get_diagnostics_from_request_to_uploaded(amqp_url, database_url):
    async with (
        migrated_store(database_url) as store,
        working(Service.DIAGNOSTICS, store, amqp_url),
        job_caller_on(amqp_url, (OutcomeKind.RESULT, {"fileName": "logs.zip"})) as edge,
    ):
        await online(store, edge)
        location = {"location": "ftp://example.com/logs"}
        assert (await edge.request_job(Service.DIAGNOSTICS, "job-1", "GetDiagnostics", location)).accepted
        await until_state(store, "job-1", "Accepted")
        for status in ("Uploading", "Uploaded"):
            await edge.call("DiagnosticsStatusNotification", {"status": status})
        job = await until_state(store, "job-1", "Uploaded")
    assert job.answer == {"fileName": "logs.zip"}


async def test_an_offline_charge_point_gets_its_update_when_it_is_back(amqp_url, database_url):
    async with (
        migrated_store(database_url) as store,
        working(Service.FIRMWARE, store, amqp_url),
        job_caller_on(amqp_url, OFFLINE, OFFLINE, ACCEPTED) as edge,
    ):
        assert (await edge.request_job(Service.FIRMWARE, "job-1", "SignedUpdateFirmware", SIGNED)).accepted
        await online(store, edge)
        await until_state(store, "job-1", "Accepted")
        # Nothing was sent before: each attempt may be a new command.
        assert len({command.command_id for command in edge.commands}) == 3


async def test_an_unreachable_charge_points_job_expires_at_its_deadline(amqp_url, database_url):
    async with (
        migrated_store(database_url) as store,
        working(Service.FIRMWARE, store, amqp_url),
        job_caller_on(amqp_url) as edge,
    ):
        receipt = await edge.request_job(Service.FIRMWARE, "job-1", "SignedUpdateFirmware", SIGNED, within_s=0.5)
        assert receipt.accepted
        job = await until_state(store, "job-1", "Expired")
    assert job.sent_at is None
    assert not edge.commands


async def test_after_a_crash_the_same_command_goes_to_the_same_session_again(amqp_url, database_url):
    settings = worker_settings(amqp_url, command_timeout_seconds=1.0)
    async with (
        migrated_store(database_url) as store,
        bringing_commands(amqp_url, store),
        job_caller_on(amqp_url, None, ACCEPTED) as edge,
    ):
        async with crashing(Service.FIRMWARE, store, settings):
            await online(store, edge)
            await edge.request_job(Service.FIRMWARE, "job-1", "SignedUpdateFirmware", SIGNED)
            await edge.commanded(1)
        async with crashing(Service.FIRMWARE, store, settings):
            await until_state(store, "job-1", "Accepted")
    first, second = edge.commands
    assert (first.command_id, first.session) == (second.command_id, second.session)


async def test_after_a_crash_a_session_that_is_gone_leaves_the_statuses_to_decide(amqp_url, database_url):
    settings = worker_settings(amqp_url, command_timeout_seconds=1.0)
    async with (
        migrated_store(database_url) as store,
        bringing_commands(amqp_url, store),
        job_caller_on(amqp_url, None, OFFLINE) as edge,
    ):
        async with crashing(Service.FIRMWARE, store, settings):
            await online(store, edge)
            await edge.request_job(Service.FIRMWARE, "job-1", "SignedUpdateFirmware", SIGNED)
            await edge.commanded(1)
        async with crashing(Service.FIRMWARE, store, settings):
            job = await until_state(store, "job-1", "Uncertain")
            await edge.call("SignedFirmwareStatusNotification", {"status": "Downloading", "requestId": job.request_id})
            await until_state(store, "job-1", "Downloading")
    assert len(edge.commands) == 2


async def test_a_bad_request_is_refused_and_nothing_is_stored(amqp_url, database_url):
    async with (
        migrated_store(database_url) as store,
        working(Service.FIRMWARE, store, amqp_url),
        job_caller_on(amqp_url) as edge,
    ):
        receipt = await edge.request_job(Service.FIRMWARE, "job-1", "UpdateFirmware", {"location": "x"})
        async with store.transaction(read_only=True) as transaction:
            assert await jobs.find(transaction, "job-1") is None
    assert not receipt.accepted
    assert "retrieveDate" in receipt.reason


async def test_two_replicas_send_each_job_once(amqp_url, database_url):
    answers = [ACCEPTED] * 20
    log = {"logType": "DiagnosticsLog", "log": {"remoteLocation": "https://example.com/logs"}}
    async with (
        migrated_store(database_url) as store,
        working(Service.DIAGNOSTICS, store, amqp_url),
        working(Service.DIAGNOSTICS, store, amqp_url),
        job_caller_on(amqp_url, *answers) as edge,
    ):
        await online(store, edge)
        job_ids = [f"job-{number}" for number in range(20)]
        await asyncio.gather(*(edge.request_job(Service.DIAGNOSTICS, job_id, "GetLog", log) for job_id in job_ids))
        accepted = [await until_state(store, job_id, "Accepted") for job_id in job_ids]
    assert sorted(command.command_id for command in edge.commands) == sorted(job.command_id for job in accepted)
    assert len({job.request_id for job in accepted}) == 20
