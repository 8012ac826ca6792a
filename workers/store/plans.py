"""Statements as PostgreSQL's driver takes them: SQL text and arrays of values, made once per statement object.

SQLAlchemy's own way of executing costs three times the driver's, for every statement. Only what each batch of Calls
executes is marked to be `planned`; the rest goes SQLAlchemy's way.
"""

import re
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Executable, Insert, Select, TextClause
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.sql.compiler import SQLCompiler

from workers.store.types import Json, PlainText, UtcTime, without_nul, zoned

_DIALECT = asyncpg.dialect()  # type: ignore[no-untyped-call]
_EXPANDED = re.compile(r" (NOT )?IN \(__\[POSTCOMPILE_(\w+)\]\)")
_VALUES = re.compile(r"VALUES \(((?:\$\d+::[A-Z ]+(?:, )?)+)\)( ON CONFLICT.*| RETURNING.*|)", re.DOTALL)
_KEYS = re.compile(r" ON CONFLICT \(([\w, ]+)\) DO UPDATE")
_LOCKS = re.compile(r"\bFOR (?:UPDATE|NO KEY|SHARE|KEY)\b")
_PARAMETER = re.compile(r"(\$\d+::[A-Z ]+)")

Change = Callable[[Any], Any] | None
E = TypeVar("E", bound=Executable)
_MARK = "ocpp_planned"


def planned(statement: E) -> E:
    """The statement, marked: for one that is kept, of a form that `tests/workers/store/test_plans.py` has seen work."""
    marked: E = statement.execution_options(**{_MARK: True})
    return marked


