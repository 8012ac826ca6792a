"""Charge points on record: who is known, who is accepted, what a boot told us."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select, update

from workers.store.engine import StoreTransaction
from workers.store.presence import Place
from workers.store.tables import boot_rules, charge_points, presence
from workers.store.types import UtcTime
from workers.store.upserts import insert_new, upsert

_KNOWN = (
    select(
        charge_points.c.identity,
        charge_points.c.registration,
        presence.c.gateway,
        presence.c.session,
        presence.c.epoch,
        presence.c.ocpp_version,
    )
    .select_from(charge_points.outerjoin(presence, presence.c.identity == charge_points.c.identity))
    .where(charge_points.c.identity.in_(bindparam("wanted", expanding=True)))
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
class Standing:
    """A charge point's registration (`accepted`, `pending`, `rejected`) and its newest session on record."""

    identity: str
    registration: str
    place: Place | None


@dataclass(frozen=True, slots=True)
class BootRule:
    """Patterns (`*` and `?`, letter case ignored) and the registration of what matches all of them."""

    identity_pattern: str
    vendor_pattern: str
    model_pattern: str
    firmware_pattern: str
    registration: str


async def standings(transaction: StoreTransaction, identities: Iterable[str]) -> dict[str, Standing]:
    """What is on record of these charge points; unknown ones are absent."""
    rows = await transaction.rows(_KNOWN, {"wanted": sorted(identities)})
    return {
        row.identity: Standing(
            row.identity,
            row.registration,
            None if row.session is None else Place(row.identity, row.gateway, row.session, row.epoch, row.ocpp_version),
        )
        for row in rows
    }


async def create(transaction: StoreTransaction, identities: Iterable[str], now: datetime) -> None:
    """Put unknown charge points on record as accepted; known ones stay as they are."""
    rows = [{"identity": identity, "created_at": now} for identity in sorted(identities)]
    await transaction.run(insert_new(charge_points, transaction.dialect), rows)


async def is_known(transaction: StoreTransaction, identity: str) -> bool:
    """Whether the charge point is on record."""
    return await transaction.first(_ONE, {"wanted": identity}) is not None


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


async def record_boot(transaction: StoreTransaction, identity: str, facts: Mapping[str, Any], now: datetime) -> None:
    """Store what a BootNotification told; columns that `facts` lacks stay as they are."""
    row = {"identity": identity, "created_at": now, **facts}
    changed = tuple(sorted(facts))
    await transaction.run(upsert(charge_points, transaction.dialect, ("identity",), changed), row)


def record_heartbeat(transaction: StoreTransaction, identity: str, now: datetime) -> None:
    """Note the heartbeat; written with the batch's other ones."""
    transaction.append(_BEAT, {"who": identity, "at": now})
