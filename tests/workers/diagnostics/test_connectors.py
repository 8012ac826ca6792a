"""StatusNotification and security events on a real store."""

from datetime import timedelta
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from contracts.versions import Version
from tests.support.incoming_calls import NOW, call
from tests.support.worker_store import migrated_store
from workers.diagnostics.log_jobs import LogLifecycle
from workers.diagnostics.service import service
from workers.runtime.calls import Answer, IncomingCall
from workers.settings import WorkerSettings
from workers.store import faults, security_events
from workers.store.engine import Store, StoreTransaction
from workers.store.faults import Spot

HANDLERS = service(WorkerSettings()).handlers
LIFECYCLE = LogLifecycle()


async def handle(transaction: StoreTransaction, one: IncomingCall) -> None:
    assert await HANDLERS[one.version, one.action](one, transaction) == Answer({})
    await transaction.flush()  # what waits for the commit is to be seen by the test


def at(seconds: float) -> str:
    return (NOW + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def status16(
    seconds: float, status: str = "Available", code: str = "NoError", connector: int = 1, **more: Any
) -> IncomingCall:
    payload = {"connectorId": connector, "status": status, "errorCode": code, "timestamp": at(seconds), **more}
    return call("StatusNotification", payload, after_s=seconds)


def status2x(seconds: float, status: str, version: Version = Version.V201) -> IncomingCall:
    payload = {"evseId": 2, "connectorId": 1, "connectorStatus": status, "timestamp": at(seconds)}
    return call("StatusNotification", payload, version=version, after_s=seconds)


async def register(transaction: StoreTransaction, **query: Any) -> list[tuple[Any, ...]]:
    return [
        (fault.code, fault.kind, fault.duration_s) for fault in reversed(await faults.list_faults(transaction, **query))
    ]


async def test_a_fault_has_a_start_an_end_and_a_duration(database_url):
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        await handle(transaction, status16(0, "Faulted", "ConnectorLockFailure", info="stuck", vendorErrorCode="E5"))
        await handle(transaction, status16(10, "Faulted", "ConnectorLockFailure"))
        (opened,) = await faults.list_faults(transaction, open_only=True)
        await handle(transaction, status16(90))
        (closed,) = await faults.list_faults(transaction)
        assert not await faults.list_faults(transaction, open_only=True)
    assert (opened.code, opened.kind, opened.severe) == ("ConnectorLockFailure", "hardware", True)
    assert (opened.info, opened.vendor_error_code) == ("stuck", "E5")
    assert (opened.started_at, opened.last_reported_at) == (NOW, NOW + timedelta(seconds=10))
    assert (closed.number, closed.ended_at, closed.duration_s) == (opened.number, NOW + timedelta(seconds=90), 90.0)


async def test_another_code_ends_a_fault_and_starts_its_own(database_url):
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        await handle(transaction, status16(0, "Faulted", "GroundFailure"))
        await handle(transaction, status16(5, "Faulted", "OverVoltage"))
        await handle(transaction, status16(9, "Faulted"))
        seen = await register(transaction)
    assert seen == [("GroundFailure", "hardware", 5.0), ("OverVoltage", "external", 4.0), ("Faulted", "unknown", None)]


async def test_connectors_have_faults_of_their_own(database_url):
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        await handle(transaction, status16(0, "Faulted", "GroundFailure", connector=0))
        await handle(transaction, status16(0, "Faulted", "GroundFailure", connector=1))
        await handle(transaction, status16(7, connector=1))
        (still,) = await faults.list_faults(transaction, open_only=True)
        assert (still.connector_id, still.identity) == (0, "CP-1")
        assert len(await faults.list_faults(transaction, kind="hardware")) == 2
        assert not await faults.list_faults(transaction, identity="CP-2")
        assert [
            row.connector_id for row in await faults.list_faults(transaction, since=NOW + timedelta(seconds=8))
        ] == [0]


@pytest.mark.parametrize("version", [Version.V201, Version.V21])
async def test_faulted_of_2x_is_a_fault_and_recovers(database_url, version):
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        await handle(transaction, status2x(0, "Faulted", version))
        await handle(transaction, status2x(30, "Available", version))
        (fault,) = await faults.list_faults(transaction)
    assert (fault.evse_id, fault.connector_id, fault.code, fault.duration_s) == (2, 1, "Faulted", 30.0)


async def test_the_newest_state_wins_and_a_late_one_is_kept_in_the_history(database_url):
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        await handle(transaction, status16(60, "Charging"))
        late = call("StatusNotification", status16(10, "Faulted", "GroundFailure").payload, after_s=61)
        await handle(transaction, late)
        (state,) = await faults.list_connectors(transaction, "CP-1")
        history = await faults.connector_reports(transaction, Spot("CP-1", 0, 1))
        assert not await faults.list_faults(transaction)
    assert (state.status, state.reported_at) == ("Charging", NOW + timedelta(seconds=60))
    assert [(row.status, row.late) for row in history] == [("Charging", False), ("Faulted", True)]


async def test_a_clock_that_was_never_set_gives_way_to_the_arrival(database_url):
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        for seconds, status in ((0, "Available"), (1, "Charging"), (2, "Available")):
            payload = {"connectorId": 1, "status": status, "errorCode": "NoError", "timestamp": "1970-01-01T00:00:00Z"}
            await handle(transaction, call("StatusNotification", payload, after_s=seconds))
        (state,) = await faults.list_connectors(transaction, "CP-1")
        history = await faults.connector_reports(transaction, Spot("CP-1", 0, 1))
    assert (state.status, state.reported_at) == ("Available", NOW + timedelta(seconds=2))
    assert [row.status for row in history] == ["Available", "Charging", "Available"]


async def test_a_fault_reported_by_a_clock_that_was_ahead_ends_when_the_clock_is_right(database_url):
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        ahead = status16(240, "Faulted", "GroundFailure").payload
        await handle(transaction, call("StatusNotification", ahead, after_s=0))
        await handle(transaction, status16(60, "Available"))
        (state,) = await faults.list_connectors(transaction, "CP-1")
        (fault,) = await faults.list_faults(transaction)
    assert state.status == "Available"
    assert (fault.started_at, fault.ended_at, fault.duration_s) == (NOW, NOW + timedelta(seconds=60), 60)


async def test_a_retried_status_leaves_one_trace(database_url):
    async with migrated_store(database_url) as store:
        for after_s in (0, 5):
            payload = status16(0, "Faulted", "ReaderFailure").payload
            async with store.transaction() as transaction:
                await handle(transaction, call("StatusNotification", payload, after_s=after_s))
        async with store.transaction(read_only=True) as transaction:
            assert len(await faults.connector_reports(transaction, Spot("CP-1", 0, 1))) == 1
            assert len(await faults.list_faults(transaction)) == 1


async def test_any_payload_is_confirmed(database_url):
    payloads: list[dict[str, Any]] = [
        {},
        {"connectorId": "x", "status": 4, "errorCode": []},
        {"connectorId": -1, "status": {}, "timestamp": 12},
        {"connectorId": 2**40, "status": "A\x00", "errorCode": "E" * 9000, "timestamp": "yesterday"},
        {"type": ["x"], "techInfo": "t" * 9000, "timestamp": "1970"},
        {"status": "Uploaded", "requestId": {}},
    ]
    actions = (
        "StatusNotification",
        "SecurityEventNotification",
        "LogStatusNotification",
        "DiagnosticsStatusNotification",
    )
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        for action in actions:
            for payload in payloads:
                await handle(transaction, call(action, payload))
        for payload in payloads:
            await handle(transaction, call("StatusNotification", payload, version=Version.V201))


async def test_security_events_are_stored_once_whatever_their_type(database_url):
    first = {"type": "FirmwareUpdated", "timestamp": at(0), "techInfo": "1.2"}
    own = {"type": "AcmeCoffeeSpilled", "timestamp": "2026-05-01T13:00:00+03"}
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        for payload in (first, first, own):
            await handle(transaction, call("SecurityEventNotification", payload, after_s=3))
        stored = await security_events.list_events(transaction, identity="CP-1")
        assert len(await security_events.list_events(transaction, type_="FirmwareUpdated", since=NOW)) == 1
    assert [(event.type, event.tech_info) for event in stored] == [
        ("FirmwareUpdated", "1.2"),
        ("AcmeCoffeeSpilled", None),
    ]
    assert stored[1].occurred_at == NOW - timedelta(hours=2)


async def everything_about(store: Store) -> tuple[Any, ...]:
    async with store.transaction(read_only=True) as transaction:
        states = await faults.list_connectors(transaction, "CP-1")
        seen = await faults.list_faults(transaction, identity="CP-1")
        reports = [await faults.connector_reports(transaction, Spot("CP-1", 0, connector)) for connector in range(3)]
    return (
        [(row.connector_id, row.status, row.error_code, row.reported_at) for row in states],
        [(row.number, row.code, row.started_at, row.ended_at, row.duration_s) for row in seen],
        [[row.number for row in rows] for rows in reports],
    )


@pytest.mark.parametrize("seed", [1, 2])
async def test_an_offline_queue_that_is_sent_twice_changes_nothing_the_second_time(database_url, seed):
    chance = Random(seed)
    codes = ["NoError", "NoError", "GroundFailure", "OverVoltage", "OtherError"]
    sent = [
        status16(seconds, chance.choice(["Available", "Faulted"]), chance.choice(codes), chance.randrange(3))
        for seconds in range(40)
    ]
    async with migrated_store(database_url) as store:
        async with store.transaction() as transaction:
            for one in sent:
                await handle(transaction, one)
        once = await everything_about(store)
        async with store.transaction() as transaction:
            for one in sent:
                await handle(transaction, call(one.action, one.payload, after_s=100))
        assert await everything_about(store) == once
        async with store.transaction(read_only=True) as transaction:
            seen = await faults.list_faults(transaction)
    for connector in range(3):
        intervals = sorted(
            (row.started_at, row.ended_at) for row in seen if row.connector_id == connector and row.ended_at
        )
        assert all(before[1] <= after[0] for before, after in pairwise(intervals))
        assert sum(row.ended_at is None for row in seen if row.connector_id == connector) <= 1


async def test_a_redelivered_report_does_not_undo_the_next_one_of_the_same_second(database_url):
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        faulted = status16(0, "Faulted", "GroundFailure")
        healthy = call("StatusNotification", status16(0).payload, after_s=0.4)
        for one in (faulted, healthy, faulted):
            await handle(transaction, one)
        (state,) = await faults.list_connectors(transaction, "CP-1")
        assert state.status == "Available"
        assert not await faults.list_faults(transaction, open_only=True)
        assert len(await faults.connector_reports(transaction, Spot("CP-1", 0, 1))) == 2
