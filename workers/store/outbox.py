"""The outbox: events written with the change that they tell of, numbered and taken away by the relay."""

import random
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Identity, Index, Row, Table, bindparam, delete, func, select, text, update

from contracts.events import EventData
from workers.store.engine import StoreTransaction
from workers.store.plans import planned
from workers.store.tables import metadata
from workers.store.types import BigId, PlainText, UtcTime
from workers.store.upserts import upsert

_NEW = text("seq IS NULL")
outbox = Table(
    "outbox",
    metadata,
    Column("number", BigId, Identity(always=False), primary_key=True),
    Column("event_id", PlainText, nullable=False),
    Column("identity", PlainText, nullable=False),
    Column("type", PlainText, nullable=False),
    Column("occurred_at", UtcTime, nullable=False),
    Column("recorded_at", UtcTime, nullable=False),
    Column("data", PlainText, nullable=False),  # JSON
    Column("seq", BigInteger),  # NULL until the relay gives it
    Index("ix_outbox_new", "number", postgresql_where=_NEW, sqlite_where=_NEW),
    sqlite_autoincrement=True,  # the relay remembers numbers: none may be given twice
)
event_sequences = Table(
    "event_sequences",
    metadata,
    Column("identity", PlainText, primary_key=True),
    Column("last_seq", BigInteger, nullable=False),
)

_INSERT = planned(outbox.insert())
_TAKE = planned(select(outbox).where(outbox.c.seq.is_(None)).order_by(outbox.c.number).limit(bindparam("most")))
_LEFT = select(outbox).where(outbox.c.seq.is_not(None)).order_by(outbox.c.seq, outbox.c.number)
_ANY = select(outbox.c.number).where(outbox.c.seq.is_(None)).limit(1)
_GIVE = update(outbox).where(outbox.c.number == bindparam("which")).values(seq=bindparam("given"))
_LAST = planned(select(event_sequences).where(event_sequences.c.identity.in_(bindparam("wanted", expanding=True))))
_GIVE_ALL = planned(
    text(
        "UPDATE outbox SET seq = given.seq FROM unnest(CAST(:numbers AS bigint[]), CAST(:given AS bigint[])) "
        "AS given (number, seq) WHERE outbox.number = given.number"
    )
)
_FORGET = planned(delete(outbox).where(outbox.c.number.in_(bindparam("which", expanding=True))))
_OLDEST = select(outbox.c.recorded_at).order_by(outbox.c.number).limit(1)
_COUNT = select(func.count()).select_from(outbox)


@dataclass(frozen=True, slots=True)
class OutgoingEvent:
    """An event with its sequence number; `data` is JSON text."""

    number: int
    event_id: str
    identity: str
    type: str
    seq: int
    occurred_at: datetime
    recorded_at: datetime
    data: str


def emit(
    transaction: StoreTransaction, identity: str, data: EventData, *, occurred_at: datetime, now: datetime
) -> None:
    """Have the event written before the commit, unless the settings switch its type off."""
    if data.TYPE not in transaction.events_off:
        emit_written(transaction, identity, type(data), data.model_dump_json(), occurred_at=occurred_at, now=now)


def emit_written(
    transaction: StoreTransaction,
    identity: str,
    kind: type[EventData],
    data: str,
    *,
    occurred_at: datetime,
    now: datetime,
) -> None:
    """As `emit`, for data that is JSON already; whether its type is switched off is the caller's to ask."""
    row = {
        "event_id": _event_id(),
        "identity": identity,
        "type": kind.TYPE,
        "occurred_at": occurred_at,
        "recorded_at": now,
        "data": data,
    }
    transaction.append(_INSERT, row)


def _event_id() -> str:
    """A random UUID; unlike uuid4's, it need only be unique, and asks the kernel for nothing."""
    bits = random.getrandbits(128) & ~(0xF000 << 64) & ~(0xC000 << 48) | 4 << 76 | 8 << 60
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


async def is_waiting(transaction: StoreTransaction) -> bool:
    """Whether there are events without a sequence number."""
    return await transaction.first(_ANY) is not None


async def take(transaction: StoreTransaction, most: int) -> list[OutgoingEvent]:
    """Give sequence numbers to the oldest events that have none. One relay at a time: see `leases.hold`."""
    rows = await transaction.rows(_TAKE, {"most": most})
    if not rows:
        return []
    counts = Counter(row.identity for row in rows)
    identities = sorted(counts)
    last = {row.identity: row.last_seq for row in await transaction.rows(_LAST, {"wanted": identities})}
    given = {identity: last.get(identity, 0) for identity in identities}
    events = []
    for row in rows:
        given[row.identity] += 1
        events.append(_outgoing(row, given[row.identity]))
    if transaction.dialect == "postgresql":
        numbers, seqs = [event.number for event in events], [event.seq for event in events]
        await transaction.run(_GIVE_ALL, {"numbers": numbers, "given": seqs})
    else:
        await transaction.run(_GIVE, [{"which": event.number, "given": event.seq} for event in events])
    await transaction.run(
        upsert(event_sequences, transaction.dialect, ("identity",), ("last_seq",)),
        [{"identity": identity, "last_seq": given[identity]} for identity in identities],
    )
    return events


async def left(transaction: StoreTransaction) -> list[OutgoingEvent]:
    """The events that have a sequence number and are still here: nobody knows whether the broker has them."""
    return [_outgoing(row, row.seq) for row in await transaction.rows(_LEFT)]


async def forget(transaction: StoreTransaction, numbers: Collection[int]) -> None:
    """Delete events that the broker has, or that are given up."""
    if numbers:
        await transaction.run(_FORGET, {"which": sorted(numbers)})


async def backlog(transaction: StoreTransaction) -> tuple[int, datetime | None]:
    """How many events are in the outbox, and when the oldest was recorded."""
    (count,) = await transaction.first(_COUNT) or (0,)
    oldest = await transaction.first(_OLDEST)
    return count, None if oldest is None else oldest.recorded_at


async def waiting_events(transaction: StoreTransaction, identity: str) -> Sequence[Row[Any]]:
    """What the outbox holds of a charge point, in order."""
    return await transaction.rows(select(outbox).where(outbox.c.identity == identity).order_by(outbox.c.number))


def _outgoing(row: Row[Any], seq: int) -> OutgoingEvent:
    return OutgoingEvent(
        row.number, row.event_id, row.identity, row.type, seq, row.occurred_at, row.recorded_at, row.data
    )
