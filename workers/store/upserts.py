"""`INSERT ... ON CONFLICT` in the words of either dialect; statements are built once and cached by SQLAlchemy."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Insert, Table, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from workers.store.plans import planned


def _insert(table: Table, dialect: str) -> Any:
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


@cache
def insert_new(table: Table, dialect: str) -> Insert:
    """Insert, and leave a row with the same natural key as it is: rowcount 0 tells that it was there."""
    statement: Insert = planned(_insert(table, dialect).on_conflict_do_nothing())
    return statement


@cache
def insert_new_returning(table: Table, dialect: str, column: str) -> Any:
    """As `insert_new`, yielding one column of the row if it was inserted, else no row."""
    return planned(_insert(table, dialect).on_conflict_do_nothing().returning(table.c[column]))


@cache
def upsert(table: Table, dialect: str, keys: tuple[str, ...], update: tuple[str, ...], *newer: str) -> Insert:
    """Insert, or update those columns of the row with these keys; with `newer`, only if those columns grow or stay.

    Of several the first one decides, then the next.
    """
    statement = _insert(table, dialect)
    changes = {name: statement.excluded[name] for name in update}
    new, known = (tuple_(*(columns[name] for name in newer)) for columns in (statement.excluded, table.c))
    where = new >= known if newer else None
    built: Insert = planned(statement.on_conflict_do_update(index_elements=list(keys), set_=changes, where=where))
    return built


@cache
def upsert_unless(table: Table, dialect: str, keys: tuple[str, ...], update: tuple[str, ...], same: str) -> Insert:
    """Insert, or update those columns of the row with these keys unless it has the same value in one column already."""
    statement = _insert(table, dialect)
    changes = {name: statement.excluded[name] for name in update}
    where = table.c[same].is_distinct_from(statement.excluded[same])
    built: Insert = planned(statement.on_conflict_do_update(index_elements=list(keys), set_=changes, where=where))
    return built


def columns_but(table: Table, keys: Sequence[str]) -> tuple[str, ...]:
    """Every column's name except the keys."""
    return tuple(column.name for column in table.columns if column.name not in keys)
