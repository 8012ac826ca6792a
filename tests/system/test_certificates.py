"""Certificates and signed firmware end to end: gateway, broker, workers, store and a simulated charge point."""

import asyncio
import functools
import http.server
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts.actions import Service
from contracts.operator import Operation
from loadtest.certificates import MANUFACTURER
from loadtest.charge_point import ChargePoint
from loadtest.clock import Clock
from loadtest.settings import LinkSettings
from loadtest.v16 import ChargePoint16
from loadtest.v201 import ChargePoint201
from tests.support.backend import Backend, backend_on
from tests.support.certificates import Authority, Issued
from tests.support.commanding import bringing_commands
from tests.support.serving import serving, worker_settings
from tests.support.signing import authority_files
from tests.support.worker_store import all_rows, migrated_store
from tools.stack import Stack
from workers.authorization import certificate_orders, certificate_renewal
from workers.authorization.certificate_operations import OPERATIONS
from workers.firmware.signing import sign_image
from workers.runtime import due_work
from workers.runtime.application import definition_of
from workers.store import jobs
from workers.store.engine import Store
from workers.store.security_tables import installed_certificates, issued_certificates
from workers.store.tables import presence

KINDS: dict[str, type[ChargePoint]] = {"1.6": ChargePoint16, "2.0.1": ChargePoint201}
VERSIONS = pytest.mark.parametrize("version", KINDS)
MAKER = Authority("Manufacturer Root")
IMAGE = b"firmware 2.0" * 10_000
WITHIN_S = 60


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(due_work, "POLL_S", 0.05)
    monkeypatch.setattr(certificate_renewal, "LOOK_EVERY_S", 0.1)
    monkeypatch.setattr(certificate_orders, "HEAD_START", timedelta())


