"""The door to the database: one engine per process, short transactions, failures told apart."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event, make_url, text
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from workers.errors import StoreUnavailableError
from workers.store.postgres import PostgresConnections
from workers.store.transaction import GatheredWrite, StoreTransaction

__all__ = ["GatheredWrite", "Store", "StoreTransaction", "is_transient", "sqlite_file", "url_problem"]

SQLITE_BUSY_MS = 10_000
_SQLITE_RETRY_S = 0.02
_ENVIRONMENT_STATES = ("42P01", "42703", "42501")
"""A missing table, column or right is the environment's fault, not the Call's."""
_DATA_CLASSES = ("21", "22", "23", "54")
"""Cardinality, data, constraints, and limits that the data exceeds: trying again would only hold up the others."""


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
        self.dialect = make_url(url).get_backend_name()
        self._connections = (
            _SqliteConnections(url, events_off)
            if self.dialect == "sqlite"
            else PostgresConnections(url, pool_size, events_off)
        )

    @asynccontextmanager
    async def transaction(self, *, read_only: bool = False) -> AsyncIterator[StoreTransaction]:
        """Commit at the end of the block, roll back when it raises.

        Raises StoreUnavailableError when the database is away, locked or broke a deadlock, at any point.
        """
        try:
            async with self._connections.transaction(read_only=read_only) as transaction:
                yield transaction
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
        await self._connections.close()


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


class _SqliteConnections:
    """The connections to one file."""

    def __init__(self, url: str, events_off: frozenset[str]) -> None:
        self._engine = _sqlite_engine(url)
        self._events_off = events_off

    @asynccontextmanager
    async def transaction(self, *, read_only: bool) -> AsyncIterator[StoreTransaction]:
        async with self._engine.connect() as connection:
            if read_only:
                await connection.execution_options(ocpp_read_only=True)
            async with connection.begin():
                transaction = StoreTransaction(connection, "sqlite", self._events_off)
                yield transaction
                await transaction.flush()

    async def close(self) -> None:
        await self._engine.dispose()


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
