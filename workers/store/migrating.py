"""Migrations: bring the database's tables to this version's, and tell whether they are."""

from importlib.resources import as_file, files

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from workers.errors import SchemaNotAtHeadError
from workers.store.engine import Store

_LOCK = 0x4F435051
"""Two migrations at the same time take turns; the second one finds nothing left to do."""


async def migrate(store: Store) -> tuple[str | None, str]:
    """Upgrade to the head revision in one transaction; the revisions before and after.

    Safe to run from several processes at once. Raises StoreUnavailableError when the database is away.
    """
    async with store.transaction() as transaction:
        if transaction.dialect == "postgresql":
            await transaction.run(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        return await transaction.connection.run_sync(_upgrade)


async def require_head(store: Store) -> None:
    """Raises SchemaNotAtHeadError, saying what to do, unless the tables are exactly those of this version."""
    async with store.transaction(read_only=True) as transaction:
        found = await revision(transaction.connection)
    wanted = head()
    if found != wanted:
        raise SchemaNotAtHeadError(
            f"the database is at revision {found or 'none'}, this version needs {wanted}: run `ocpp-worker migrate`"
        )


async def revision(connection: AsyncConnection) -> str | None:
    """The revision that the database says it is at; None for an empty one."""
    found: str | None = await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())
    return found


def head() -> str:
    """The newest revision of this version."""
    with as_file(files("workers.store") / "migrations") as folder:
        newest = ScriptDirectory(str(folder)).get_current_head()
    if newest is None:
        raise SchemaNotAtHeadError("no migrations are installed")
    return newest


def _upgrade(connection: Connection) -> tuple[str | None, str]:
    before = MigrationContext.configure(connection).get_current_revision()
    with as_file(files("workers.store") / "migrations") as folder:
        config = Config()
        config.set_main_option("script_location", str(folder))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return before, head()
