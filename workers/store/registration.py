"""Charge points on record: who is known, who is accepted, what a boot told us."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select, update

from workers.store.engine import StoreTransaction
from workers.store.tables import boot_rules, charge_points
from workers.store.types import UtcTime
from workers.store.upserts import insert_new, upsert_unless

_KNOWN = select(charge_points.c.identity, charge_points.c.registration).where(
    charge_points.c.identity.in_(bindparam("wanted", expanding=True))
)
_ONE = select(charge_points.c.registration, charge_points.c.registration_fixed).where(
    charge_points.c.identity == bindparam("wanted")
)
_RULES = select(boot_rules).order_by(boot_rules.c.position)
_BEAT = (
    update(charge_points)
    .where(charge_points.c.identity == bindparam("who"))
    .values(last_heartbeat_at=bindparam("at", type_=UtcTime))
)


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
    """The boot rules in their order."""
    rows = await transaction.rows(_RULES)
    return [
        BootRule(row.identity_pattern, row.vendor_pattern, row.model_pattern, row.firmware_pattern, row.registration)
        for row in rows
    ]


async def record_boot(transaction: StoreTransaction, identity: str, facts: Mapping[str, Any], now: datetime) -> bool:
    """Store what a BootNotification told; columns that `facts` lacks stay as they are. Whether it was news.

    The boot that was stored last changes nothing: it is a redelivered one, told by the time at which it was received.
    """
    row = {"identity": identity, "created_at": now, **facts}
    statement = upsert_unless(charge_points, transaction.dialect, ("identity",), tuple(sorted(facts)), "booted_at")
    return await transaction.run(statement, row) > 0


def record_heartbeat(transaction: StoreTransaction, identity: str, now: datetime) -> None:
    """Note the heartbeat; written with the batch's other ones."""
    transaction.append(_BEAT, {"who": identity, "at": now})
