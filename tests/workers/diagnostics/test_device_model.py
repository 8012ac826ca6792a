"""NotifyEvent and NotifyReport on a real store."""

from datetime import timedelta
from typing import Any

from contracts.versions import Version
from tests.support.incoming_calls import NOW, call
from tests.support.worker_store import migrated_store
from workers.diagnostics.log_jobs import LogLifecycle
from workers.diagnostics.service import service
from workers.runtime.calls import Answer, IncomingCall
from workers.settings import WorkerSettings
from workers.store import device_model, faults
from workers.store.engine import StoreTransaction

HANDLERS = service(WorkerSettings()).handlers
LIFECYCLE = LogLifecycle()


async def handle(transaction: StoreTransaction, one: IncomingCall) -> None:
    assert await HANDLERS[one.version, one.action](one, transaction) == Answer({})
    await transaction.flush()  # what waits for the commit is to be seen by the test


def at(seconds: float) -> str:
    return (NOW + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


async def register(transaction: StoreTransaction, **query: Any) -> list[tuple[Any, ...]]:
    return [
        (fault.code, fault.kind, fault.duration_s) for fault in reversed(await faults.list_faults(transaction, **query))
    ]


def event(
    seconds: float,
    variable: str,
    value: str,
    *,
    event_id: int = 1,
    component: str = "Connector",
    cleared: bool | None = None,
) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "eventId": event_id,
        "timestamp": at(seconds),
        "trigger": "Alerting",
        "actualValue": value,
        "eventNotificationType": "HardWiredNotification",
        "component": {"name": component, "evse": {"id": 1, "connectorId": 1}},
        "variable": {"name": variable},
    }
    return entry if cleared is None else {**entry, "cleared": cleared}


def notify_event(*entries: dict[str, Any], seconds: float = 0) -> IncomingCall:
    payload = {"generatedAt": at(seconds), "seqNo": 0, "eventData": list(entries)}
    return call("NotifyEvent", payload, version=Version.V201, after_s=seconds)


async def test_component_events_feed_the_same_register(database_url):
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        await handle(transaction, notify_event(event(0, "Problem", "true", component="PowerContactor")))
        await handle(transaction, notify_event(event(1, "AvailabilityState", "Faulted", event_id=2), seconds=1))
        # The same fault of the same connector, told in the other way.
        faulted = {"evseId": 1, "connectorId": 1, "connectorStatus": "Faulted", "timestamp": at(2)}
        await handle(transaction, call("StatusNotification", faulted, version=Version.V201, after_s=2))
        assert len(await faults.list_faults(transaction, open_only=True)) == 2
        gone = event(8, "Problem", "true", event_id=3, component="PowerContactor", cleared=True)
        await handle(transaction, notify_event(gone, event(9, "AvailabilityState", "Available", event_id=4), seconds=9))
        seen = await register(transaction)
        stored = await device_model.events(transaction, "CP-1")
    assert seen == [("Problem", "hardware", 8.0), ("Faulted", "unknown", 8.0)]
    assert [row.event_id for row in stored] == [4, 3, 2, 1]


async def test_a_retried_event_is_stored_once_and_events_are_taken_in_their_order(database_url):
    entries = [event(5, "Problem", "false", event_id=2), event(1, "Problem", "true", event_id=1)]
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        for seconds in (6, 8):
            await handle(transaction, notify_event(*entries, seconds=seconds))
        assert len(await device_model.events(transaction, "CP-1")) == 2
        assert await register(transaction) == [("Problem", "hardware", 4.0)]


async def test_an_event_that_comes_late_changes_nothing(database_url):
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        await handle(transaction, notify_event(event(9, "Problem", "false", event_id=2), seconds=9))
        await handle(transaction, notify_event(event(9, "AvailabilityState", "Available", event_id=3), seconds=9))
        late = [event(1, "Problem", "true"), event(1, "AvailabilityState", "Faulted", event_id=4)]
        await handle(transaction, notify_event(*late, seconds=10))
        assert await register(transaction) == []
        (state,) = await faults.list_connectors(transaction, "CP-1")
    assert (state.evse_id, state.connector_id, state.status) == (1, 1, "Available")


