"""Sessions: the newest of each charge point, open or closed. Written by the presence consumer alone."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, bindparam, select, text, update

from workers.store.engine import StoreTransaction
from workers.store.tables import presence
from workers.store.types import UtcTime
from workers.store.upserts import columns_but, upsert

GATEWAY_LOST = "gateway_lost"
_KEYS = ("identity",)
_LOCK = 0x4F435052
"""One writer at a time, even while the queue moves from one consumer to the next."""

_p = presence
_FIND = select(_p).where(_p.c.identity == bindparam("wanted"))
_MANY = select(_p).where(_p.c.identity.in_(bindparam("wanted", expanding=True))).order_by(_p.c.identity)
# Sessions that were never announced are of gateways of the version before: those have no heartbeat to miss.
_ANNOUNCED = _p.c.closed_at.is_(None) & _p.c.opened_at.is_not(None)
_OPEN_ON = (
    select(_p)
    .where(_ANNOUNCED, _p.c.gateway == bindparam("wanted"))
    .order_by(_p.c.identity)
    .limit(bindparam("most"))
    .with_for_update()
)
_CLOSE = (
    update(_p)
    .where(_p.c.identity == bindparam("who"))
    .values(
        closed_at=bindparam("at", type_=UtcTime),
        close_code=None,
        close_reason=GATEWAY_LOST,
        noted_at=bindparam("at", type_=UtcTime),
    )
)
_GATEWAYS = select(_p.c.gateway).where(_ANNOUNCED).distinct()


@dataclass(frozen=True, slots=True)
class Place:
    """A session of a charge point; the larger epoch (milliseconds) is the newer one."""

    identity: str
    gateway: str
    session: str
    epoch: int
    ocpp_version: str


@dataclass(frozen=True, slots=True)
class SessionRow:
    """The newest session of a charge point, as stored; closed when `closed_at` is set."""

    identity: str
    gateway: str
    session: str
    epoch: int
    ocpp_version: str
    remote: str = ""
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    close_code: int | None = None
    close_reason: str | None = None


_COLUMNS = tuple(field.name for field in fields(SessionRow))


async def find(transaction: StoreTransaction, identity: str) -> Place | None:
    """The open session, or None for a charge point that is not connected."""
    row = await transaction.first(_FIND.where(_p.c.closed_at.is_(None)), {"wanted": identity})
    return None if row is None else Place(row.identity, row.gateway, row.session, row.epoch, row.ocpp_version)


async def last_version(transaction: StoreTransaction, identity: str) -> str | None:
    """The OCPP version of the newest session, open or not; None for a charge point that never connected."""
    row = await transaction.first(_FIND, {"wanted": identity})
    return None if row is None else str(row.ocpp_version)


async def begin_writing(transaction: StoreTransaction) -> None:
    """Wait until nobody else writes sessions, until the commit."""
    if transaction.dialect == "postgresql":
        await transaction.run(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))


async def newest(transaction: StoreTransaction, identities: Collection[str]) -> dict[str, SessionRow]:
    """The newest sessions of these charge points; locked until the commit, in order of identity."""
    if not identities:
        return {}
    rows = await transaction.rows(_MANY.with_for_update(), {"wanted": sorted(identities)})
    return {row.identity: _session(row) for row in rows}


async def save(transaction: StoreTransaction, sessions: Collection[SessionRow], now: datetime) -> None:
    """Make these the newest sessions of their charge points."""
    if not sessions:
        return
    # In order of identity: two processes that lock the same rows in the same order cannot deadlock.
    rows = [
        {**{name: getattr(session, name) for name in _COLUMNS}, "noted_at": now}
        for session in sorted(sessions, key=lambda session: session.identity)
    ]
    await transaction.run(upsert(_p, transaction.dialect, _KEYS, columns_but(_p, _KEYS)), rows)


async def close_lost(transaction: StoreTransaction, gateway: str, now: datetime, most: int) -> list[SessionRow]:
    """Close so many of the announced sessions that a lost gateway has open; those that were closed."""
    rows = await transaction.rows(_OPEN_ON, {"wanted": gateway, "most": most})
    if rows:
        await transaction.run(_CLOSE, [{"who": row.identity, "at": now} for row in rows])
    return [_session(row) for row in rows]


async def gateways(transaction: StoreTransaction) -> set[str]:
    """The gateways that have announced sessions open."""
    return {row.gateway for row in await transaction.rows(_GATEWAYS)}


async def list_sessions(
    transaction: StoreTransaction,
    *,
    gateway: str | None = None,
    identity: str | None = None,
    open_only: bool = True,
    limit: int = 1000,
) -> Sequence[Row[Any]]:
    """The newest session of each charge point, those that were noted last first."""
    query: Select[Any] = select(_p)
    if gateway is not None:
        query = query.where(_p.c.gateway == gateway)
    if identity is not None:
        query = query.where(_p.c.identity == identity)
    if open_only:
        query = query.where(_p.c.closed_at.is_(None))
    return await transaction.rows(query.order_by(_p.c.noted_at.desc(), _p.c.identity).limit(limit))


def _session(row: Row[Any]) -> SessionRow:
    return SessionRow(*(getattr(row, name) for name in _COLUMNS))
