"""Samples into their table, all of a batch in one statement that tells which ones are new."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import orjson
from sqlalchemy import TextClause, text

from workers.store.engine import StoreTransaction
from workers.store.tables import meter_samples
from workers.store.upserts import insert_new_returning

_POSTGRESQL_TYPES = {
    "sampled_at": "timestamptz",
    "received_at": "timestamptz",
    "natural_key": "bytea",
    "evse_id": "integer",
    "connector_id": "integer",
    "value": "double precision",
    "normal_value": "double precision",
}
_TEXTS = frozenset(
    {"identity", "transaction_ref", "measurand", "phase", "context", "location", "format", "unit", "raw_value"}
    | {"normal_unit", "flags"}
)


async def insert_samples(transaction: StoreTransaction, rows: Sequence[Mapping[str, Any]]) -> set[bytes]:
    """Insert rows of meter_samples, unless they are stored already; the natural keys of the new ones."""
    if transaction.dialect != "postgresql":
        statement = insert_new_returning(meter_samples, transaction.dialect, "natural_key")
        inserted = (await transaction.connection.execute(statement, rows)).all()
        return {row.natural_key for row in inserted}
    columns = {name: [row[name] for row in rows] for name in _names()}
    for name in _TEXTS:
        columns[name] = [_plain(value) for value in columns[name]]
    columns["signed_value"] = [
        None if value is None else orjson.dumps(value).decode() for value in columns["signed_value"]
    ]
    return {row.natural_key for row in await transaction.rows(_from_arrays(), columns)}


@cache
def _names() -> tuple[str, ...]:
    return tuple(column.name for column in meter_samples.columns)


@cache
def _from_arrays() -> TextClause:
    """One array for each column: RETURNING costs nothing then, where SQLAlchemy's own way doubles the CPU of a row."""
    names = _names()
    arrays = ", ".join(f"CAST(:{name} AS {_POSTGRESQL_TYPES.get(name, 'text')}[])" for name in names)
    listed = ", ".join(names)
    return text(
        f"INSERT INTO meter_samples ({listed}) SELECT * FROM unnest({arrays}) "  # noqa: S608 - names of our own
        "ON CONFLICT DO NOTHING RETURNING natural_key"
    )


def _plain(value: str) -> str:
    return value.replace("\x00", "\ufffd") if "\x00" in value else value
