"""The door to the database: one engine per process, short transactions, failures told apart."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Executable, Row, event, make_url, text
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from workers.errors import StoreUnavailableError

SQLITE_BUSY_MS = 10_000
_SQLITE_RETRY_S = 0.02
CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_S = 30
_ENVIRONMENT_STATES = ("42P01", "42703", "42501")
"""A missing table, column or right is the environment's fault, not the Call's."""
_DATA_CLASSES = ("21", "22", "23", "54")
"""Cardinality, data, constraints, and limits that the data exceeds: trying again would only hold up the others."""


class StoreTransaction:
    """One open database transaction; made by `Store.transaction`.

    `append` keeps rows back and writes them in one go just before the commit; they cannot be read before it.
    """

    def __init__(self, connection: AsyncConnection, dialect: str, events_off: frozenset[str] = frozenset()) -> None:
        self.connection = connection
        self.dialect = dialect
        self.events_off = events_off
        """The types of events that are not to be written."""
        self.effects: list[Any] = []
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
            await self.connection.execute(statement, rows)
        self._appended.clear()


GatheredWrite = Callable[[StoreTransaction, Sequence[Any]], Awaitable[None]]


def url_problem(url: str) -> str | None:
    """What is wrong with a database URL, without a word of it: it holds a password."""
    try:
        make_url(url)
    except (ArgumentError, ValueError):
        return "cannot be read; in a user name or password write @ : / as %40 %3A %2F"
    return None


def sqlite_file(url: str) -> Path | None:
    """The file of an SQLite URL; None for another database, or one that is no plain file."""
    parsed = make_url(url)
    name = parsed.database or ""
    if parsed.get_backend_name() != "sqlite" or name in {"", ":memory:"} or name.startswith("file:"):
        return None
    return Path(name)


class Store:
    """The database of one process. `close` must be awaited; it gives back all connections."""

    def __init__(self, url: str, *, pool_size: int = 5, events_off: frozenset[str] = frozenset()) -> None:
        parsed = make_url(url)
        self._events_off = events_off
        self.dialect = parsed.get_backend_name()
        self._engine = _sqlite_engine(url) if self.dialect == "sqlite" else _postgresql_engine(url, pool_size)

    @asynccontextmanager
    async def transaction(self, *, read_only: bool = False) -> AsyncIterator[StoreTransaction]:
        """Commit at the end of the block, roll back when it raises.

        Raises StoreUnavailableError when the database is away, locked or broke a deadlock, at any point.
        """
        try:
            async with self._engine.connect() as connection:
                if read_only:
                    await connection.execution_options(ocpp_read_only=True)
                async with connection.begin():
                    transaction = StoreTransaction(connection, self.dialect, self._events_off)
                    yield transaction
                    await transaction.flush()
        except Exception as error:
            if is_transient(error):
                raise StoreUnavailableError(f"{type(error).__name__}: {_short(error)}") from error
            raise

    async def reachable(self) -> bool:
        """Whether the database answers a trivial query now."""
        try:
            async with self.transaction(read_only=True) as transaction:
                await transaction.first(text("SELECT 1"))
        except StoreUnavailableError:
            return False
        return True

    async def close(self) -> None:
        """Close all connections."""
        await self._engine.dispose()


def is_transient(error: BaseException) -> bool:
    """Whether the database, not the data, is to blame: then the same work is tried again for as long as it takes."""
    if isinstance(error, (OSError, TimeoutError, PoolTimeoutError, StoreUnavailableError)):
        return True
    if not isinstance(error, DBAPIError) or isinstance(error, (DataError, IntegrityError)):
        return False
    if error.connection_invalidated:
        return True
    state = getattr(error.orig, "sqlstate", None) or ""
    if isinstance(error, ProgrammingError):
        return state in _ENVIRONMENT_STATES
    # asyncpg refuses values on the client's side with an InterfaceError that is also a ValueError.
    return not isinstance(getattr(error.orig, "__cause__", None), ValueError) and not state.startswith(_DATA_CLASSES)


def _short(error: BaseException) -> str:
    origin = getattr(error, "orig", None) or error  # without SQLAlchemy's statement and parameters
    return str(origin).splitlines()[0][:200] if str(origin) else ""


def _postgresql_engine(url: str, pool_size: int) -> AsyncEngine:
    return create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=2,
        pool_timeout=CONNECT_TIMEOUT_S,
        hide_parameters=True,
        connect_args={"timeout": CONNECT_TIMEOUT_S, "command_timeout": STATEMENT_TIMEOUT_S},
    )


def _sqlite_engine(url: str) -> AsyncEngine:
    engine = create_async_engine(url, hide_parameters=True)

    @event.listens_for(engine.sync_engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        connection.run_async(_prepare_sqlite)

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Any) -> None:
        # A write lock taken at the start waits for its turn; one taken half-way fails at once.
        read_only = connection.get_execution_options().get("ocpp_read_only", False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


async def _prepare_sqlite(connection: Any) -> None:
    """Set up a new connection, aiosqlite's own."""
    await _pragma(connection, f"busy_timeout={SQLITE_BUSY_MS}")
    await _enter_wal(connection)
    await _pragma(connection, "synchronous=FULL")  # a confirmed transaction survives a power cut
    await _pragma(connection, "foreign_keys=ON")


async def _enter_wal(connection: Any) -> None:
    # The one statement that fails at once, whatever the busy timeout, when another process makes the same change:
    # all services open a new file at the same time.
    clock = asyncio.get_running_loop().time
    deadline = clock() + SQLITE_BUSY_MS / 1000
    while True:
        try:
            await _pragma(connection, "journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or clock() > deadline:
                raise
            await asyncio.sleep(_SQLITE_RETRY_S)
        else:
            return


async def _pragma(connection: Any, setting: str) -> None:
    cursor = await connection.execute(f"PRAGMA {setting}")
    await cursor.close()
