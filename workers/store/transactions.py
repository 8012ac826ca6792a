"""Transactions as others read them: energy delivered, and the course of power, current and voltage."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select

from workers.store.engine import StoreTransaction
from workers.store.tables import meter_samples, transactions

_t, _s = transactions, meter_samples
_REGISTER = "Energy.Active.Import.Register"


@dataclass(frozen=True, slots=True)
class TransactionView:
    """A transaction; `energy_wh` of an active one is what its samples say so far, None when nothing tells."""

    id: int
    identity: str
    reference: str
    """The transactionId that the charge point knows."""
    ocpp_version: str
    evse_id: int | None
    connector_id: int | None
    state: str
    id_token: str | None
    token_status: str | None
    started_at: datetime | None
    ended_at: datetime | None
    meter_start_wh: float | None
    meter_stop_wh: float | None
    energy_wh: float | None
    stop_reason: str | None
    flags: str


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a series, in its normal unit."""

    at: datetime
    value: float
    unit: str
    phase: str
    context: str


async def find_transaction(transaction: StoreTransaction, number: int) -> TransactionView | None:
    """The transaction with that id."""
    found = await _views(transaction, select(_t).where(_t.c.id == number))
    return found[0] if found else None


async def list_transactions(
    transaction: StoreTransaction,
    *,
    identity: str | None = None,
    state: str | None = None,
    active: bool | None = None,
    limit: int = 100,
) -> Sequence[TransactionView]:
    """The newest transactions, optionally of one charge point, in one state, or active or not."""
    query = select(_t).order_by(_t.c.id.desc()).limit(limit)
    if identity is not None:
        query = query.where(_t.c.identity == identity)
    if state is not None:
        query = query.where(_t.c.state == state)
    if active is not None:
        query = query.where(_t.c.state == "active" if active else _t.c.state != "active")
    return await _views(transaction, query)


async def series(
    transaction: StoreTransaction, view: TransactionView, measurand: str, *, phase: str | None = None
) -> Sequence[Point]:
    """The values of a measurand (such as Power.Active.Import, Current.Import, Voltage) in order of time."""
    query = (
        select(_s.c.sampled_at, _s.c.normal_value, _s.c.normal_unit, _s.c.phase, _s.c.context)
        .where(
            _s.c.identity == view.identity,
            _s.c.transaction_ref == view.reference,
            _s.c.measurand == measurand,
            _s.c.normal_value.is_not(None),
        )
        .order_by(_s.c.sampled_at, _s.c.phase)
    )
    if phase is not None:
        query = query.where(_s.c.phase == phase)
    rows = await transaction.rows(query)
    return [Point(row.sampled_at, row.normal_value, row.normal_unit, row.phase, row.context) for row in rows]


async def _views(transaction: StoreTransaction, query: Select[Any]) -> list[TransactionView]:
    rows = await transaction.rows(query)
    live = {(row.identity, str(row.reference or row.id)): row.meter_start_wh for row in rows if row.energy_wh is None}
    registers = await _registers(transaction, list(live))
    views = []
    for row in rows:
        reference = str(row.reference or row.id)
        energy, register = row.energy_wh, registers.get((row.identity, reference))
        if energy is None and register is not None and row.state != "ended":
            low, high = register
            energy = high - (row.meter_start_wh if row.meter_start_wh is not None else low)
        views.append(
            TransactionView(
                id=row.id,
                identity=row.identity,
                reference=reference,
                ocpp_version=row.ocpp_version,
                evse_id=row.evse_id,
                connector_id=row.connector_id,
                state=row.state,
                id_token=row.id_token,
                token_status=row.token_status,
                started_at=row.started_at,
                ended_at=row.ended_at,
                meter_start_wh=row.meter_start_wh,
                meter_stop_wh=row.meter_stop_wh,
                energy_wh=energy,
                stop_reason=row.stop_reason,
                flags=row.flags,
            )
        )
    return views


async def _registers(
    transaction: StoreTransaction, keys: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], tuple[float, float]]:
    """Lowest and highest reading of the whole meter, by charge point and transaction."""
    if not keys:
        return {}
    low, high = func.min(_s.c.normal_value).label("low"), func.max(_s.c.normal_value).label("high")
    query = (
        select(_s.c.identity, _s.c.transaction_ref, low, high)
        .where(
            _s.c.identity.in_({identity for identity, _ in keys}),
            _s.c.transaction_ref.in_({reference for _, reference in keys}),
            _s.c.measurand == _REGISTER,
            _s.c.phase == "",
            _s.c.location == "Outlet",
            _s.c.normal_unit == "Wh",
            _s.c.normal_value.is_not(None),
        )
        .group_by(_s.c.identity, _s.c.transaction_ref)
    )
    rows = await transaction.rows(query)
    return {(row.identity, row.transaction_ref): (row.low, row.high) for row in rows}