class Plan:
    """One statement with one set of parameters."""

    __slots__ = ("_constants", "_parameters", "_results", "_rows", "_shape", "array_sql", "keys", "reads", "sql")

    def __init__(self, sql: str, parameters: Sequence[tuple[str, Change]], constants: Mapping[str, Any]) -> None:
        self.sql = sql
        self.array_sql = ""
        """The same for all rows at once, an array for each parameter; empty where that cannot be."""
        self.keys: tuple[str, ...] = ()
        """Of an upsert: what must be different in each row of one execution."""
        self.reads = False
        """Whether it neither writes nor locks."""
        self._parameters = tuple(parameters)
        self._constants = dict(constants)
        self._results: tuple[tuple[int, Callable[[Any], Any]], ...] | None = None
        self._rows: Any = None
        self._shape: tuple[str, ...] = ()

    @property
    def width(self) -> int | None:
        """How many columns come back, where the statement says so."""
        return None if self._results is None else len(self._shape)

    def returning(self, columns: Sequence[tuple[str, Any]]) -> None:
        """Say which columns come back: names and types."""
        self._shape_as(tuple(name for name, _ in columns))
        found = ((index, _result_change(kind)) for index, (_, kind) in enumerate(columns))
        self._results = tuple((index, change) for index, change in found if change is not None)

    def values(self, given: Mapping[str, Any]) -> list[Any]:
        """The values of one execution, in order."""
        known = {**self._constants, **given} if self._constants else given
        return [
            known[name] if change is None or known[name] is None else change(known[name])
            for name, change in self._parameters
        ]

    def at_once(self, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Whether one execution can take all these rows."""
        if not self.array_sql or not self.keys:
            return bool(self.array_sql)
        return len({tuple(row[key] for key in self.keys) for row in rows}) == len(rows)

    def columns(self, rows: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
        """The values of all rows, an array for each parameter."""
        return [
            [row[name] for row in rows]
            if change is None
            else [None if (value := row[name]) is None else change(value) for row in rows]
            for name, change in self._parameters
        ]

    def read(self, records: Sequence[Any]) -> list[Any]:
        """Rows with attributes, as SQLAlchemy's."""
        if not records:
            return []
        if self._results is None:  # text: the database says what there is
            if (shape := tuple(records[0].keys())) != self._shape:
                self._shape_as(shape)
            return [self._rows._make(record) for record in records]
        if not self._results:
            return [self._rows._make(record) for record in records]
        rows = []
        for record in records:
            values = list(record)
            for index, change in self._results:
                if values[index] is not None:
                    values[index] = change(values[index])
            rows.append(self._rows._make(values))
        return rows

    def _shape_as(self, names: tuple[str, ...]) -> None:
        self._shape = names
        self._rows = namedtuple("Row", names, rename=True)  # type: ignore[misc]  # noqa: PYI024 - its names are data


class Plans:
    """The plans of the marked statements."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[Executable, dict[tuple[str, ...], Plan | None]] = WeakKeyDictionary()

    def plan(self, statement: Executable, names: tuple[str, ...], *, many: bool = False) -> Plan | None:
        """How to execute it with parameters of these names; None where that is SQLAlchemy's to do."""
        plans = self._known.get(statement)
        if plans is None:
            if _MARK not in statement.get_execution_options():
                return None
            plans = self._known[statement] = {}
        key = ("*", *names) if many else names
        try:
            return plans[key]
        except KeyError:
            plans[key] = made = _plan(statement, names, many=many)
            return made


def _plan(statement: Executable, names: tuple[str, ...], *, many: bool) -> Plan | None:
    keys = list(names) if isinstance(statement, Insert) else None
    compiled = statement.compile(dialect=_DIALECT, column_keys=keys, for_executemany=many)  # type: ignore[attr-defined]
    if not isinstance(compiled, SQLCompiler):
        return None
    positions = list(compiled.positiontup or ())
    sql, many_of = _with_arrays(compiled, positions)
    if "POSTCOMPILE" in sql:
        return None
    constants = {name: compiled.binds[name].value for name in positions if name not in names}
    if any(compiled.binds[name].required for name in constants):
        return None
    parameters = [(name, _bind_change(compiled.binds[name].type, is_list=name in many_of)) for name in positions]
    plan = Plan(sql, parameters, constants)
    if many and not constants:
        plan.array_sql = _all_rows_at_once(sql)
        updated = _KEYS.search(sql)
        plan.keys = tuple(updated[1].split(", ")) if updated else ()
    plan.reads = isinstance(statement, Select) and _LOCKS.search(sql) is None
    if not isinstance(statement, TextClause):
        columns = getattr(statement, "exported_columns", ())
        plan.returning([(column.key or "", column.type) for column in columns])
    return plan


def _with_arrays(compiled: SQLCompiler, positions: list[str]) -> tuple[str, set[str]]:
    """The text with one array where SQLAlchemy would write a list of parameters, of another length each time."""
    # By the name in the text: that of a parameter which SQLAlchemy has named itself is not its key.
    expanding = {compiled.bind_names[bind] for bind in compiled.post_compile_params}
    positions[:] = [name for name in positions if name not in expanding]
    numbers = count(len(positions) + 1)

    def array(match: re.Match[str]) -> str:
        name, compared = match[2], "<> ALL" if match[1] else "= ANY"
        positions.append(name)
        return f" {compared} (${next(numbers)}::{compiled.binds[name].type.compile(_DIALECT)}[])"

    return _EXPANDED.sub(array, compiled.string), expanding


def _all_rows_at_once(sql: str) -> str:
    """The insert of any number of rows by arrays; empty when it is no plain insert."""
    found = _VALUES.search(sql)
    if found is None or "$" in found[2] or found.end() != len(sql):
        return ""
    arrays = _PARAMETER.sub(r"\1[]", found[1])
    return f"{sql[: found.start()]}SELECT * FROM unnest({arrays}){found[2]}"  # noqa: S608 - as compiled


def _bind_change(kind: Any, *, is_list: bool) -> Change:
    change: Change
    if isinstance(kind, PlainText):
        change = without_nul
    elif isinstance(kind, UtcTime):
        change = zoned
    else:
        change = kind.dialect_impl(_DIALECT).bind_processor(_DIALECT)  # None where there is nothing to do
    if not is_list:
        return change
    return list if change is None else lambda values: [change(value) for value in values]


def _result_change(kind: Any) -> Change:
    if isinstance(kind, UtcTime):
        return _zoned_again
    # All else comes from the driver as it is to be.
    if not isinstance(kind, Json):
        return None
    change: Change = kind.dialect_impl(_DIALECT).result_processor(_DIALECT, None)
    return change


def _zoned_again(value: datetime) -> datetime:
    """A moment in UTC; the driver takes the first moment of all for minus infinity, which has no zone."""
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
