"""A running system as conformance tests see it: where to connect, and what its store holds."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Table, select
from websockets.asyncio.client import ClientConnection

from contracts.versions import Version
from tests.support.stations import socket_to, station_at
from tools.stack import Stack
from workers.store.engine import Store


class Records:
    """The rows of one charge point."""

    def __init__(self, store: Store, identity: str) -> None:
        self.store = store
        self.identity = identity

    async def of(self, table: Table, **values: Any) -> list[dict[str, Any]]:
        """Its rows of a table, in order of the primary key, that have these values."""
        query = select(table).where(table.c.identity == self.identity)
        for name, value in values.items():
            query = query.where(table.c[name] == value)
        async with self.store.transaction(read_only=True) as transaction:
            rows = await transaction.rows(query.order_by(*table.primary_key.columns))
        return [row._asdict() for row in rows]

    async def one(self, table: Table, **values: Any) -> dict[str, Any]:
        """Its only row of a table."""
        (row,) = await self.of(table, **values)
        return row


@dataclass(frozen=True, slots=True)
class LiveSystem:
    """Gateway and workers as processes; `folder` holds their logs."""

    stack: Stack
    amqp_url: str
    database_url: str
    folder: Path

    @property
    def url(self) -> str:
        return self.stack.urls[0]

    @asynccontextmanager
    async def socket(self, identity: str, version: Version) -> AsyncIterator[ClientConnection]:
        """A bare WebSocket of that charge point."""
        async with socket_to(self.url, identity, version) as socket:
            yield socket

    @asynccontextmanager
    async def station(self, identity: str, version: Version) -> AsyncIterator[Any]:
        """That charge point as the `ocpp` package makes it."""
        async with station_at(self.url, identity, version) as station:
            yield station

    @asynccontextmanager
    async def records(self, identity: str) -> AsyncIterator[Records]:
        """The store's rows of that charge point."""
        store = Store(self.database_url)
        try:
            yield Records(store, identity)
        finally:
            await store.close()
