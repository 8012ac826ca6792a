"""Charge points on record: who is known, who is accepted, what a boot told us."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, select, text, update

from workers.store.engine import StoreTransaction
from workers.store.plans import planned
from workers.store.tables import boot_rules, charge_points
from workers.store.types import UtcTime
from workers.store.upserts import insert_new, upsert_unless

_KNOWN = planned(
    select(charge_points.c.identity, charge_points.c.registration, charge_points.c.last_heartbeat_at).where(
        charge_points.c.identity.in_(bindparam("wanted", expanding=True))
    )
)
_ONE = planned(
    select(charge_points.c.registration, charge_points.c.registration_fixed).where(
        charge_points.c.identity == bindparam("wanted")
    )
)
_RULES_KEY = ("boot rules",)
_RULES = select(boot_rules).order_by(boot_rules.c.position)
_BEAT = (
    update(charge_points)
    .where(charge_points.c.identity == bindparam("who"))
    .values(last_heartbeat_at=bindparam("at", type_=UtcTime))
)
_BEAT_ALL = planned(
    text(
        "UPDATE charge_points SET last_heartbeat_at = beat.at "
        "FROM unnest(CAST(:who AS text[]), CAST(:at AS timestamptz[])) AS beat (who, at) WHERE identity = beat.who"
    )
)
HEARTBEAT_EVERY = timedelta(seconds=10)
"""A charge point's last heartbeat is written no more often: each write costs more than all else of a Heartbeat."""


@dataclass(frozen=True, slots=True)
class BootRule:
    """Patterns (`*` and `?`, letter case ignored) and the registration of what matches all of them."""

    identity_pattern: str
    vendor_pattern: str
    model_pattern: str
    firmware_pattern: str
    registration: str


async def standings(transaction: StoreTransaction, identities: Iterable[str]) -> dict[str, str]:
    """The registrations (`accepted`, `pending`, `rejected`) of these charge points; unknown ones are absent."""
    rows = await transaction.rows(_KNOWN, {"wanted": sorted(identities)})
    transaction.last_heartbeats.update((row.identity, row.last_heartbeat_at) for row in rows)
    return {row.identity: row.registration for row in rows}


async def create(transaction: StoreTransaction, identities: Iterable[str], now: datetime) -> None:
    """Put unknown charge points on record as accepted; known ones stay as they are."""
    rows = [{"identity": identity, "created_at": now} for identity in sorted(identities)]
    await transaction.run(insert_new(charge_points, transaction.dialect), rows)


async def fixed(transaction: StoreTransaction, identity: str) -> tuple[bool, str | None]:
    """Whether the charge point is on record, and the registration that a person gave it, if any."""
    row = await transaction.first(_ONE, {"wanted": identity})
    if row is None:
        return False, None
    return True, row.registration if row.registration_fixed else None


async def rules(transaction: StoreTransaction) -> Sequence[BootRule]:
    """The boot rules in their order; read once for all boots of a batch."""
    known: Sequence[BootRule] | None = transaction.memory.get(_RULES_KEY)
    if known is None:
        rows = await transaction.rows(_RULES)
        known = transaction.memory[_RULES_KEY] = [
            BootRule(
                row.identity_pattern, row.vendor_pattern, row.model_pattern, row.firmware_pattern, row.registration
            )
            for row in rows
        ]
    return known


async def record_boot(transaction: StoreTransaction, identity: str, facts: Mapping[str, Any], now: datetime) -> bool:
    """Store what a BootNotification told; columns that `facts` lacks stay as they are. Whether it was news.

    The boot that was stored last changes nothing: it is a redelivered one, told by the time at which it was received.
    """
    row = {"identity": identity, "created_at": now, **facts}
    statement = upsert_unless(charge_points, transaction.dialect, ("identity",), tuple(sorted(facts)), "booted_at")
    return await transaction.run(statement, row) > 0


def record_heartbeat(transaction: StoreTransaction, identity: str, now: datetime) -> None:
    """Note the heartbeat, unless one is on record that is hardly older; written with the batch's other ones."""
    last = transaction.last_heartbeats.get(identity)
    if last is None or not last <= now < last + HEARTBEAT_EVERY:
        transaction.last_heartbeats[identity] = now
        transaction.gather(_write_heartbeats, (identity, now))


async def _write_heartbeats(transaction: StoreTransaction, beats: Sequence[tuple[str, datetime]]) -> None:
    latest = dict(beats)
    if transaction.dialect == "postgresql":
        await transaction.run(_BEAT_ALL, {"who": list(latest), "at": list(latest.values())})
    else:
        await transaction.run(_BEAT, [{"who": who, "at": at} for who, at in latest.items()])
