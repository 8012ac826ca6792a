"""A migrated store, and one Call handled as the runtime would, reply schema included."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Table, select

from contracts.schemas import Part, outbound_violation
from workers.errors import SchemaNotAtHeadError
from workers.runtime.calls import Answer, IncomingCall, Reply, ServiceDefinition
from workers.store import outbox, presence
from workers.store.engine import Store, StoreTransaction
from workers.store.migrating import migrate, require_head
from workers.store.presence import SessionRow


@asynccontextmanager
async def migrated_store(url: str) -> AsyncIterator[Store]:
    """The store at `url`, its tables made by the migrations unless they are there; closed at the end."""
    store = Store(url)
    try:
        try:
            await require_head(store)
        except SchemaNotAtHeadError:
            await migrate(store)
        yield store
    finally:
        await store.close()


async def handle(store: Store, definition: ServiceDefinition, call: IncomingCall) -> Reply:
    """The reply, once it is committed; a reply that its schema refuses fails the test."""
    async with store.transaction() as transaction:
        reply = await definition.handlers[call.version, call.action](call, transaction)
        if isinstance(reply, Answer):
            assert outbound_violation(call.version, call.action, Part.RESPONSE, reply.payload) is None
    return reply


async def connect(
    transaction: StoreTransaction, identity: str, gateway: str, *, session: str = "s", epoch: int = 1
) -> None:
    """Have a charge point connected, as presence tells."""
    now = datetime.now(UTC)
    row = SessionRow(identity, gateway, session, epoch, "1.6", "192.0.2.1:1", opened_at=now)
    await presence.save(transaction, [row], now)


async def told(store: Store, type_: str | None = None) -> list[dict[str, Any]]:
    """The data of the events in the outbox, of one type or all, with `type` and `occurred_at`, in order."""
    rows = await all_rows(store, outbox.outbox)
    return [
        {**orjson.loads(row["data"]), "event": row["type"], "occurred_at": row["occurred_at"]}
        for row in rows
        if type_ in {None, row["type"]}
    ]


async def all_rows(store: Store, table: Table) -> list[dict[str, Any]]:
    """Every row of a table, in order of its primary key."""
    async with store.transaction(read_only=True) as transaction:
        rows = await transaction.rows(select(table).order_by(*table.primary_key.columns))
    return [row._asdict() for row in rows]
