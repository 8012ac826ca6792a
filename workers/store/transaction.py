"""One open database transaction, and what is kept back in it until just before the commit."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Executable, Row
from sqlalchemy.ext.asyncio import AsyncConnection

T = TypeVar("T")


class StoreTransaction:
    """One open database transaction; made by `Store.transaction`. SQLite's executes by SQLAlchemy alone.

    `append` keeps rows back and writes them in one go just before the commit; they cannot be read before it.
    """

    def __init__(self, connection: AsyncConnection, dialect: str, events_off: frozenset[str] = frozenset()) -> None:
        self.connection = connection
        self.dialect = dialect
        self.events_off = events_off
        """The types of events that are not to be written."""
        self.effects: list[Any] = []
        self.last_heartbeats: dict[str, datetime | None] = {}
        """Of the charge points whose standing was read in this transaction."""
        self.memory: dict[tuple[str, ...], Any] = {}
        """What was read once or ahead for the batch, or written since and not yet executed; keys are its reader's."""
        self._appended: dict[Executable, list[Mapping[str, Any]]] = {}
        self._gathered: dict[GatheredWrite, list[Any]] = {}

    async def rows(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> Sequence[Row[Any]]:
        """All rows that the statement yields."""
        return (await self.connection.execute(statement, parameters)).all()

    async def first(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> Row[Any] | None:
        """The first row, or None."""
        return (await self.connection.execute(statement, parameters)).first()

    async def run(
        self, statement: Executable, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> int:
        """Execute at once, once for each mapping given; the number of rows touched (of a single mapping)."""
        return (await self.connection.execute(statement, parameters)).rowcount

    async def returned(self, statement: Executable, rows: Sequence[Mapping[str, Any]]) -> Sequence[Row[Any]]:
        """Execute an insert of all these rows, and what it returns of them."""
        return (await self.connection.execute(statement, rows)).all()

    async def run_sync(self, work: Callable[[Connection], T]) -> T:
        """Have SQLAlchemy's own connection do something within the transaction."""
        return await self.connection.run_sync(work)

    def append(self, statement: Executable, row: Mapping[str, Any]) -> None:
        """Execute the statement with this row just before the commit, together with the batch's other rows.

        The same statement object must be passed for rows that are to travel together (module-level or cached).
        """
        self._appended.setdefault(statement, []).append(row)

    def gather(self, write: "GatheredWrite", item: Any) -> None:
        """Have `write` handle this item just before the commit, together with the batch's other ones.

        The same function must be passed for items that are to travel together; it may append, and not gather.
        """
        self._gathered.setdefault(write, []).append(item)

    def after_commit(self, effect: Any) -> None:
        """Have the runtime run an `Effect` once this transaction is committed, and only then."""
        self.effects.append(effect)

    async def flush(self) -> None:
        """Write what was gathered and appended."""
        for write, items in self._gathered.items():
            await write(self, items)
        self._gathered.clear()
        for statement, rows in self._appended.items():
            await self.run(statement, rows)
        self._appended.clear()


GatheredWrite = Callable[[StoreTransaction, Sequence[Any]], Awaitable[None]]
