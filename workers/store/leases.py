"""Leases: work that one process of many does at a time, and what proves that it still is the one."""

from datetime import datetime

from sqlalchemy import Column, Table, bindparam, delete, or_, update

from workers.store.engine import StoreTransaction
from workers.store.tables import metadata
from workers.store.types import PlainText, UtcTime
from workers.store.upserts import insert_new

leases = Table(
    "leases",
    metadata,
    Column("name", PlainText, primary_key=True),
    Column("holder", PlainText, nullable=False),
    Column("until", UtcTime, nullable=False),
)
_TAKE = (
    update(leases)
    .where(
        leases.c.name == bindparam("lease"),
        or_(leases.c.until < bindparam("now", type_=UtcTime), leases.c.holder == bindparam("who")),
    )
    .values(holder=bindparam("who"), until=bindparam("end", type_=UtcTime))
)
_HOLD = (
    update(leases)
    .where(leases.c.name == bindparam("lease"), leases.c.holder == bindparam("who"))
    .values(until=bindparam("end", type_=UtcTime))
)
_RELEASE = delete(leases).where(leases.c.name == bindparam("lease"), leases.c.holder == bindparam("who"))


async def take(transaction: StoreTransaction, name: str, holder: str, *, now: datetime, until: datetime) -> bool:
    """Take a lease that is free or has run out; whether it is the holder's now."""
    fresh = {"name": name, "holder": holder, "until": until}
    if await transaction.run(insert_new(leases, transaction.dialect), fresh) > 0:
        return True
    return await transaction.run(_TAKE, {"lease": name, "who": holder, "now": now, "end": until}) > 0


async def hold(transaction: StoreTransaction, name: str, holder: str, *, until: datetime) -> bool:
    """Prolong a lease, however late, and keep others from taking it before the commit; False when another has it.

    First in a transaction, it is the fence: what follows is done by the holder or not at all.
    """
    return await transaction.run(_HOLD, {"lease": name, "who": holder, "end": until}) > 0


async def release(transaction: StoreTransaction, name: str, holder: str) -> None:
    """Give a lease back, so that the next one need not wait for its end."""
    await transaction.run(_RELEASE, {"lease": name, "who": holder})
