"""Migrations: bring the database's tables to this version's, and tell whether they are."""

import re
from importlib.resources import as_file, files

import structlog
from sqlalchemy import Connection, inspect, text

from workers.errors import SchemaNotAtHeadError
from workers.store.engine import Store, StoreTransaction

_NAME = re.compile(r"v(\d{4})_\w+\.py$")
_LOCK = 0x4F435051
"""Two migrations at the same time take turns; the second one finds nothing left to do."""


async def migrate(store: Store) -> tuple[str | None, str]:
    """Upgrade to the head revision in one transaction; the revisions before and after.

    Safe to run from several processes at once. Raises StoreUnavailableError when the database is away.
    """
    async with store.transaction() as transaction:
        if transaction.dialect == "postgresql":
            await transaction.run(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        return await transaction.run_sync(_upgrade)


async def require_head(store: Store) -> None:
    """Raises SchemaNotAtHeadError, saying what to do, when the tables are older than this version's.

    Newer ones are taken with a warning: migrations only add, and during an upgrade processes of both versions run.
    """
    async with store.transaction(read_only=True) as transaction:
        found = await revision(transaction)
    wanted = head()
    if found is not None and _is_newer(found, wanted):
        structlog.get_logger().warning("store.schema_newer", found=found, known=wanted)
    elif found != wanted:
        raise SchemaNotAtHeadError(
            f"the database is at revision {found or 'none'}, this version needs {wanted}: run `ocpp-worker migrate`"
        )


async def revision(transaction: StoreTransaction) -> str | None:
    """The revision that the database says it is at; None for an empty one."""
    return await transaction.run_sync(_revision)


def head() -> str:
    """The newest revision of this version, by the names of its files: to load them all takes Alembic a while."""
    names = (_NAME.match(file.name) for file in (files("workers.store") / "migrations" / "versions").iterdir())
    newest = max((name[1] for name in names if name), default=None)
    if newest is None:
        raise SchemaNotAtHeadError("no migrations are installed")
    return newest


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def _is_newer(revision: str, known: str) -> bool:
    """Whether it comes after all that this version knows; revisions are numbers of four digits, one after the other."""
    return len(revision) == len(known) and revision.isdecimal() and revision > known


def _upgrade(connection: Connection) -> tuple[str | None, str]:
    from alembic import command  # only who migrates needs it, and workers start often
    from alembic.config import Config

    before = _revision(connection)
    if before is not None and _is_newer(before, head()):
        return before, before
    with as_file(files("workers.store") / "migrations") as folder:
        config = Config()
        config.set_main_option("script_location", str(folder))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return before, head()
