"""Connector states with their history, and the fault register: tables and queries."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Double,
    Identity,
    Index,
    Integer,
    Row,
    Table,
    UniqueConstraint,
    bindparam,
    select,
    text,
    update,
)

from workers.store.engine import StoreTransaction
from workers.store.plans import planned
from workers.store.tables import connector_states, metadata
from workers.store.types import BigId, PlainText, UtcTime
from workers.store.upserts import columns_but, insert_new, upsert

connector_history = Table(
    "connector_history",
    metadata,
    Column("number", BigId, Identity(always=False), primary_key=True),
    Column("identity", PlainText, nullable=False),
    Column("entry_key", PlainText, nullable=False),  # digest of the report: a retried one adds nothing
    Column("evse_id", Integer, nullable=False),
    Column("connector_id", Integer, nullable=False),
    Column("status", PlainText, nullable=False),
    Column("error_code", PlainText),
    Column("info", PlainText),
    Column("vendor_id", PlainText),
    Column("vendor_error_code", PlainText),
    Column("reported_at", UtcTime, nullable=False),
    Column("received_at", UtcTime, nullable=False),
    Column("late", Boolean, nullable=False),  # a newer state was known already
    UniqueConstraint("identity", "entry_key"),
    Index("ix_connector_history_connector", "identity", "evse_id", "connector_id", "reported_at"),
)

_OPEN = text("ended_at IS NULL")
faults = Table(
    "faults",
    metadata,
    Column("number", BigId, Identity(always=False), primary_key=True),
    Column("identity", PlainText, nullable=False),
    Column("evse_id", Integer, nullable=False),  # 1.6: 0
    Column("connector_id", Integer, nullable=False),  # 0: the whole charge point or EVSE
    Column("place", PlainText, nullable=False),  # connector, or the OCPP 2.x component
    Column("code", PlainText, nullable=False),
    Column("detail_code", PlainText, nullable=False),  # the vendor's code where it makes another fault of it
    Column("kind", PlainText, nullable=False),  # hardware | software | external | unknown
    Column("severe", Boolean, nullable=False),  # Faulted, not merely an error
    Column("vendor_id", PlainText),
    Column("vendor_error_code", PlainText),
    Column("info", PlainText),
    Column("source", PlainText, nullable=False),  # the OCPP action that reported it first
    Column("started_at", UtcTime, nullable=False),
    Column("start_received_at", UtcTime, nullable=False),
    Column("last_reported_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Column("end_received_at", UtcTime),
    Column("duration_s", Double),
    # One open fault per place, whoever writes.
    Index(
        "uq_faults_open",
        "identity",
        "evse_id",
        "connector_id",
        "place",
        unique=True,
        postgresql_where=_OPEN,
        sqlite_where=_OPEN,
    ),
    Index("ix_faults_identity", "identity", "started_at"),
    Index("ix_faults_started_at", "started_at"),
)

_STATE_KEYS = ("identity", "evse_id", "connector_id")
_STATE_WORDS = ("status", "error_code", "vendor_error_code")
_STATE = planned(
    select(*(connector_states.c[name] for name in _STATE_WORDS))
    .where(
        connector_states.c.identity == bindparam("who"),
        connector_states.c.evse_id == bindparam("evse"),
        connector_states.c.connector_id == bindparam("connector"),
    )
    .with_for_update()
)
_OPEN_FAULT = planned(
    select(faults)
    .where(
        faults.c.identity == bindparam("who"),
        faults.c.evse_id == bindparam("evse"),
        faults.c.connector_id == bindparam("connector"),
        faults.c.place == bindparam("where"),
        faults.c.ended_at.is_(None),
    )
    .with_for_update()
)
_END = planned(
    update(faults)
    .where(faults.c.number == bindparam("which"), faults.c.ended_at.is_(None))
    .values(
        ended_at=bindparam("at"),
        end_received_at=bindparam("received"),
        last_reported_at=bindparam("at"),
        duration_s=bindparam("seconds"),
    )
)
_REFRESH = planned(
    update(faults)
    .where(faults.c.number == bindparam("which"))
    .values(last_reported_at=bindparam("at"), severe=faults.c.severe | bindparam("is_severe", type_=Boolean))
)


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a state or a fault is: 1.6 connectors have EVSE 0, connector 0 is the whole."""

    identity: str
    evse_id: int
    connector_id: int


class Noted(Enum):
    """What a connector's report did to its state."""

    CHANGED = auto()
    SAME = auto()
    """It is the newest report, and says what the one before said."""
    LATE = auto()
    """A newer report is known."""


