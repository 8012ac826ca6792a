"""NotifyEvent (OCPP 2.x): component events stored once each, and told to the fault register."""

from typing import Any

from workers.diagnostics.connectors import note_status
from workers.diagnostics.event_data import CONNECTOR_PLACE, DeviceEvent, FaultSignal, fault_signal
from workers.diagnostics.fields import digest, long_text, moment, number, place_number, word
from workers.diagnostics.register import note_observation
from workers.runtime.calls import Answer, IncomingCall, Reply
from workers.runtime.reading import read_list, read_object
from workers.store import device_model
from workers.store.engine import StoreTransaction
from workers.store.faults import ConnectorReport, Spot


async def notify_event(call: IncomingCall, transaction: StoreTransaction) -> Reply:
    """Store each event of a NotifyEvent, oldest first; entries that are no objects are passed over."""
    entries = [entry for entry in read_list(call.payload.get("eventData")) if isinstance(entry, dict)]
    read = [(_read(entry, call), digest(entry)) for entry in entries]
    for event, key in sorted(read, key=lambda pair: pair[0].occurred_at):
        if not await device_model.add_event(transaction, _row(event, key, call)):
            continue
        signal = fault_signal(event)
        if signal is not None:
            await _tell_register(event, key, signal, call, transaction)
    return Answer()


async def _tell_register(
    event: DeviceEvent, key: str, signal: FaultSignal, call: IncomingCall, transaction: StoreTransaction
) -> None:
    spot = Spot(call.identity, event.evse_id, event.connector_id)
    if event.component == "Connector" and event.actual_value and signal.place == CONNECTOR_PLACE and not event.cleared:
        # A station may send this instead of StatusNotification (part 2, G01): it is the connector's status.
        report = ConnectorReport(
            spot=spot,
            entry_key=key,
            status=event.actual_value,
            error_code=None,
            info=event.tech_info,
            vendor_id=None,
            vendor_error_code=event.tech_code,
            reported_at=event.occurred_at,
            received_at=call.received_at,
        )
        await note_status(transaction, report, signal.fault, call)
    elif await device_model.is_newest_event(transaction, call.identity, key):
        await note_observation(
            transaction,
            spot,
            signal.place,
            signal.fault,
            at=event.occurred_at,
            received_at=call.received_at,
            source=call.action,
        )


def _read(entry: dict[str, Any], call: IncomingCall) -> DeviceEvent:
    component = read_object(entry.get("component"))
    variable = read_object(entry.get("variable"))
    evse = read_object(component.get("evse"))
    return DeviceEvent(
        event_id=number(entry.get("eventId")) or 0,
        occurred_at=moment(entry.get("timestamp"), call.received_at),
        component=word(component.get("name")) or "",
        component_instance=word(component.get("instance")) or "",
        evse_id=place_number(evse.get("id")),
        connector_id=place_number(evse.get("connectorId")),
        variable=word(variable.get("name")) or "",
        variable_instance=word(variable.get("instance")) or "",
        trigger=word(entry.get("trigger")),
        actual_value=long_text(entry.get("actualValue")),
        cleared=entry.get("cleared") is True,
        tech_code=word(entry.get("techCode")),
        tech_info=long_text(entry.get("techInfo")),
        notification_type=word(entry.get("eventNotificationType")),
        transaction_id=word(entry.get("transactionId")),
        cause=number(entry.get("cause")),
        monitoring_id=number(entry.get("variableMonitoringId")),
        severity=number(entry.get("severity")),
    )


def _row(event: DeviceEvent, key: str, call: IncomingCall) -> dict[str, Any]:
    fields = {name: getattr(event, name) for name in DeviceEvent.__dataclass_fields__}
    return {**fields, "identity": call.identity, "event_key": key, "received_at": call.received_at}
