"""Initial configuration: what charge points are to be told once accepted, and what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update

from workers.store.engine import StoreTransaction
from workers.store.tables import charge_points, configuration_pushes, initial_configuration
from workers.store.upserts import upsert

_wanted, _pushes = initial_configuration, configuration_pushes


@dataclass(frozen=True, slots=True)
class Wanted:
    """A configuration value for charge points whose vendor and model match (`*`, `?`, letter case ignored)."""

    key: str
    value: str
    vendor_pattern: str
    model_pattern: str


@dataclass(frozen=True, slots=True)
class Push:
    """What became of a value: `status` is `requested`, the charge point's own word, or how the command ended."""

    key: str
    value: str
    status: str
    attempts: int
    requested_at: datetime


@dataclass(frozen=True, slots=True)
class Claim:
    """A push that is ours to attempt, and what is on record of its charge point."""

    push: Push
    ocpp_version: str
    facts: dict[str, str | None]


async def wanted(transaction: StoreTransaction, family: str) -> Sequence[Wanted]:
    """All values for one family of OCPP versions (`1.6` or `2.x`), plain patterns first; read once for a batch."""
    known: Sequence[Wanted] | None = transaction.memory.get(("wanted", family))
    if known is None:
        rows = await transaction.rows(select(_wanted).where(_wanted.c.family == family))
        found = [Wanted(row.key, row.value, row.vendor_pattern, row.model_pattern) for row in rows]
        known = sorted(found, key=lambda want: (want.key, len(want.vendor_pattern) + len(want.model_pattern)))
        transaction.memory["wanted", family] = known
    return known


async def pushes(transaction: StoreTransaction, identity: str) -> dict[str, Push]:
    """The last push of each key to this charge point."""
    rows = await transaction.rows(select(_pushes).where(_pushes.c.identity == identity))
    return {row.key: Push(row.key, row.value, row.status, row.attempts, row.requested_at) for row in rows}


async def request(
    transaction: StoreTransaction, identity: str, values: dict[str, str], now: datetime, *, due_at: datetime
) -> None:
    """Have these values pushed, from `due_at` on."""
    rows = [
        {
            "identity": identity,
            "key": key,
            "value": value,
            "status": "requested",
            "detail": "",
            "attempts": 0,
            "requested_at": now,
            "finished_at": None,
            "next_attempt_at": due_at,
        }
        for key, value in sorted(values.items())
    ]
    changed = tuple(name for name in rows[0] if name not in {"identity", "key"})
    await transaction.run(upsert(_pushes, transaction.dialect, ("identity", "key"), changed), rows)


async def due(transaction: StoreTransaction, now: datetime, limit: int) -> Sequence[str]:
    """Accepted charge points with a push that is due, the longest waiting first."""
    query = (
        select(_pushes.c.identity)
        .join(charge_points, charge_points.c.identity == _pushes.c.identity)
        .where(_pushes.c.next_attempt_at <= now, charge_points.c.registration == "accepted")
        .group_by(_pushes.c.identity)
        .order_by(func.min(_pushes.c.next_attempt_at))
        .limit(limit)
    )
    return [row.identity for row in await transaction.rows(query)]


async def claim(transaction: StoreTransaction, identity: str, due_by: datetime, *, until: datetime) -> Claim | None:
    """The charge point's next push that is due, the least tried first, and nobody else's `until` then; None if none."""
    query = (
        select(_pushes, charge_points.c.ocpp_version, charge_points.c.vendor, charge_points.c.model)
        .join(charge_points, charge_points.c.identity == _pushes.c.identity)
        .where(
            _pushes.c.identity == identity,
            _pushes.c.next_attempt_at <= due_by,
            charge_points.c.registration == "accepted",
        )
        .order_by(_pushes.c.attempts, _pushes.c.key)
        .limit(1)
        .with_for_update(of=_pushes, skip_locked=True)
    )
    row = await transaction.first(query)
    if row is None:
        return None
    mine = update(_pushes).where(_pushes.c.identity == identity, _pushes.c.key == row.key)
    await transaction.run(mine.values(attempts=row.attempts + 1, next_attempt_at=until))
    push = Push(row.key, row.value, row.status, row.attempts + 1, row.requested_at)
    return Claim(push, row.ocpp_version, {"vendor": row.vendor, "model": row.model})


async def finish(
    transaction: StoreTransaction, identity: str, push: Push, detail: str, now: datetime, *, again_at: datetime | None
) -> None:
    """Store how an attempt ended and when the next one is due, unless it was asked for anew meanwhile."""
    ended = update(_pushes).where(
        _pushes.c.identity == identity, _pushes.c.key == push.key, _pushes.c.requested_at == push.requested_at
    )
    await transaction.run(
        ended.values(
            value=push.value, status=push.status, detail=detail[:500], finished_at=now, next_attempt_at=again_at
        )
    )


async def postpone(transaction: StoreTransaction, identity: str, asked_by: datetime, until: datetime) -> None:
    """Let the values of a charge point that is out of reach wait, but for those asked for after `asked_by`."""
    waiting = update(_pushes).where(
        _pushes.c.identity == identity, _pushes.c.next_attempt_at < until, _pushes.c.requested_at <= asked_by
    )
    await transaction.run(waiting.values(next_attempt_at=until))
