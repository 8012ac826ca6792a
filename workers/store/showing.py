"""Rows for people: the newest of a table, as text."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, Table, select

from contracts.process.logs import printable
from workers.store.device_model import device_events, device_variables
from workers.store.engine import StoreTransaction
from workers.store.faults import faults
from workers.store.job_tables import jobs
from workers.store.security_events import security_events
from workers.store.tables import (
    charge_points,
    configuration_pushes,
    connector_states,
    data_transfers,
    meter_samples,
    parked_messages,
    presence,
    tokens,
)
from workers.store.transactions import list_transactions


def _newest(table: Table, order: str, columns: str) -> Select[Any]:
    return select(*(table.c[name] for name in columns.split())).order_by(table.c[order].desc())


_QUERIES: dict[str, Select[Any]] = {
    "charge-points": _newest(
        charge_points,
        "booted_at",
        "identity registration ocpp_version vendor model firmware_version booted_at last_heartbeat_at",
    ),
    "sessions": _newest(
        presence,
        "noted_at",
        "identity gateway session ocpp_version remote opened_at closed_at close_code close_reason",
    ),
    "connectors": _newest(
        connector_states,
        "reported_at",
        "identity evse_id connector_id status error_code vendor_error_code reported_at",
    ),
    "faults": _newest(faults, "number", "identity evse_id connector_id place code kind started_at ended_at duration_s"),
    "samples": _newest(
        meter_samples,
        "sampled_at",
        "sampled_at identity transaction_ref measurand phase normal_value normal_unit signature flags",
    ),
    "parked": _newest(parked_messages, "id", "received_at identity action reason transaction_ref"),
    "configuration": _newest(configuration_pushes, "requested_at", "identity key value status finished_at"),
    "jobs": _newest(jobs, "number", "job_id identity action state attempts created_at deadline_at ended_at"),
    "security-events": _newest(security_events, "number", "occurred_at identity type tech_info"),
    "device-events": _newest(
        device_events, "number", "occurred_at identity component variable actual_value trigger cleared"
    ),
    "variables": _newest(
        device_variables, "identity", "identity component evse_id variable attribute value mutability"
    ),
    "data-transfers": _newest(data_transfers, "received_at", "received_at identity vendor_id message_id status"),
    "tokens": _newest(tokens, "token_key", "id_token status expires_at group_token concurrent"),
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
    return printable(_WRITERS.get(type(value), str)(value))
