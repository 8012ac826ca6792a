"""Transactions as metering writes them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Double, Integer, TextClause, Update, bindparam, or_, select, text, update
from sqlalchemy.dialects import postgresql

from workers.store.engine import StoreTransaction
from workers.store.plans import planned
from workers.store.reading_ahead import StoredEvent, forget, remember
from workers.store.tables import transaction_events, transactions
from workers.store.types import UtcTime, without_nul
from workers.store.upserts import insert_new, insert_new_returning

_t = transactions
_POSTGRESQL = postgresql.dialect()  # type: ignore[no-untyped-call]
_QUIET = frozenset({"charging_state", "charging_state_seq", "meter_start_wh", "meter_start_seq", "meter_stop_wh"}) | {
    "meter_stop_seq",
    "energy_wh",
    "flags",
}
"""Columns that no statement looks for but those that write first what was kept back."""
_BY_KEY = planned(
    select(_t).where(_t.c.identity == bindparam("who"), _t.c.natural_key == bindparam("natural")).with_for_update()
)
_BY_ID = planned(
    select(_t).where(_t.c.identity == bindparam("who"), _t.c.id == bindparam("wanted", type_=Integer)).with_for_update()
)
_ISSUED = planned(
    select(_t.c.id).where(_t.c.identity == bindparam("who"), _t.c.id == bindparam("wanted", type_=Integer))
)
_ACTIVE = planned(
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
_ABANDON = planned(
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
_EVENT = planned(
    select(transaction_events.c.reply, transaction_events.c.payload).where(
        transaction_events.c.identity == bindparam("who"),
        transaction_events.c.transaction_ref == bindparam("ref"),
        transaction_events.c.event_key == bindparam("event"),
    )
)


async def find_by_key(transaction: StoreTransaction, identity: str, natural_key: str) -> Mapping[str, Any] | None:
    """The transaction that this Start (1.6) or transactionId (2.x) began; locked until the commit."""
    key = ("transaction", identity, natural_key)
    if key not in transaction.memory:
        row = await transaction.first(_BY_KEY, {"who": identity, "natural": natural_key})
        if row is None:
            return None
        remember(transaction, row._asdict())
    known: Mapping[str, Any] | None = transaction.memory[key]
    return known


async def find_active(
    transaction: StoreTransaction,
    identity: str,
    *,
    connector_id: int | None,
    token_key: str,
    meter_start_wh: float | None,
) -> Mapping[str, Any] | None:
    """The newest active transaction that looks like this, for a Start without a usable time; locked as above."""
    await _write_kept_back(transaction)
    row = await transaction.first(
        _ACTIVE, {"who": identity, "connector": connector_id, "token": token_key, "meter": meter_start_wh}
    )
    return None if row is None else row._asdict()


async def find_by_id(transaction: StoreTransaction, identity: str, number: int) -> Mapping[str, Any] | None:
    """The transaction of that id, if it is this charge point's; locked until the commit."""
    await _write_kept_back(transaction)
    row = await transaction.first(_BY_ID, {"who": identity, "wanted": number})
    return None if row is None else row._asdict()


async def is_issued(transaction: StoreTransaction, identity: str, number: int) -> bool:
    """Whether this charge point has a transaction of that id."""
    return await transaction.first(_ISSUED, {"who": identity, "wanted": number}) is not None


async def insert(transaction: StoreTransaction, values: Mapping[str, Any]) -> int | None:
    """Store a new transaction and give its id; None when its natural key is there already."""
    forget(transaction, values["identity"], values["natural_key"])
    row = await transaction.first(insert_new_returning(_t, transaction.dialect, "id"), values)
    return None if row is None else int(row[0])


@cache
def _change_of(columns: tuple[str, ...]) -> Update:
    new = {column: bindparam(f"new_{column}", type_=_t.c[column].type) for column in columns}
    return planned(update(_t).where(_t.c.id == bindparam("which", type_=Integer)).values(**new))


async def change(transaction: StoreTransaction, number: int, changes: Mapping[str, Any]) -> None:
    """Update columns of one transaction; just before the commit where nobody can tell the difference."""
    if not changes:
        return
    key = transaction.memory.get(("number", str(number)))
    if key is not None and transaction.memory.get(key) is not None:
        transaction.memory[key] = {**transaction.memory[key], **changes}
        if changes.keys() <= _QUIET:
            transaction.memory["kept back",] = True
            transaction.gather(_write_changes, (number, changes))
            return
        await _write_kept_back(transaction)
    await _change_now(transaction, [(number, changes)])


async def _write_kept_back(transaction: StoreTransaction) -> None:
    if transaction.memory.pop(("kept back",), False):
        await transaction.flush()


async def _write_changes(transaction: StoreTransaction, changes: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    merged: dict[int, dict[str, Any]] = {}
    for number, columns in changes:
        merged.setdefault(number, {}).update(columns)
    groups: dict[tuple[str, ...], list[tuple[int, Mapping[str, Any]]]] = {}
    for number, columns in merged.items():
        groups.setdefault(tuple(sorted(columns)), []).append((number, columns))
    for group in groups.values():
        await _change_now(transaction, group)


async def _change_now(transaction: StoreTransaction, rows: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    """Update the same columns of one or more transactions."""
    columns = tuple(sorted(rows[0][1]))
    if len(rows) > 1 and transaction.dialect == "postgresql":
        values = {f"new_{column}": [_storable(changes[column]) for _, changes in rows] for column in columns}
        await transaction.run(_change_of_many(columns), {"which": [number for number, _ in rows], **values})
        return
    for number, changes in rows:
        values = {f"new_{column}": changes[column] for column in columns}
        await transaction.run(_change_of(columns), {"which": number, **values})


def _storable(value: Any) -> Any:
    """The value as the column's own type would have it."""
    return without_nul(value) if isinstance(value, str) else value


@cache
def _change_of_many(columns: tuple[str, ...]) -> TextClause:
    arrays = [f"CAST(:new_{column} AS {_t.c[column].type.compile(_POSTGRESQL)}[])" for column in columns]
    changed = text(
        f"UPDATE transactions SET {', '.join(f'{column} = new.{column}' for column in columns)} "  # noqa: S608 - ours
        f"FROM unnest(CAST(:which AS integer[]), {', '.join(arrays)}) AS new (which, {', '.join(columns)}) "
        "WHERE transactions.id = new.which"
    )
    return planned(changed)


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
    await _write_kept_back(transaction)
    rows = await transaction.rows(
        _ABANDON, {"who": identity, "kept": kept, "began": began, "evse": evse_id, "connector": connector_id}
    )
    for row in rows:
        forget(transaction, row.identity, row.natural_key)
    return [row._asdict() for row in rows]


async def find_event(
    transaction: StoreTransaction, identity: str, reference: str, event_key: str
) -> StoredEvent | None:
    """Reply and payload of the TransactionEvent with this key, or None when it is new."""
    key = ("event", identity, reference, event_key)
    if key not in transaction.memory:
        row = await transaction.first(_EVENT, {"who": identity, "ref": reference, "event": event_key})
        return None if row is None else StoredEvent(row.reply, row.payload)
    known: StoredEvent | None = transaction.memory[key]
    return known


def record_event(transaction: StoreTransaction, values: Mapping[str, Any]) -> None:
    """Keep a TransactionEvent with its reply; written with the batch's other ones."""
    key = ("event", values["identity"], values["transaction_ref"], values["event_key"])
    transaction.memory[key] = StoredEvent(values["reply"], values["payload"])
    transaction.append(insert_new(transaction_events, transaction.dialect), values)
