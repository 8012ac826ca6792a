"""Where a charge point was last heard: gateway, session, epoch. An older session never overwrites a newer one."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, select

from workers.store.engine import StoreTransaction
from workers.store.tables import presence
from workers.store.upserts import columns_but, upsert

_KEYS = ("identity",)
_FIND = select(presence).where(presence.c.identity == bindparam("wanted"))


@dataclass(frozen=True, slots=True)
class Place:
    """A session of a charge point; the larger epoch (milliseconds) is the newer one."""

    identity: str
    gateway: str
    session: str
    epoch: int
    ocpp_version: str


async def find(transaction: StoreTransaction, identity: str) -> Place | None:
    """The newest session heard of, or None for a charge point that never spoke."""
    row = await transaction.first(_FIND, {"wanted": identity})
    return None if row is None else Place(row.identity, row.gateway, row.session, row.epoch, row.ocpp_version)


async def note(transaction: StoreTransaction, places: Iterable[Place], now: datetime) -> None:
    """Remember these sessions, unless newer ones are known."""
    rows = [
        {
            "identity": place.identity,
            "gateway": place.gateway,
            "session": place.session,
            "epoch": place.epoch,
            "ocpp_version": place.ocpp_version,
            "noted_at": now,
        }
        # In order of identity: two processes that lock the same rows in the same order cannot deadlock.
        for place in sorted(places, key=lambda place: (place.identity, place.epoch))
    ]
    if rows:
        await transaction.run(upsert(presence, transaction.dialect, _KEYS, columns_but(presence, _KEYS), "epoch"), rows)
