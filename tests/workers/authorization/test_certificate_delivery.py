"""From SignCertificate to an installed certificate, on a real broker and both stores, whatever dies on the way."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from cryptography import x509

from contracts.announcements import Opened
from contracts.envelope import OutcomeKind
from contracts.operator import Operation
from contracts.versions import Version
from tests.support.calling import GATEWAY, Caller, caller_on, until
from tests.support.certificates import Authority
from tests.support.certifying import ROOT, issued, requests_in, saying, sign, world
from tests.support.commanding import bringing_commands
from tests.support.incoming_calls import NOW, call
from tests.support.serving import worker_settings
from tests.support.signing import authority_files, csr
from tests.support.worker_store import all_rows, connect, handle, migrated_store
from workers.authorization import certificate_delivery, certificate_orders, certificate_renewal
from workers.authorization.certificate_operations import OPERATIONS
from workers.authorization.service import service
from workers.commands import dispatching
from workers.runtime import backoff, due_work
from workers.runtime.application import Application
from workers.runtime.calls import Answer
from workers.store.engine import Store
from workers.store.security_tables import (
    certificate_orders as orders_table,
)
from workers.store.security_tables import (
    certificate_requests,
    charge_point_security,
    installed_certificates,
    issued_certificates,
)
from workers.store.tables import parked_messages
from workers.store.tables import presence as presence_table

HASHES = {"hashAlgorithm": "SHA256", "issuerNameHash": "a1", "issuerKeyHash": "b2", "serialNumber": "0c3"}


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(due_work, "POLL_S", 0.05)
    monkeypatch.setattr(dispatching, "PATIENCE_MS", 300)
    monkeypatch.setattr(backoff, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(certificate_delivery, "LEASE_MARGIN", timedelta(seconds=0.2))
    monkeypatch.setattr(certificate_orders, "LEASE_MARGIN", timedelta(seconds=0.2))
    monkeypatch.setattr(certificate_renewal, "LOOK_EVERY_S", 0.05)


async def rows_once(store: Store, table: Any, holds: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    async with asyncio.timeout(20):
        while not holds(rows := await all_rows(store, table)):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)
    return rows


@pytest.mark.parametrize("version", Version)
async def test_a_request_is_accepted_signed_delivered_and_on_record(amqp_url, sqlite_database_url, tmp_path, version):
    more: dict[str, Any] = {} if version is Version.V16 else {"certificateType": "ChargingStationCertificate"}
    more |= {"requestId": 42} if version is Version.V21 else {}
    async with world(amqp_url, sqlite_database_url, **authority_files(tmp_path, ROOT)) as (caller, store):
        request = csr()
        assert await sign(caller, request, version, **more) == "Accepted"
        (row,) = await requests_in(store, "accepted")
        assert await issued(store) == {row["serial"]: "installed"}
    (command,) = caller.commands
    payload = orjson.loads(command.payload)
    certificate = x509.load_pem_x509_certificate(payload.pop("certificateChain").encode())
    certificate.verify_directly_issued_by(ROOT.certificate)
    assert certificate.public_key() == x509.load_pem_x509_csr(request.encode()).public_key()
    assert (command.action, payload) == ("CertificateSigned", more)


async def test_a_refused_certificate_is_marked_and_a_new_request_starts_anew(amqp_url, database_url, tmp_path):
    async with world(amqp_url, database_url, **authority_files(tmp_path, ROOT)) as (caller, store):
        caller.answer_command = saying(OutcomeKind.RESULT, CertificateSigned={"status": "Rejected"})
        assert await sign(caller, csr()) == "Accepted"
        await requests_in(store, "rejected")
        caller.answer_command = saying(OutcomeKind.CALL_ERROR)
        same = csr()
        assert await sign(caller, same) == "Accepted"
        await requests_in(store, "rejected", "failed")
        assert set((await issued(store)).values()) == {"refused"}
        caller.answer_command = saying(OutcomeKind.RESULT)
        assert await sign(caller, same) == "Accepted"
        await requests_in(store, "rejected", "accepted")
        assert sorted((await issued(store)).values()) == ["installed", "refused", "refused"]
        assert await sign(caller, csr()) == "Accepted"
        await requests_in(store, "rejected", "accepted", "accepted")
        assert sorted((await issued(store)).values()) == ["installed", "refused", "refused", "replaced"]


@asynccontextmanager
async def crashing(store: Store, amqp_url: str, **settings: Any) -> AsyncIterator[None]:
    """The service until the end of the block, where it is cancelled with whatever it has in hand."""
    config = worker_settings(amqp_url, command_timeout_seconds=1.0, **settings)
    application = Application(service(config), config, store)
    task = asyncio.create_task(application.run(asyncio.Event()))
    try:
        await asyncio.wait_for(application.ready.wait(), 30)
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_after_a_crash_between_signing_and_delivery_the_same_chain_is_delivered(amqp_url, database_url, tmp_path):
    files = authority_files(tmp_path, ROOT)
    async with migrated_store(database_url) as store, bringing_commands(amqp_url, store), caller_on(amqp_url) as caller:
        async with store.transaction() as transaction:
            await connect(transaction, "CP-1", GATEWAY)
        async with crashing(store, amqp_url, **files):
            assert await sign(caller, csr()) == "Accepted"
            await until(lambda: caller.commands)  # nobody answers it
            (before,) = await requests_in(store, "signed")
        caller.answer_command = saying(OutcomeKind.RESULT)
        async with crashing(store, amqp_url, **files):
            (row,) = await requests_in(store, "accepted")
        assert await issued(store) == {before["serial"]: "installed"}
        assert row["attempts"] >= 2
    chains = {orjson.loads(command.payload)["certificateChain"] for command in caller.commands}
    assert chains == {before["chain"]}


async def test_after_a_crash_before_signing_the_next_process_signs(
    amqp_url, sqlite_database_url, tmp_path, monkeypatch
):
    files = authority_files(tmp_path, ROOT)
    asked = asyncio.Event()

    async def hang(*_: Any) -> None:
        asked.set()
        await asyncio.Event().wait()

    async with (
        migrated_store(sqlite_database_url) as store,
        bringing_commands(amqp_url, store),
        caller_on(amqp_url) as caller,
    ):
        caller.answer_command = saying(OutcomeKind.RESULT)
        with monkeypatch.context() as patch:
            patch.setattr("workers.authorization.authority.FileAuthority.sign", hang)
            async with crashing(store, amqp_url, **files):
                assert await sign(caller, csr()) == "Accepted"
                await asyncio.wait_for(asked.wait(), 20)
        async with crashing(store, amqp_url, **files):
            await requests_in(store, "accepted")
        assert list((await issued(store)).values()) == ["installed"]


async def test_an_absent_charge_point_gets_its_certificate_when_it_is_back(amqp_url, sqlite_database_url, tmp_path):
    files = authority_files(tmp_path, ROOT)
    async with world(amqp_url, sqlite_database_url, **files) as (caller, store):
        caller.answer_command = saying(OutcomeKind.OFFLINE)
        await sign(caller, csr())
        await until(lambda: len(caller.commands) >= 3)
        caller.answer_command = saying(OutcomeKind.RESULT)
        await requests_in(store, "accepted")
        assert list((await issued(store)).values()) == ["installed"]


async def test_a_newer_request_supersedes_an_open_one_and_a_repeated_one_does_not(
    amqp_url, sqlite_database_url, tmp_path
):
    async with world(amqp_url, sqlite_database_url, **authority_files(tmp_path, ROOT)) as (caller, store):
        caller.answer_command = saying(OutcomeKind.TIMEOUT)
        first = csr()
        await sign(caller, first)
        await requests_in(store, "signed")
        assert await sign(caller, first) == "Accepted"
        assert len(await requests_in(store, "signed")) == 1
        await sign(caller, csr())
        await requests_in(store, "superseded", "signed")
        caller.answer_command = saying(OutcomeKind.RESULT)
        await requests_in(store, "superseded", "accepted")
        assert sorted((await issued(store)).values()) == ["installed", "replaced"]


async def test_what_must_not_be_signed_is_rejected_and_the_reason_on_record(amqp_url, sqlite_database_url, tmp_path):
    settings = {**authority_files(tmp_path, ROOT), "certificate_organization": "Example CPO"}
    async with world(amqp_url, sqlite_database_url, **settings) as (caller, store):
        assert await sign(caller, csr("CP-2")) == "Rejected"
        assert await sign(caller, csr(organization="Another")) == "Rejected"
        assert await sign(caller, "nonsense\x00") == "Rejected"
        for version in (Version.V201, Version.V21):
            assert await sign(caller, csr(), version, certificateType="V2GCertificate") == "Rejected"
        rows = await requests_in(store, *["rejected"] * 5)
        assert [row["detail"] for row in rows] == [
            *("other_name", "other_organization", "unreadable"),
            *("other_authority", "other_authority"),
        ]
        missing = await caller.call("SignCertificate", {})
        assert missing.error is not None
        async with store.transaction() as transaction:
            row = {"identity": "CP-1", "certificate_name": "SN-1", "updated_at": datetime.now(UTC)}
            await transaction.run(charge_point_security.insert(), row)
        assert await sign(caller, csr()) == "Rejected"
        assert await sign(caller, csr("SN-1")) == "Accepted"
        assert caller.commands == [] or caller.commands[0].action == "CertificateSigned"


@pytest.mark.parametrize("version", Version)
async def test_without_an_authority_requests_are_kept_and_refused(amqp_url, sqlite_database_url, version):
    async with world(amqp_url, sqlite_database_url) as (caller, store):
        assert await sign(caller, csr(), version) == "Rejected"
        (row,) = await all_rows(store, parked_messages)
        assert row["reason"] == "no_certificate_authority"
        assert await all_rows(store, certificate_requests) == []


@pytest.mark.parametrize("version", [Version.V16, Version.V201])
async def test_a_certificate_that_expires_soon_is_renewed_on_request(amqp_url, database_url, tmp_path, version):
    settings = {**authority_files(tmp_path, ROOT), "certificate_days": 10, "certificate_renew_days": 9}
    async with world(amqp_url, database_url, **settings) as (caller, store):
        caller.connect(Opened("CP-1", "session-1", 1, version, "127.0.0.1", 1))
        await rows_once(store, presence_table, lambda rows: [row["ocpp_version"] for row in rows] == [version])
        await sign(caller, csr(), version)
        await requests_in(store, "accepted")
        async with store.transaction() as transaction:
            now = datetime.now(UTC)
            older = {"not_after": now + timedelta(days=8), "issued_at": now - timedelta(days=2)}
            await transaction.run(issued_certificates.update().values(**older))
        await rows_once(store, orders_table, lambda rows: [row["status"] for row in rows] == ["Accepted"])
        trigger = caller.commands[-1]
        wanted = "SignChargingStationCertificate" if version.is_2x else "SignChargePointCertificate"
        assert trigger.action == ("TriggerMessage" if version.is_2x else "ExtendedTriggerMessage")
        assert orjson.loads(trigger.payload) == {"requestedMessage": wanted}
        await sign(caller, csr(), version)
        await requests_in(store, "accepted", "accepted")
        assert sorted((await issued(store)).values()) == ["installed", "replaced"]
    assert [command.action for command in caller.commands].count(trigger.action) == 1


@asynccontextmanager
async def ordered(amqp_url: str, database_url: str) -> AsyncIterator[tuple[Caller, Store, Any]]:
    """A world, and a way to operate on it; what is asked is carried out by the background work alone."""
    async with world(amqp_url, database_url) as (caller, store):
        caller.connect(Opened("CP-1", "session-1", 1, Version.V16, "127.0.0.1", 1))

        async def operate(operation: Operation, **given: Any) -> Any:
            arguments, work = OPERATIONS[operation]
            async with store.transaction() as transaction:
                return await work(arguments.model_validate(given), datetime.now(UTC), transaction)

        yield caller, store, operate


async def test_a_root_is_installed_reported_and_deleted_by_what_the_charge_point_calls_it(
    amqp_url, database_url, monkeypatch
):
    monkeypatch.setattr(certificate_orders, "HEAD_START", timedelta())
    async with ordered(amqp_url, database_url) as (caller, store, operate):
        there = {"GetInstalledCertificateIds": {"status": "Accepted", "certificateHashData": [HASHES]}}
        caller.answer_command = saying(OutcomeKind.RESULT, **there)
        pem = ROOT.pem.decode()
        assert await operate(Operation.DELETE_CERTIFICATE, identity="CP-1", serial_number="c3") is None
        assert await operate(Operation.RENEW_CERTIFICATE, identity="CP-9") is None
        await operate(Operation.INSTALL_CERTIFICATE, identity="CP-1", type="CSMSRootCertificate", certificate=pem)
        await rows_once(store, installed_certificates, lambda rows: len(rows) == 2)
        install, *lists = caller.commands
        assert orjson.loads(install.payload) == {"certificateType": "CentralSystemRootCertificate", "certificate": pem}
        assert {orjson.loads(command.payload)["certificateType"] for command in lists} == {*certificate_orders.TYPES_16}
        none = {"GetInstalledCertificateIds": {"status": "NotFound"}}
        caller.answer_command = saying(OutcomeKind.RESULT, **none)
        items = await operate(Operation.DELETE_CERTIFICATE, identity="CP-1", serial_number="C3")
        assert [item["asked"] for item in items] == ["delete", "delete"]
        await rows_once(store, installed_certificates, lambda rows: rows == [])
        await rows_once(store, orders_table, lambda rows: all(row["ended_at"] is not None for row in rows))
        deletes = [command for command in caller.commands if command.action == "DeleteCertificate"]
        assert orjson.loads(deletes[0].payload) == {"certificateHashData": HASHES}
        shown = await operate(Operation.CERTIFICATES, identity="CP-1")
    states = {(item["record"], item["type"]): item["state"] for item in shown}
    assert states["asked", "install"] == states["asked", "delete"] == "Accepted"


async def test_what_a_charge_point_refuses_to_install_is_shown_with_its_word(
    amqp_url, sqlite_database_url, monkeypatch
):
    monkeypatch.setattr(certificate_orders, "HEAD_START", timedelta())
    async with ordered(amqp_url, sqlite_database_url) as (caller, store, operate):
        caller.answer_command = saying(OutcomeKind.RESULT, InstallCertificate={"status": "Failed"})
        given = {"identity": "CP-1", "type": "ManufacturerRootCertificate", "certificate": ROOT.pem.decode()}
        await operate(Operation.INSTALL_CERTIFICATE, **given)
        (row,) = await rows_once(store, orders_table, lambda rows: bool(rows) and rows[0]["ended_at"] is not None)
        assert row["status"] == "Failed"
        (item,) = await operate(Operation.CERTIFICATES, identity="CP-1")
        assert (item["record"], item["type"], item["state"]) == ("asked", "install", "Failed")


@pytest.mark.parametrize(
    ("certificate", "type_", "words"),
    [
        ("nonsense", "ManufacturerRootCertificate", "no PEM certificate"),
        (ROOT.pem.decode() * 2, "ManufacturerRootCertificate", "more than one"),
        (ROOT.pem.decode(), "Something", "the types are"),
        (ROOT.pem.decode(), "V2GCertificateChain", "the types are"),
        (Authority().client(ends=-timedelta(hours=1)).pem.decode(), "ManufacturerRootCertificate", "expired"),
    ],
)
def test_what_no_charge_point_could_install_is_a_bad_request(certificate, type_, words):
    arguments, _ = OPERATIONS[Operation.INSTALL_CERTIFICATE]
    with pytest.raises(ValueError, match=words):
        arguments.model_validate({"identity": "CP-1", "type": type_, "certificate": certificate})


async def test_a_redelivered_request_is_answered_as_before_and_signed_once(sqlite_database_url, tmp_path):
    definition = service(worker_settings("amqp://127.0.0.1/", **authority_files(tmp_path, ROOT)))
    good, bad = (call("SignCertificate", {"csr": csr(name)}) for name in ("CP-1", "CP-2"))
    async with migrated_store(sqlite_database_url) as store:
        for _ in range(2):
            assert await handle(store, definition, good) == Answer({"status": "Accepted"})
            assert await handle(store, definition, bad) == Answer({"status": "Rejected"})
        async with store.transaction() as transaction:
            ended = {
                "state": "accepted",
                "serial": "1",
                "ended_at": NOW + timedelta(minutes=1),
                "next_attempt_at": None,
            }
            await transaction.run(certificate_requests.update().values(**ended))
        assert await handle(store, definition, good) == Answer({"status": "Accepted"})
        rows = await all_rows(store, certificate_requests)
        assert [row["next_attempt_at"] for row in rows] == [None, None]
        again = replace(good, received_at=NOW + timedelta(days=1), handled_at=NOW + timedelta(days=1))
        assert await handle(store, definition, again) == Answer({"status": "Accepted"})
        states = {row["state"] for row in await all_rows(store, certificate_requests)}
        assert "requested" in states
