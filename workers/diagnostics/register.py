"""The fault register's shell: look up a place's open fault, let the pure rule decide, write the change."""

from datetime import datetime

from workers.diagnostics.fault_register import Fault, OpenFault, observe
from workers.store import faults
from workers.store.engine import StoreTransaction
from workers.store.faults import Spot


async def note_observation(
    transaction: StoreTransaction,
    spot: Spot,
    place: str,
    fault: Fault | None,
    *,
    at: datetime,
    received_at: datetime,
    source: str,
) -> None:
    """Bring the register up to date with what is observed at a place: a fault, or None for health.

    An observation older than the newest one about an open fault changes nothing.
    """
    row = await faults.open_fault(transaction, spot, place)
    if row is not None and at < row.last_reported_at:
        return
    known = None if row is None else OpenFault((row.code, row.detail_code), row.started_at)
    change = observe(known, fault, at)
    if row is not None and change.seen_again:
        await faults.refresh_fault(transaction, row.number, at, severe=fault is not None and fault.severe)
    if row is not None and change.end_duration_s is not None:
        await faults.end_fault(
            transaction, row.number, at=at, received_at=received_at, duration_s=change.end_duration_s
        )
    if change.start is not None:
        started = change.start
        new = {
            "identity": spot.identity,
            "evse_id": spot.evse_id,
            "connector_id": spot.connector_id,
            "place": place,
            "code": started.key[0],
            "detail_code": started.key[1],
            "kind": started.kind.value,
            "severe": started.severe,
            "vendor_id": started.vendor_id,
            "vendor_error_code": started.vendor_error_code,
            "info": started.info,
            "source": source,
            "started_at": at,
            "start_received_at": received_at,
            "last_reported_at": at,
        }
        await faults.start_fault(transaction, new)
