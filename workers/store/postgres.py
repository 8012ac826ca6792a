"""PostgreSQL's connections, and transactions that speak to the driver where a statement has a plan.

A transaction begins with its first statement that writes, locks or is not the only one: a batch that merely reads needs
no BEGIN and no COMMIT, for each statement sees what is committed anyway (READ COMMITTED).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import Connection, Executable, Row
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from workers.errors import TransactionAbortedError
from workers.store.plans import Plan, Plans
from workers.store.transaction import StoreTransaction

CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_S = 30
ROLLBACK_TIMEOUT_S = 5
_BEYOND_POOL = 2
T = TypeVar("T")


class PostgresTransaction(StoreTransaction):
    """A transaction on one connection, begun when it must be."""

    def __init__(self, session: "_Session", plans: Plans, events_off: frozenset[str]) -> None:
        super().__init__(session.connection, "postgresql", events_off)
        self._driver = session.driver
        self._plans = plans
        self._begun = False

    async def rows(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> Sequence[Row[Any]]:
        plan = self._plans.plan(statement, tuple(parameters or ()))
        if plan is None:
            await self._begin()
            return await super().rows(statement, parameters)
        if not plan.reads:
            await self._begin()
        with _told_as_sqlalchemy_does(self._driver):
            return plan.read(await self._driver.fetch(plan.sql, *plan.values(parameters or {})))

    async def first(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> Row[Any] | None:
        found = await self.rows(statement, parameters)
        return found[0] if found else None

    async def run(
        self, statement: Executable, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> int:
        await self._begin()
        if parameters is not None and not isinstance(parameters, Mapping):
            await self._run_all(statement, parameters)
            return -1
        plan = self._plans.plan(statement, tuple(parameters or ()))
        if plan is None:
            return await super().run(statement, parameters)
        with _told_as_sqlalchemy_does(self._driver):
            return _touched(await self._driver.execute(plan.sql, *plan.values(parameters or {})))

    async def returned(self, statement: Executable, rows: Sequence[Mapping[str, Any]]) -> Sequence[Row[Any]]:
        await self._begin()
        plan = self._plan_of_all(statement, rows)
        if plan is None or not plan.at_once(rows):
            return await super().returned(statement, rows)
        with _told_as_sqlalchemy_does(self._driver):
            return plan.read(await self._driver.fetch(plan.array_sql, *plan.columns(rows)))

    async def run_sync(self, work: Callable[[Connection], T]) -> T:
        await self._begin()
        return await super().run_sync(work)

    async def _run_all(self, statement: Executable, rows: Sequence[Mapping[str, Any]]) -> None:
        plan = self._plan_of_all(statement, rows)
        if plan is None:
            await self.connection.execute(statement, rows)
            return
        with _told_as_sqlalchemy_does(self._driver):
            if plan.at_once(rows):
                await self._driver.execute(plan.array_sql, *plan.columns(rows))
            else:
                await self._driver.executemany(plan.sql, [plan.values(row) for row in rows])

    def _plan_of_all(self, statement: Executable, rows: Sequence[Mapping[str, Any]]) -> Plan | None:
        if not rows:
            return None
        names = tuple(rows[0])
        alike = len(rows) == 1 or all(row.keys() == rows[0].keys() for row in rows)
        return self._plans.plan(statement, names, many=True) if alike else None

    async def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            with _told_as_sqlalchemy_does(self._driver):
                await self._driver.execute("BEGIN")

    async def commit(self) -> None:
        """Commit what was begun."""
        if self._begun:
            with _told_as_sqlalchemy_does(self._driver):
                done = await self._driver.execute("COMMIT")
            if done != "COMMIT":  # what the server says, without an error, where a statement failed before
                raise TransactionAbortedError("a statement failed, and the transaction went on")
        await self._forget()

    async def roll_back(self, error: BaseException) -> bool:
        """Roll back what was begun; whether the connection is good for another transaction. Raises no error."""
        if not self._begun:
            # A statement that nobody waits for any more may still be at work, on a server that is gone perhaps.
            return not isinstance(error, (TimeoutError, asyncio.CancelledError))
        try:
            await self._driver.execute("ROLLBACK", timeout=ROLLBACK_TIMEOUT_S)
            await self._forget()
        except Exception:  # noqa: BLE001 - what failed before is what counts
            return False
        return not self._driver.is_in_transaction()

    async def _forget(self) -> None:
        if self.connection.in_transaction():
            await self.connection.rollback()  # of its own notion of one: the engine is in autocommit mode


class _Session:
    """A connection as SQLAlchemy and as the driver know it."""

    def __init__(self, connection: AsyncConnection, driver: Any) -> None:
        self.connection = connection
        self.driver = driver

    @property
    def usable(self) -> bool:
        return not self.driver.is_closed() and not self.connection.invalidated

    async def discard(self) -> None:
        """Close it at once, whatever goes on there."""
        self.driver.terminate()
        with contextlib.suppress(Exception):
            if not self.connection.invalidated:
                await self.connection.invalidate()
        with contextlib.suppress(Exception):
            await self.connection.close()


class PostgresConnections:
    """A bounded number of lasting connections; `close` must be awaited."""

    def __init__(self, url: str, pool_size: int, events_off: frozenset[str]) -> None:
        self._engine: AsyncEngine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=_BEYOND_POOL,
            pool_timeout=CONNECT_TIMEOUT_S,
            hide_parameters=True,
            isolation_level="AUTOCOMMIT",  # BEGIN and COMMIT are ours
            connect_args={"timeout": CONNECT_TIMEOUT_S, "command_timeout": STATEMENT_TIMEOUT_S},
        )
        self._events_off = events_off
        self._plans = Plans()
        self._room = asyncio.Semaphore(pool_size + _BEYOND_POOL)
        self._idle: list[_Session] = []
        self._kept = pool_size

    @asynccontextmanager
    async def transaction(self, *, read_only: bool) -> AsyncIterator[StoreTransaction]:  # noqa: ARG002 - SQLite's need
        """Commit at the end of the block, roll back when it raises."""
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await self._room.acquire()
        try:
            session = await self._session()
            transaction = PostgresTransaction(session, self._plans, self._events_off)
            clean = False
            try:
                yield transaction
                await transaction.flush()
                await transaction.commit()
                clean = True
            except BaseException as error:
                clean = session.usable and await transaction.roll_back(error)
                raise
            finally:
                await self._put_back(session, clean=clean)
        finally:
            self._room.release()

    async def close(self) -> None:
        """Close all connections."""
        while self._idle:
            await self._idle.pop().connection.close()
        await self._engine.dispose()

    async def _session(self) -> _Session:
        while self._idle:
            session = self._idle.pop()
            if session.usable:
                return session
            await session.discard()
        connection = await self._engine.connect()
        raw = await connection.get_raw_connection()
        return _Session(connection, raw.driver_connection)

    async def _put_back(self, session: _Session, *, clean: bool) -> None:
        if not clean:
            await session.discard()
        elif len(self._idle) < self._kept:
            self._idle.append(session)
        else:
            await session.connection.close()


@contextlib.contextmanager
def _told_as_sqlalchemy_does(driver: Any) -> Any:
    """The driver's errors in SQLAlchemy's classes, which the rest of the store tells apart."""
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        kind: type[DBAPIError] = DBAPIError
        if isinstance(error, asyncpg.IntegrityConstraintViolationError):
            kind = IntegrityError
        elif isinstance(error, (asyncpg.DataError, ValueError)):
            kind = DataError
        elif isinstance(error, asyncpg.SyntaxOrAccessError):
            kind = ProgrammingError
        raise kind(None, None, error, hide_parameters=True, connection_invalidated=driver.is_closed()) from error


def _touched(status: str) -> int:
    """The number at the end of a command tag, such as `UPDATE 3`."""
    last = status.rsplit(" ", 1)[-1]
    return int(last) if last.isdigit() else -1
