"""Each version's statements go on working on the tables of the next one: upgrade and rollback happen under load."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import as_file, files
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    create_engine,
    inspect,
    select,
    text,
)

from workers.store.engine import Store, StoreTransaction


def revisions() -> list[str]:
    with as_file(files("workers.store") / "migrations") as folder:
        return [script.revision for script in ScriptDirectory(str(folder)).walk_revisions()][::-1]


def upgrade(connection: Connection, revision: str) -> None:
    with as_file(files("workers.store") / "migrations") as folder:
        config = Config()
        config.set_main_option("script_location", str(folder))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


@dataclass(frozen=True)
class Shape:
    """What a statement of a version may stand on, and what may refuse it."""

    columns: dict[str, tuple[str, bool, bool]]
    """Type, whether NULL is refused, whether it may be left out."""
    keys: frozenset[tuple[str, ...]]
    """Columns that ON CONFLICT can name, and that refuse a second row."""
    others: frozenset[str]
    """Foreign keys and checks, which refuse rows."""


def reflected(connection: Connection) -> dict[str, Table]:
    """The tables as a version's statements see them; of the samples the whole and not its parts."""
    known = MetaData()
    known.reflect(connection, only=lambda name, _: name != "alembic_version" and not name.startswith("meter_samples_"))
    return dict(known.tables)


def shapes(connection: Connection, tables: dict[str, Table]) -> dict[str, Shape]:
    checks = inspect(connection).get_multi_check_constraints()

    def shape(table: Table) -> Shape:
        columns = {
            column.name: (str(column.type), not column.nullable, not must_be_given(column)) for column in table.columns
        }
        unique = (one for one in table.constraints if isinstance(one, PrimaryKeyConstraint | UniqueConstraint))
        keys = {tuple(column.name for column in one.columns) for one in unique}
        keys |= {tuple(column.name for column in one.columns) for one in table.indexes if one.unique}
        others = {f"foreign key {one.target_fullname} of {one.parent.name}" for one in table.foreign_keys}
        others |= {f"check {one['sqltext']}" for one in checks.get((None, table.name), [])}
        return Shape(columns, frozenset(keys), frozenset(others))

    return {name: shape(table) for name, table in tables.items()}


def must_be_given(column: Column[Any]) -> bool:
    return not (column.nullable or column.server_default is not None or column.identity)


def broken(before: dict[str, Shape], after: dict[str, Shape]) -> list[str]:
    """What the version before can no longer rely on."""
    problems = [f"{table} is gone" for table in before.keys() - after.keys()]
    for table in before.keys() & after.keys():
        old, new = before[table], after[table]
        for name, was in old.columns.items():
            if name not in new.columns:
                problems.append(f"{table}.{name} is gone")
                continue
            now = new.columns[name]
            if now[0] != was[0]:
                problems.append(f"{table}.{name} was {was[0]} and is {now[0]}")
            if (now[1] and not was[1]) or (was[2] and not now[2]):
                problems.append(f"{table}.{name} must be given now")
        problems += [
            f"{table}.{name} is new and must be given"
            for name in new.columns.keys() - old.columns.keys()
            if not new.columns[name][2]
        ]
        problems += [f"{table}: the key {key} is gone" for key in old.keys - new.keys]
        problems += [f"{table}: the key {key} is new and refuses rows" for key in new.keys - old.keys]
        problems += [f"{table}: {one} is new and refuses rows" for one in new.others - old.others]
    return sorted(problems)


def least_row(table: Table) -> dict[str, Any]:
    """A row with no more than what must be given."""
    samples: dict[type, Any] = {
        str: "x",
        int: 1,
        float: 1.0,
        bool: True,
        bytes: b"x",
        datetime: datetime(2026, 1, 1, tzinfo=UTC),
    }

    return {column.name: samples[column.type.python_type] for column in table.columns if must_be_given(column)}


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[StoreTransaction]:
    store = Store(url)
    try:
        async with store.transaction() as transaction:
            yield transaction
    finally:
        await store.close()


async def test_a_migration_takes_nothing_from_the_version_before_whose_rows_and_statements_go_on(empty_database_url):
    tried = []

    def steps(connection: Connection) -> None:
        upgrade(connection, revisions()[0])
        known = reflected(connection)
        was = shapes(connection, known)
        for after in revisions()[1:]:
            tables = list(known.values())
            for table in tables:
                connection.execute(table.delete())
                connection.execute(table.insert(), least_row(table))
            upgrade(connection, after)
            known = reflected(connection)
            now = shapes(connection, known)
            assert broken(was, now) == []
            was = now
            for table in tables:
                (row,) = connection.execute(select(table)).mappings().all()
                assert connection.execute(table.update().values(dict(row))).rowcount == 1, (after, table.name)
                key = [column == row[column.name] for column in table.primary_key.columns]
                connection.execute(table.delete().where(*key))
                connection.execute(table.insert(), least_row(table))
            tried.append((after, len(tables)))

    async with connected(empty_database_url) as transaction:
        await transaction.run_sync(steps)
    assert [after for after, _ in tried] == revisions()[1:]
    assert all(count > 10 for _, count in tried)


@pytest.fixture
def engine():
    made = create_engine("sqlite://")
    yield made
    made.dispose()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("DROP TABLE tokens", "tokens is gone"),
        ("ALTER TABLE tokens DROP COLUMN note", "tokens.note is gone"),
        ("ALTER TABLE tokens RENAME COLUMN note TO remark", "tokens.note is gone"),
        ("ALTER TABLE tokens ADD COLUMN owner TEXT NOT NULL DEFAULT ''", None),
        ("ALTER TABLE tokens ADD COLUMN owner TEXT", None),
        ("CREATE INDEX ix ON tokens (note)", None),
        ("CREATE UNIQUE INDEX ix ON tokens (note)", "tokens: the key ('note',) is new and refuses rows"),
        (
            "DROP TABLE tokens; CREATE TABLE tokens (id TEXT NOT NULL PRIMARY KEY, note INTEGER)",
            "tokens.note was TEXT and is INTEGER",
        ),
        (
            "DROP TABLE tokens; CREATE TABLE tokens (id TEXT NOT NULL PRIMARY KEY, note TEXT NOT NULL)",
            "tokens.note must be given now",
        ),
        (
            "DROP TABLE tokens; CREATE TABLE tokens (id TEXT NOT NULL PRIMARY KEY, note TEXT, owner TEXT NOT NULL)",
            "tokens.owner is new and must be given",
        ),
        (
            "DROP TABLE tokens; CREATE TABLE tokens (id TEXT NOT NULL, note TEXT)",
            "tokens: the key ('id',) is gone",
        ),
        (
            "DROP TABLE tokens; CREATE TABLE tokens (id TEXT NOT NULL PRIMARY KEY, note TEXT CHECK (note <> ''))",
            "is new and refuses rows",
        ),
    ],
)
def test_what_would_take_something_away_is_found(engine: Engine, change, problem):
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE tokens (id TEXT NOT NULL PRIMARY KEY, note TEXT)"))
        before = shapes(connection, reflected(connection))
        for statement in change.split(";"):
            connection.execute(text(statement))
        found = broken(before, shapes(connection, reflected(connection)))
    assert found == [] if problem is None else any(problem in one for one in found)
