"""What is asked of a PostgreSQL server as its administrator."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from tools.nodes.faces import NodeFailed

_CUT_OTHERS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


class SqlAdmin:
    """Blocking administration by URL, with or without `+asyncpg` in its scheme; raises NodeFailed."""

    def __init__(self, url: str) -> None:
        self._url = url

    def create_database(self, name: str, *, template: str = "template0") -> str:
        """Return the URL of a new database, a copy of the template, which nobody may be using."""
        self._execute(f"CREATE DATABASE {_quoted(name)} TEMPLATE {_quoted(template)}")
        return with_database(self._url, name)

    def drop_database(self, name: str) -> None:
        """Drop a database, cutting those who use it; without complaint if there is none."""
        self._execute(f"DROP DATABASE IF EXISTS {_quoted(name)} WITH (FORCE)")

    def kill_backends(self) -> int:
        """Cut all other client connections; return how many there were."""
        return int(self._execute(_CUT_OTHERS))

    def answers(self) -> bool:
        """Whether the server takes connections."""
        try:
            self._execute("SELECT 1")
        except NodeFailed:
            return False
        return True

    def _execute(self, statement: str) -> Any:
        async def run() -> Any:
            connection = await asyncpg.connect(plain_url(self._url), timeout=30)
            try:
                return await connection.fetchval(statement, timeout=60)
            finally:
                await connection.close(timeout=5)

        try:
            return in_own_loop(run())
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise NodeFailed(f"the database server refused: {type(error).__name__}: {error}") from None


def plain_url(url: str) -> str:
    """Return a URL as asyncpg and psql take it, without SQLAlchemy's driver name."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(scheme=parts.scheme.partition("+")[0]))


def with_database(url: str, name: str) -> str:
    """Return the URL with its database replaced."""
    return urlunsplit(urlsplit(url)._replace(path="/" + quote(name, safe="")))


def _quoted(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def in_own_loop(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end, from anywhere."""
    # A thread of its own: the caller may be inside a running event loop.
    outcome: list[Any] = []
    failure: list[BaseException] = []

    def body() -> None:
        try:
            outcome.append(asyncio.run(work))
        except BaseException as error:  # noqa: BLE001 - carried over to the calling thread
            failure.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]
