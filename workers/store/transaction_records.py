"""Transactions as metering writes them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Double, Integer, Row, bindparam, or_, select, update

from workers.store.engine import StoreTransaction
from workers.store.tables import transaction_events, transactions
from workers.store.types import UtcTime
from workers.store.upserts import insert_new, insert_new_returning

_t = transactions
_BY_KEY = (
    select(_t).where(_t.c.identity == bindparam("who"), _t.c.natural_key == bindparam("natural")).with_for_update()
)
_BY_ID = (
    select(_t).where(_t.c.identity == bindparam("who"), _t.c.id == bindparam("wanted", type_=Integer)).with_for_update()
)
_ISSUED = select(_t.c.id).where(_t.c.identity == bindparam("who"), _t.c.id == bindparam("wanted", type_=Integer))
_ACTIVE = (
    select(_t)
    .where(
        _t.c.identity == bindparam("who"),
        _t.c.state == "active",
        _t.c.connector_id.is_not_distinct_from(bindparam("connector", type_=Integer)),
        _t.c.token_key == bindparam("token"),
        _t.c.meter_start_wh.is_not_distinct_from(bindparam("meter", type_=Double)),
    )
    .order_by(_t.c.id.desc())
    .limit(1)
    .with_for_update()
)
_ABANDON = (
    update(_t)
    .where(
        _t.c.identity == bindparam("who"),
        _t.c.state == "active",
        _t.c.id != bindparam("kept", type_=Integer),
        _t.c.started_at < bindparam("began", type_=UtcTime),
        or_(
            _t.c.evse_id == bindparam("evse", type_=Integer),
            _t.c.evse_id.is_(None) & (_t.c.connector_id == bindparam("connector", type_=Integer)),
        ),
    )
    .values(state="abandoned")
    .returning(_t)
)
_EVENT = select(transaction_events.c.reply, transaction_events.c.payload).where(
    transaction_events.c.identity == bindparam("who"),
    transaction_events.c.transaction_ref == bindparam("ref"),
    transaction_events.c.event_key == bindparam("event"),
)


async def find_by_key(transaction: StoreTransaction, identity: str, natural_key: str) -> Mapping[str, Any] | None:
    """The transaction that this Start (1.6) or transactionId (2.x) began; locked until the commit."""
    row = await transaction.first(_BY_KEY, {"who": identity, "natural": natural_key})
    return None if row is None else row._asdict()


async def find_active(
    transaction: StoreTransaction,
    identity: str,
    *,
    connector_id: int | None,
    token_key: str,
    meter_start_wh: float | None,
) -> Mapping[str, Any] | None:
    """The newest active transaction that looks like this, for a Start without a usable time; locked as above."""
    row = await transaction.first(
        _ACTIVE, {"who": identity, "connector": connector_id, "token": token_key, "meter": meter_start_wh}
    )
    return None if row is None else row._asdict()


async def find_by_id(transaction: StoreTransaction, identity: str, number: int) -> Mapping[str, Any] | None:
    """The transaction of that id, if it is this charge point's; locked until the commit."""
    row = await transaction.first(_BY_ID, {"who": identity, "wanted": number})
    return None if row is None else row._asdict()


async def is_issued(transaction: StoreTransaction, identity: str, number: int) -> bool:
    """Whether this charge point has a transaction of that id."""
    return await transaction.first(_ISSUED, {"who": identity, "wanted": number}) is not None


async def insert(transaction: StoreTransaction, values: Mapping[str, Any]) -> int | None:
    """Store a new transaction and give its id; None when its natural key is there already."""
    row = await transaction.first(insert_new_returning(_t, transaction.dialect, "id"), values)
    return None if row is None else int(row[0])


async def change(transaction: StoreTransaction, number: int, changes: Mapping[str, Any]) -> None:
    """Update columns of one transaction."""
    if changes:
        await transaction.run(update(_t).where(_t.c.id == number).values(**changes))


async def abandon_older(
    transaction: StoreTransaction,
    identity: str,
    *,
    evse_id: int | None,
    connector_id: int | None,
    kept: int,
    began: datetime,
) -> list[Mapping[str, Any]]:
    """End what is still active at the same place and began earlier: its Stop was lost, and its token is free again.

    What was ended so is given back.
    """
    rows = await transaction.rows(
        _ABANDON, {"who": identity, "kept": kept, "began": began, "evse": evse_id, "connector": connector_id}
    )
    return [row._asdict() for row in rows]


async def find_event(transaction: StoreTransaction, identity: str, reference: str, event_key: str) -> Row[Any] | None:
    """Reply and payload of the TransactionEvent with this key, or None when it is new."""
    return await transaction.first(_EVENT, {"who": identity, "ref": reference, "event": event_key})


async def record_event(transaction: StoreTransaction, values: Mapping[str, Any]) -> None:
    """Keep a TransactionEvent with its reply."""
    await transaction.run(insert_new(transaction_events, transaction.dialect), values)
