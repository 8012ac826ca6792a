"""The OCPP 2.x device model as reported, its reports page by page, and the events of its components."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Identity,
    Index,
    Integer,
    Row,
    Table,
    UniqueConstraint,
    and_,
    delete,
    select,
    text,
)

from workers.store.engine import StoreTransaction
from workers.store.tables import metadata
from workers.store.types import BigId, PlainText, UtcTime
from workers.store.upserts import columns_but, insert_new, upsert

device_reports = Table(
    "device_reports",
    metadata,
    Column("identity", PlainText, primary_key=True),
    Column("request_id", BigInteger, primary_key=True, autoincrement=False),
    Column("last_seq_no", Integer),
    Column("complete", Boolean, nullable=False, server_default=text("false")),
    Column("generated_at", UtcTime, nullable=False),
    Column("first_received_at", UtcTime, nullable=False),
    Column("last_received_at", UtcTime, nullable=False),
)

device_report_pages = Table(
    "device_report_pages",
    metadata,
    Column("identity", PlainText, primary_key=True),
    Column("request_id", BigInteger, primary_key=True, autoincrement=False),
    Column("seq_no", Integer, primary_key=True, autoincrement=False),
    Column("digest", PlainText, nullable=False),
    Column("variables", Integer, nullable=False),
    Column("received_at", UtcTime, nullable=False),
)

device_variables = Table(
    "device_variables",
    metadata,
    Column("identity", PlainText, primary_key=True),
    Column("component", PlainText, primary_key=True),
    Column("component_instance", PlainText, primary_key=True),  # "": none
    Column("evse_id", Integer, primary_key=True, autoincrement=False),  # 0: none
    Column("connector_id", Integer, primary_key=True, autoincrement=False),  # 0: none
    Column("variable", PlainText, primary_key=True),
    Column("variable_instance", PlainText, primary_key=True),  # "": none
    Column("attribute", PlainText, primary_key=True),  # Actual | Target | MinSet | MaxSet
    Column("value", PlainText),
    Column("mutability", PlainText, nullable=False),
    Column("persistent", Boolean, nullable=False),
    Column("constant", Boolean, nullable=False),
    Column("unit", PlainText),
    Column("data_type", PlainText),
    Column("min_limit", Double),
    Column("max_limit", Double),
    Column("max_elements", Integer),
    Column("values_list", PlainText),
    Column("supports_monitoring", Boolean),
    Column("request_id", BigInteger, nullable=False),
    Column("reported_at", UtcTime, nullable=False),
)

device_events = Table(
    "device_events",
    metadata,
    Column("number", BigId, Identity(always=False), primary_key=True),
    Column("identity", PlainText, nullable=False),
    Column("event_key", PlainText, nullable=False),  # digest of the eventData entry
    Column("event_id", BigInteger, nullable=False),
    Column("component", PlainText, nullable=False),
    Column("component_instance", PlainText, nullable=False),
    Column("evse_id", Integer, nullable=False),
    Column("connector_id", Integer, nullable=False),
    Column("variable", PlainText, nullable=False),
    Column("variable_instance", PlainText, nullable=False),
    Column("trigger", PlainText),
    Column("actual_value", PlainText),
    Column("cleared", Boolean, nullable=False),
    Column("tech_code", PlainText),
    Column("tech_info", PlainText),
    Column("notification_type", PlainText),
    Column("transaction_id", PlainText),
    Column("cause", BigInteger),
    Column("monitoring_id", BigInteger),
    Column("severity", Integer),
    Column("occurred_at", UtcTime, nullable=False),
    Column("received_at", UtcTime, nullable=False),
    UniqueConstraint("identity", "event_key"),
    Index("ix_device_events_identity", "identity", "occurred_at"),
)

_REPORT_KEYS = ("identity", "request_id")
_PAGE_KEYS = ("identity", "request_id", "seq_no")
_VARIABLE_OF_EVENT = (
    *("identity", "component", "component_instance", "evse_id", "connector_id"),
    *("variable", "variable_instance"),
)
_VARIABLE_KEYS = tuple(column.name for column in device_variables.primary_key.columns)


@dataclass(frozen=True, slots=True)
class StoredReport:
    """The pages a report has so far: their digests by seqNo."""

    digests: Mapping[int, str]
    last_seq_no: int | None
    first_received_at: datetime


async def add_event(transaction: StoreTransaction, row: Mapping[str, Any]) -> bool:
    """Keep an event; False when it was known."""
    return await transaction.run(insert_new(device_events, transaction.dialect), row) > 0


async def is_newest_event(transaction: StoreTransaction, identity: str, event_key: str) -> bool:
    """Whether nothing later is known of the same variable than this stored event."""
    this, other = device_events.alias("this"), device_events.alias("other")
    same = [this.c[name] == other.c[name] for name in _VARIABLE_OF_EVENT]
    query = (
        select(other.c.number)
        .select_from(this.join(other, and_(*same, other.c.occurred_at > this.c.occurred_at)))
        .where(this.c.identity == identity, this.c.event_key == event_key)
    )
    return await transaction.first(query.limit(1)) is None


async def find_report(transaction: StoreTransaction, identity: str, request_id: int) -> StoredReport | None:
    """A report and the digests of its pages, locked where the database can; None when no page came yet."""
    report = await transaction.first(
        select(device_reports)
        .where(device_reports.c.identity == identity, device_reports.c.request_id == request_id)
        .with_for_update()
    )
    if report is None:
        return None
    pages = device_report_pages
    query = select(pages.c.seq_no, pages.c.digest).where(pages.c.identity == identity, pages.c.request_id == request_id)
    digests = {row.seq_no: row.digest for row in await transaction.rows(query)}
    return StoredReport(digests, report.last_seq_no, report.first_received_at)


async def forget_pages(transaction: StoreTransaction, identity: str, request_id: int) -> None:
    """Drop a report's pages: its request id is used again."""
    pages = device_report_pages
    await transaction.run(delete(pages).where(pages.c.identity == identity, pages.c.request_id == request_id))


