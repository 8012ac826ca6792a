"""StatusNotification of all versions: the connector's state, its history, and the fault register."""

from contracts.events import ConnectorStatusChanged
from workers.diagnostics.event_data import CONNECTOR_PLACE
from workers.diagnostics.fault_register import Fault, from_status
from workers.diagnostics.fields import digest, own_moment, place_number, word
from workers.diagnostics.register import note_observation
from workers.runtime.calls import Answer, IncomingCall, Reply
from workers.store import faults, outbox
from workers.store.engine import StoreTransaction
from workers.store.faults import ConnectorReport, Noted, Spot

_NOTED = Answer()
UNKNOWN_STATUS = "Unknown"
"""What is stored when a charge point sends no readable status."""


async def status_notification(call: IncomingCall, transaction: StoreTransaction) -> Reply:
    """Store a connector's status; the newest by the charge point's time wins. Always confirmed.

    A late report is kept in the history and changes neither the state nor the register.
    """
    report = _read(call)
    fault = from_status(
        report.status,
        report.error_code,
        vendor_id=report.vendor_id,
        vendor_error_code=report.vendor_error_code,
        info=report.info,
    )
    await note_status(transaction, report, fault, call)
    return _NOTED


async def note_status(
    transaction: StoreTransaction, report: ConnectorReport, fault: Fault | None, call: IncomingCall
) -> None:
    """Store a connector's status and, unless a newer one is known, what it means for the fault register."""
    noted = await faults.note_connector(transaction, report)
    if noted is Noted.CHANGED:
        data = ConnectorStatusChanged(
            evse_id=report.spot.evse_id if call.version.is_2x else None,
            connector_id=report.spot.connector_id,
            status=report.status,
            error_code=report.error_code,
            vendor_error_code=report.vendor_error_code,
            info=report.info,
        )
        outbox.emit(transaction, call.identity, data, occurred_at=report.reported_at, now=call.handled_at)
    if noted is not Noted.LATE:
        await note_observation(
            transaction,
            report.spot,
            CONNECTOR_PLACE,
            fault,
            at=report.reported_at,
            received_at=report.received_at,
            source=call.action,
        )


def _read(call: IncomingCall) -> ConnectorReport:
    payload = call.payload
    is_2x = call.version.is_2x
    spot = Spot(
        call.identity,
        place_number(payload.get("evseId")) if is_2x else 0,
        place_number(payload.get("connectorId")),
    )
    reported_at = own_moment(payload.get("timestamp"), call.received_at)
    # With a time of its own a report is recognised when it is retried; without, only when it is redelivered.
    recognised_by = call.delivery_key() if reported_at is None else payload
    return ConnectorReport(
        spot=spot,
        entry_key=digest(recognised_by),
        status=word(payload.get("connectorStatus" if is_2x else "status")) or UNKNOWN_STATUS,
        error_code=None if is_2x else word(payload.get("errorCode")),
        info=word(payload.get("info")),
        vendor_id=word(payload.get("vendorId")),
        vendor_error_code=word(payload.get("vendorErrorCode")),
        reported_at=reported_at or call.received_at,
        received_at=call.received_at,
    )
