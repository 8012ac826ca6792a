"""What charge points are to do with certificates, and which of them they report as installed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, select, update

from workers.store.engine import StoreTransaction
from workers.store.parking import digest
from workers.store.security_tables import certificate_orders as _o
from workers.store.security_tables import installed_certificates as _c
from workers.store.upserts import upsert

REQUESTED = "requested"


@dataclass(frozen=True, slots=True)
class Order:
    """Something a charge point is to do; `details` is what its kind needs."""

    order_key: str
    identity: str
    kind: str
    subject: str
    details: dict[str, Any]
    attempts: int
    asked_at: datetime


async def place(
    transaction: StoreTransaction,
    identity: str,
    kind: str,
    now: datetime,
    *,
    due_at: datetime,
    subject: str = "",
    details: dict[str, Any] | None = None,
) -> str:
    """Have the charge point asked from `due_at` on, anew if it was asked the same before; the order's key."""
    order_key = digest(identity, kind, subject)
    row = {
        "order_key": order_key,
        "identity": identity,
        "kind": kind,
        "subject": subject,
        "details": details or {},
        "status": REQUESTED,
        "detail": "",
        "attempts": 0,
        "asked_at": now,
        "next_attempt_at": due_at,
        "ended_at": None,
    }
    changed = tuple(name for name in row if name not in {"order_key", "identity", "kind", "subject"})
    await transaction.run(upsert(_o, transaction.dialect, ("order_key",), changed), row)
    return order_key


async def is_asked(transaction: StoreTransaction, identity: str, kind: str, since: datetime) -> bool:
    """Whether the charge point is being asked this, or was until some time after `since`."""
    recent = _o.c.ended_at.is_(None) | (_o.c.ended_at > since)
    query = select(_o.c.order_key).where(_o.c.identity == identity, _o.c.kind == kind, recent)
    return await transaction.first(query.limit(1)) is not None


async def due(transaction: StoreTransaction, now: datetime, limit: int) -> Sequence[str]:
    """Orders that are due, the longest waiting first."""
    query = select(_o.c.order_key).where(_o.c.next_attempt_at <= now).order_by(_o.c.next_attempt_at).limit(limit)
    return [row.order_key for row in await transaction.rows(query)]


async def claim(transaction: StoreTransaction, order_key: str, due_by: datetime, *, until: datetime) -> Order | None:
    """That order if it is due, and nobody else's `until` then; else None."""
    query = select(_o).where(_o.c.order_key == order_key, _o.c.next_attempt_at <= due_by)
    row = await transaction.first(query.with_for_update(skip_locked=True))
    if row is None:
        return None
    attempts = row.attempts + 1
    mine = update(_o).where(_o.c.order_key == order_key)
    await transaction.run(mine.values(attempts=attempts, next_attempt_at=until))
    return Order(row.order_key, row.identity, row.kind, row.subject, row.details, attempts, row.asked_at)


async def finish(
    transaction: StoreTransaction, order: Order, status: str, detail: str, now: datetime, *, again_at: datetime | None
) -> bool:
    """Store how an attempt ended and when the next one is due; False if it was placed anew meanwhile."""
    mine = update(_o).where(_o.c.order_key == order.order_key, _o.c.asked_at == order.asked_at)
    ended_at = now if again_at is None else None
    values = {"status": status, "detail": detail[:500], "next_attempt_at": again_at, "ended_at": ended_at}
    return bool(await transaction.run(mine.values(**values)))


async def replace_installed(
    transaction: StoreTransaction, identity: str, reported: Sequence[tuple[str, dict[str, Any]]], now: datetime
) -> None:
    """Keep what the charge point reports (type and hash data) instead of what it reported before."""
    await transaction.run(delete(_c).where(_c.c.identity == identity))
    rows = [
        {
            "identity": identity,
            "certificate_type": certificate_type,
            "serial_number": str(hash_data.get("serialNumber", "")),
            "issuer_key_hash": str(hash_data.get("issuerKeyHash", "")),
            "hash_data": hash_data,
            "reported_at": now,
        }
        for certificate_type, hash_data in reported
    ]
    if rows:
        keys = ("identity", "certificate_type", "serial_number", "issuer_key_hash")
        await transaction.run(upsert(_c, transaction.dialect, keys, ("hash_data", "reported_at")), rows)


async def installed_on(
    transaction: StoreTransaction, identity: str, serial_number: str | None = None
) -> Sequence[Row[Any]]:
    """What the charge point last reported as installed; of one serial number, letter case ignored, or all."""
    query = select(_c).where(_c.c.identity == identity).order_by(_c.c.certificate_type, _c.c.serial_number)
    rows = await transaction.rows(query)
    return [row for row in rows if serial_number is None or _same(row.serial_number, serial_number)]


async def orders_of(transaction: StoreTransaction, identity: str, limit: int) -> Sequence[Row[Any]]:
    """The newest orders of a charge point."""
    query = select(_o).where(_o.c.identity == identity).order_by(_o.c.asked_at.desc(), _o.c.order_key)
    return await transaction.rows(query.limit(limit))


def _same(one: str, other: str) -> bool:
    """Serial numbers are hexadecimal without leading zeros, which not everybody leaves out."""
    return one.casefold().lstrip("0") == other.casefold().lstrip("0")