async def put_report(transaction: StoreTransaction, row: Mapping[str, Any]) -> None:
    """Insert or replace a report's summary."""
    columns = columns_but(device_reports, _REPORT_KEYS)
    await transaction.run(upsert(device_reports, transaction.dialect, _REPORT_KEYS, columns), row)


async def put_page(transaction: StoreTransaction, row: Mapping[str, Any]) -> None:
    """Insert or replace a page's summary."""
    columns = columns_but(device_report_pages, _PAGE_KEYS)
    await transaction.run(upsert(device_report_pages, transaction.dialect, _PAGE_KEYS, columns), row)


async def put_variables(transaction: StoreTransaction, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert or replace variables; a value that was reported later stays."""
    if rows:
        columns = columns_but(device_variables, _VARIABLE_KEYS)
        await transaction.run(
            upsert(device_variables, transaction.dialect, _VARIABLE_KEYS, columns, "reported_at"), rows
        )


async def variables(
    transaction: StoreTransaction, identity: str, *, component: str | None = None, limit: int = 10_000
) -> Sequence[Row[Any]]:
    """A charge point's device model in the order of its keys."""
    query = select(device_variables).where(device_variables.c.identity == identity)
    if component is not None:
        query = query.where(device_variables.c.component == component)
    return await transaction.rows(query.order_by(*device_variables.primary_key.columns).limit(limit))


async def reports(transaction: StoreTransaction, identity: str, *, limit: int = 100) -> Sequence[Row[Any]]:
    """A charge point's reports, the latest first."""
    query = select(device_reports).where(device_reports.c.identity == identity)
    return await transaction.rows(query.order_by(device_reports.c.last_received_at.desc()).limit(limit))


async def events(transaction: StoreTransaction, identity: str, *, limit: int = 1000) -> Sequence[Row[Any]]:
    """A charge point's component events, newest first."""
    query = select(device_events).where(device_events.c.identity == identity)
    newest = (device_events.c.occurred_at.desc(), device_events.c.number.desc())
    return await transaction.rows(query.order_by(*newest).limit(limit))
