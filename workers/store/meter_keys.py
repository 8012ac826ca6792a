"""Public keys of meters, which signed meter values are verified with; a key that a message brings is none of them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, func, select

from workers.store.engine import StoreTransaction
from workers.store.plans import planned
from workers.store.public_keys import fingerprint
from workers.store.security_tables import meter_keys
from workers.store.upserts import upsert

MOST_KEYS = 8
"""Of one charge point: each may have to be tried for each signature."""

_SHOWN = ("identity", "fingerprint", "public_key", "meter_serial", "added_at")
_OF_MANY = planned(
    select(meter_keys.c.identity, meter_keys.c.public_key, meter_keys.c.meter_serial).where(
        meter_keys.c.identity.in_(bindparam("identities", expanding=True))
    )
)


@dataclass(frozen=True, slots=True)
class MeterKey:
    """A public key (DER, hexadecimal) and the serial number of the one meter it is for; '': any of the charge point."""

    public_key: str
    meter_serial: str = ""


async def keys_of(transaction: StoreTransaction, identities: Collection[str]) -> dict[str, list[MeterKey]]:
    """The keys of these charge points, in one query; those without a key are not in it."""
    found: dict[str, list[MeterKey]] = {}
    for row in await transaction.rows(_OF_MANY, {"identities": sorted(identities)}):
        found.setdefault(row.identity, []).append(MeterKey(row.public_key, row.meter_serial))
    return found


async def list_keys(transaction: StoreTransaction, identity: str) -> Sequence[dict[str, Any]]:
    """All that is on record of a charge point's keys."""
    query = select(*(meter_keys.c[name] for name in _SHOWN)).where(meter_keys.c.identity == identity)
    return [
        row._asdict() for row in await transaction.rows(query.order_by(meter_keys.c.added_at, meter_keys.c.fingerprint))
    ]


async def put_key(transaction: StoreTransaction, identity: str, der: bytes, meter_serial: str, now: datetime) -> bool:
    """Put a key on record, or change the serial number of one that is; False when the charge point has no room for it.

    `der` is what `public_keys.read_public_key` returned. The charge point need not be on record yet.
    """
    name = fingerprint(der)
    others = select(func.count()).where(meter_keys.c.identity == identity, meter_keys.c.fingerprint != name)
    row = await transaction.first(others)
    if row is not None and row[0] >= MOST_KEYS:
        return False
    statement = upsert(meter_keys, transaction.dialect, ("identity", "fingerprint"), ("meter_serial",))
    values = {"identity": identity, "fingerprint": name, "public_key": der.hex(), "meter_serial": meter_serial}
    await transaction.run(statement, {**values, "added_at": now})
    return True


async def remove_key(transaction: StoreTransaction, identity: str, fingerprint: str) -> bool:
    """Forget a key; False when it is not on record."""
    gone = delete(meter_keys).where(meter_keys.c.identity == identity, meter_keys.c.fingerprint == fingerprint)
    return await transaction.run(gone) > 0