class World:
    """A running system with one charge point, whose identity is CP-1."""

    def __init__(self, store: Store, point: ChargePoint, backend: Backend) -> None:
        self.store, self.point, self.backend = store, point, backend

    async def operate(self, operation: Operation, **given: Any) -> None:
        arguments, work = OPERATIONS[operation]
        async with self.store.transaction() as transaction:
            chosen = arguments.model_validate({"identity": "CP-1", **given})
            assert await work(chosen, datetime.now(UTC), transaction)

    async def rows(self, table: Any, holds: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """The table's rows once that holds of them."""
        deadline = time.monotonic() + WITHIN_S
        while not holds(rows := await all_rows(self.store, table)):
            assert time.monotonic() < deadline, f"the rows are {rows}"
            await asyncio.sleep(0.05)  # between two looks at the database, which tells nobody when it changes
        return rows

    async def ended(self, job_id: str) -> jobs.Job:
        """That job once it has ended."""
        deadline = time.monotonic() + WITHIN_S
        while True:
            async with self.store.transaction(read_only=True) as transaction:
                job = await jobs.find(transaction, job_id)
            if job is not None and job.ended_at is not None:
                return job
            assert time.monotonic() < deadline, f"the job is {job}"
            await asyncio.sleep(0.05)  # as above


@asynccontextmanager
async def world(version: str, amqp_url: str, database_url: str, folder: Path) -> AsyncIterator[World]:
    settings = worker_settings(amqp_url, **authority_files(folder))
    stack = Stack(amqp_url=amqp_url, database_url=database_url, logs=folder)
    async with AsyncExitStack() as held:
        store = await held.enter_async_context(migrated_store(database_url))
        await held.enter_async_context(bringing_commands(amqp_url, store))
        for service in (Service.AUTHORIZATION, Service.FIRMWARE, Service.DIAGNOSTICS, Service.METERING):
            await held.enter_async_context(serving(definition_of(service, settings), settings, store))
        held.callback(stack.stop, timeout_s=10)
        stack.gateways[0].start()
        await asyncio.to_thread(stack.gateways[0].await_ready)
        clock = Clock(2000, protocol_speed=20)
        point = KINDS[version]("CP-1", LinkSettings(url=stack.urls[0]), clock=clock)
        await held.enter_async_context(_running(point))
        await asyncio.wait_for(point.wait_online(), WITHIN_S)
        here = World(store, point, await held.enter_async_context(backend_on(amqp_url)))
        await here.rows(presence, lambda rows: len(rows) == 1)  # who is connected is told beside its Calls
        yield here


@asynccontextmanager
async def _running(point: ChargePoint) -> AsyncIterator[None]:
    task = asyncio.create_task(point.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002 - the library's name


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The files of a folder over HTTP, on this machine alone."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        serving_files = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        serving_files.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            serving_files.join()


@VERSIONS
async def test_a_certificate_is_requested_installed_and_renewed_before_it_expires(
    amqp_url, sqlite_database_url, tmp_path, version
):
    async with world(version, amqp_url, sqlite_database_url, tmp_path) as here:
        await here.operate(Operation.RENEW_CERTIFICATE)
        (first,) = await here.rows(issued_certificates, lambda rows: [row["state"] for row in rows] == ["installed"])
        assert here.point.certificates.chain == first["pem"]
        now = datetime.now(UTC)
        async with here.store.transaction() as transaction:
            older = {"not_after": now + timedelta(days=20), "issued_at": now - timedelta(days=345)}
            await transaction.run(issued_certificates.update().values(**older))
        rows = await here.rows(
            issued_certificates, lambda rows: sorted(row["state"] for row in rows) == ["installed", "replaced"]
        )
        (second,) = (row for row in rows if row["state"] == "installed")
        assert here.point.certificates.chain == second["pem"] != first["pem"]
        assert second["not_after"] > now + timedelta(days=360)
        assert here.point.ledger.protocol_error_notes == []


def request_for(version: str, location: str, signed: dict[str, str]) -> tuple[str, dict[str, Any]]:
    firmware = {"location": location, "retrieveDateTime": "2026-05-01T12:00:00Z", **signed}
    return ("SignedUpdateFirmware" if version == "1.6" else "UpdateFirmware"), {"firmware": firmware}


def signature(folder: Path, signer: Issued) -> dict[str, str]:
    certificate, key = signer.write(folder, "signer")
    return sign_image(folder / "image.bin", key, certificate)


@VERSIONS
async def test_signed_firmware_is_installed_only_as_its_maker_signed_it(
    amqp_url, sqlite_database_url, tmp_path, version
):
    (tmp_path / "image.bin").write_bytes(IMAGE)
    (tmp_path / "tampered.bin").write_bytes(IMAGE.replace(b"2", b"3", 1))
    good = signature(tmp_path, MAKER.intermediate().client("Signer"))
    foreign = signature(tmp_path, Authority("Foreign Root").client("Signer"))
    async with world(version, amqp_url, sqlite_database_url, tmp_path) as here:
        root = MAKER.pem.decode()
        await here.operate(Operation.INSTALL_CERTIFICATE, type=MANUFACTURER, certificate=root)
        (installed,) = await here.rows(installed_certificates, lambda rows: len(rows) == 1)
        with served(tmp_path) as url:
            ends = {}
            for name, file, signed in (
                ("good", "image.bin", good),
                ("tampered", "tampered.bin", good),
                ("foreign", "image.bin", foreign),
                ("missing", "none.bin", good),
            ):
                action, payload = request_for(version, f"{url}/{file}", signed)
                _, receipt = await here.backend.request_job(Service.FIRMWARE, "CP-1", action, payload, job_id=name)
                assert receipt.accepted, receipt.reason
                ends[name] = (await here.ended(name)).state
        assert ends == {
            "good": "Installed",
            "tampered": "InvalidSignature",
            "foreign": "InvalidCertificate",
            "missing": "DownloadFailed",
        }
        assert here.point.firmware_version == "1.0.0+"
        await here.operate(Operation.DELETE_CERTIFICATE, serial_number=installed["serial_number"])
        await here.rows(installed_certificates, lambda rows: rows == [])
        assert here.point.certificates.installed() == []
        assert here.point.ledger.protocol_error_notes == []
