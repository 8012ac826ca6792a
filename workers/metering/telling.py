"""The events of metering: what began, what ended and is billed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from contracts.events import TransactionEnded, TransactionStarted
from workers.runtime.calls import IncomingCall
from workers.store import outbox
from workers.store.engine import StoreTransaction

_BILLED = ("id_token", "started_at", "ended_at", "meter_start_wh", "meter_stop_wh", "energy_wh")


def tell_started(call: IncomingCall, store: StoreTransaction, row: Mapping[str, Any], at: datetime) -> None:
    """A transaction, as its row says, began then."""
    data = TransactionStarted(
        transaction_id=_reference(row),
        evse_id=row.get("evse_id"),
        connector_id=row.get("connector_id"),
        id_token=row.get("id_token"),
        token_status=row.get("token_status"),
        meter_start_wh=row.get("meter_start_wh"),
        reservation_id=row.get("reservation_id"),
        remote_start_id=row.get("remote_start_id"),
        flags=(row.get("flags") or "").split(),
    )
    outbox.emit(store, call.identity, data, occurred_at=at, now=call.handled_at)


def tell_ended(call: IncomingCall, store: StoreTransaction, before: Mapping[str, Any], row: Mapping[str, Any]) -> None:
    """A transaction ended, or what is billed for it changed afterwards; nothing when neither did."""
    told = before.get("state") in {"ended", "abandoned"}
    if before.get("state") == "ended" and all(before.get(name) == row.get(name) for name in _BILLED):
        return
    tell_end(call, store, row, row["ended_at"] or call.received_at, state="ended", corrects=told)


def tell_abandoned(call: IncomingCall, store: StoreTransaction, row: Mapping[str, Any], at: datetime) -> None:
    """A transaction gave way to the next one that began then at its place."""
    tell_end(call, store, row, at, state="abandoned")


def tell_end(
    call: IncomingCall,
    store: StoreTransaction,
    row: Mapping[str, Any],
    at: datetime,
    *,
    state: str,
    corrects: bool = False,
) -> None:
    """A transaction, as its row says, ended then."""
    data = TransactionEnded(
        transaction_id=_reference(row),
        evse_id=row.get("evse_id"),
        connector_id=row.get("connector_id"),
        id_token=row.get("id_token"),
        started_at=row.get("started_at"),
        meter_start_wh=row.get("meter_start_wh"),
        meter_stop_wh=row.get("meter_stop_wh"),
        energy_wh=row.get("energy_wh"),
        stop_reason=row.get("stop_reason"),
        state=state,
        corrects=corrects,
        flags=(row.get("flags") or "").split(),
    )
    outbox.emit(store, call.identity, data, occurred_at=at, now=call.handled_at)


def _reference(row: Mapping[str, Any]) -> str:
    return str(row.get("reference") or row["id"])