@dataclass(frozen=True, slots=True)
class ConnectorReport:
    """One StatusNotification as stored. `reported_at` is the charge point's time where it can be believed."""

    spot: Spot
    entry_key: str
    status: str
    error_code: str | None
    info: str | None
    vendor_id: str | None
    vendor_error_code: str | None
    reported_at: datetime
    received_at: datetime


async def note_connector(transaction: StoreTransaction, report: ConnectorReport) -> Noted:
    """Keep a report and make it the connector's state unless a newer one is.

    Of two at the same moment, as clocks that count whole seconds make them, the one that arrived later is newer.

    A retried report adds nothing to the history (written just before the commit) and leaves the state as it is, unless
    another one of the same moment came between: two of three quick changes may look alike too.
    """
    state = {
        "identity": report.spot.identity,
        "evse_id": report.spot.evse_id,
        "connector_id": report.spot.connector_id,
        "status": report.status,
        "error_code": report.error_code,
        "info": report.info,
        "vendor_id": report.vendor_id,
        "vendor_error_code": report.vendor_error_code,
        "reported_at": report.reported_at,
        "received_at": report.received_at,
    }
    spot = {"who": report.spot.identity, "evse": report.spot.evse_id, "connector": report.spot.connector_id}
    # First the state: its row is locked until the commit, which puts two writers for one connector in order.
    before = await transaction.first(_STATE, spot)
    changed = columns_but(connector_states, _STATE_KEYS)
    statement = upsert(connector_states, transaction.dialect, _STATE_KEYS, changed, "reported_at", "received_at")
    is_newest = await transaction.run(statement, state) > 0
    entry = {**state, "entry_key": report.entry_key, "late": not is_newest}
    transaction.append(insert_new(connector_history, transaction.dialect), entry)
    if not is_newest:
        return Noted.LATE
    same = before is not None and all(getattr(before, name) == state[name] for name in _STATE_WORDS)
    return Noted.SAME if same else Noted.CHANGED


async def open_fault(transaction: StoreTransaction, spot: Spot, place: str) -> Row[Any] | None:
    """The open fault of a place, locked where the database can."""
    where = {"who": spot.identity, "evse": spot.evse_id, "connector": spot.connector_id, "where": place}
    return await transaction.first(_OPEN_FAULT, where)


async def start_fault(transaction: StoreTransaction, row: dict[str, Any]) -> None:
    """Open a fault; nothing happens when the place has an open one."""
    await transaction.run(insert_new(faults, transaction.dialect), row)


async def end_fault(
    transaction: StoreTransaction, number: int, *, at: datetime, received_at: datetime, duration_s: float
) -> None:
    """Close a fault."""
    await transaction.run(_END, {"which": number, "at": at, "received": received_at, "seconds": duration_s})


async def refresh_fault(transaction: StoreTransaction, number: int, at: datetime, *, severe: bool) -> None:
    """Note that an open fault was reported again."""
    await transaction.run(_REFRESH, {"which": number, "at": at, "is_severe": severe})


async def list_faults(
    transaction: StoreTransaction,
    *,
    identity: str | None = None,
    kind: str | None = None,
    open_only: bool = False,
    since: datetime | None = None,
    limit: int = 1000,
) -> Sequence[Row[Any]]:
    """Faults, newest first; `since` keeps those that had not ended by then."""
    query = select(faults).order_by(faults.c.started_at.desc(), faults.c.number.desc()).limit(limit)
    if identity is not None:
        query = query.where(faults.c.identity == identity)
    if kind is not None:
        query = query.where(faults.c.kind == kind)
    if open_only:
        query = query.where(faults.c.ended_at.is_(None))
    if since is not None:
        query = query.where(faults.c.ended_at.is_(None) | (faults.c.ended_at >= since))
    return await transaction.rows(query)


async def list_connectors(transaction: StoreTransaction, identity: str) -> Sequence[Row[Any]]:
    """The present state of each connector of a charge point."""
    query = select(connector_states).where(connector_states.c.identity == identity)
    return await transaction.rows(query.order_by(connector_states.c.evse_id, connector_states.c.connector_id))


async def connector_reports(transaction: StoreTransaction, spot: Spot, *, limit: int = 1000) -> Sequence[Row[Any]]:
    """What a connector reported, newest first."""
    query = select(connector_history).where(
        connector_history.c.identity == spot.identity,
        connector_history.c.evse_id == spot.evse_id,
        connector_history.c.connector_id == spot.connector_id,
    )
    newest = (connector_history.c.reported_at.desc(), connector_history.c.number.desc())
    return await transaction.rows(query.order_by(*newest).limit(limit))