async def test_any_event_data_is_confirmed(database_url):
    several: list[Any] = [
        None,
        7,
        [],
        ["x"],
        {"eventId": "y"},
        [{"component": 3, "variable": [], "eventId": 1e30, "cleared": 1}],
    ]
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        for event_data in several:
            await handle(transaction, call("NotifyEvent", {"eventData": event_data}, version=Version.V21))


def variable(name: str, value: Any, attribute: str | None = None, **traits: Any) -> dict[str, Any]:
    attributes = (
        [{"value": value}] if attribute is None else [{"type": attribute, "value": value, "mutability": "ReadOnly"}]
    )
    entry = {
        "component": {"name": "EVSE", "evse": {"id": 1}},
        "variable": {"name": name},
        "variableAttribute": attributes,
    }
    return {**entry, "variableCharacteristics": traits} if traits else entry


def page(
    seq_no: int, *data: dict[str, Any], tbc: bool | None = None, request_id: int = 5, seconds: float = 0
) -> IncomingCall:
    payload: dict[str, Any] = {
        "requestId": request_id,
        "generatedAt": at(seconds),
        "seqNo": seq_no,
        "reportData": list(data),
    }
    if tbc is not None:
        payload["tbc"] = tbc
    return call("NotifyReport", payload, version=Version.V201, after_s=seconds)


async def test_report_pages_are_joined_into_the_device_model(database_url):
    power = variable("Power", "11000", "MaxSet", unit="W", dataType="decimal", maxLimit=22000, supportsMonitoring=True)
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        await handle(transaction, page(1, power))
        (report,) = await device_model.reports(transaction, "CP-1")
        assert not report.complete
        await handle(transaction, page(0, variable("AvailabilityState", "Available"), tbc=True))
        await handle(transaction, page(0, variable("AvailabilityState", "Available"), tbc=True, seconds=2))
        (report,) = await device_model.reports(transaction, "CP-1")
        state, limit = await device_model.variables(transaction, "CP-1", component="EVSE")
    assert (report.complete, report.last_seq_no, report.request_id) == (True, 1, 5)
    assert (state.variable, state.attribute, state.value, state.mutability) == (
        "AvailabilityState",
        "Actual",
        "Available",
        "ReadWrite",
    )
    assert (limit.attribute, limit.value, limit.mutability) == ("MaxSet", "11000", "ReadOnly")
    assert (limit.unit, limit.data_type, limit.max_limit, limit.supports_monitoring) == ("W", "decimal", 22000.0, True)
    assert (limit.evse_id, limit.connector_id) == (1, 0)


async def test_a_later_report_replaces_values_and_an_older_one_does_not(database_url):
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        await handle(transaction, page(0, variable("Count", "2"), request_id=1, seconds=20))
        await handle(transaction, page(0, variable("Count", "3"), request_id=2, seconds=30))
        await handle(transaction, page(0, variable("Count", "1"), request_id=3, seconds=10))
        (stored,) = await device_model.variables(transaction, "CP-1")
    assert (stored.value, stored.request_id) == ("3", 2)


async def test_a_request_id_used_again_begins_the_report_anew(database_url):
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        await handle(transaction, page(0, variable("Count", "2")))
        await handle(transaction, page(0, variable("Count", "3"), tbc=True, seconds=5))
        (report,) = await device_model.reports(transaction, "CP-1")
        assert not report.complete
        await handle(transaction, page(1, variable("Other", "x", "Target"), seconds=6))
        (report,) = await device_model.reports(transaction, "CP-1")
    assert report.complete
    assert report.first_received_at == NOW + timedelta(seconds=5)


async def test_any_report_is_confirmed(database_url):
    payloads: list[dict[str, Any]] = [
        {},
        {"requestId": "x", "seqNo": -4, "reportData": "all"},
        {"reportData": [1, {}, {"component": {"name": "C"}}]},
        {"requestId": 2**50, "reportData": [variable("V", 7), variable("V", ["x"]), {"variable": {"name": 3}}]},
    ]
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        for payload in payloads:
            await handle(transaction, call("NotifyReport", payload, version=Version.V21))
        assert [row.variable for row in await device_model.variables(transaction, "CP-1")] == ["V"]
