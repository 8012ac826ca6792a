"""Rows for people: the newest of a table, as text."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select

from workers.store.engine import StoreTransaction
from workers.store.tables import charge_points, configuration_pushes, meter_samples, parked_messages, tokens
from workers.store.transactions import list_transactions

_c, _s, _p, _q, _k = charge_points.c, meter_samples.c, parked_messages.c, configuration_pushes.c, tokens.c
_QUERIES: dict[str, Select[Any]] = {
    "charge-points": select(
        _c.identity,
        _c.registration,
        _c.ocpp_version,
        _c.vendor,
        _c.model,
        _c.firmware_version,
        _c.booted_at,
        _c.last_heartbeat_at,
    ).order_by(_c.booted_at.desc()),
    "samples": select(
        _s.sampled_at,
        _s.identity,
        _s.transaction_ref,
        _s.measurand,
        _s.phase,
        _s.normal_value,
        _s.normal_unit,
        _s.flags,
    ).order_by(_s.sampled_at.desc()),
    "parked": select(_p.received_at, _p.identity, _p.action, _p.reason, _p.transaction_ref).order_by(_p.id.desc()),
    "configuration": select(_q.identity, _q.key, _q.value, _q.status, _q.finished_at).order_by(_q.requested_at.desc()),
    "tokens": select(_k.id_token, _k.status, _k.expires_at, _k.group_token, _k.concurrent).order_by(_k.token_key),
}
_TRANSACTION_COLUMNS = (
    "id",
    "identity",
    "reference",
    "state",
    "id_token",
    "token_status",
    "started_at",
    "ended_at",
    "energy_wh",
    "stop_reason",
    "flags",
)
SUBJECTS = ("transactions", *_QUERIES)


async def rows_of(transaction: StoreTransaction, subject: str, limit: int) -> tuple[Sequence[str], list[list[str]]]:
    """Column names and the newest rows of one of SUBJECTS; raises KeyError for another."""
    if subject == "transactions":
        views = await list_transactions(transaction, limit=limit)
        return _TRANSACTION_COLUMNS, [[_text(getattr(view, name)) for name in _TRANSACTION_COLUMNS] for view in views]
    query = _QUERIES[subject]
    names = [column.name for column in query.selected_columns]
    return names, [[_text(value) for value in row] for row in await transaction.rows(query.limit(limit))]


_WRITERS: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: "",
    datetime: lambda value: str(value.isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")),
    float: lambda value: f"{value:.10g}",
}


def _text(value: Any) -> str:
    # What a charge point wrote must not steer the terminal.
    text = _WRITERS.get(type(value), str)(value)
    return "".join(character if character.isprintable() else "?" for character in text)
