"""Security events of charge points: table and queries (security whitepaper A04; OCPP 2.x A04)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Identity, Index, Row, Table, UniqueConstraint, select

from workers.store.engine import StoreTransaction
from workers.store.tables import metadata
from workers.store.types import BigId, PlainText, UtcTime
from workers.store.upserts import insert_new

security_events = Table(
    "security_events",
    metadata,
    Column("number", BigId, Identity(always=False), primary_key=True),
    Column("identity", PlainText, nullable=False),
    Column("event_key", PlainText, nullable=False),  # digest of type, time and technical information
    Column("type", PlainText, nullable=False),  # an open list: any text is one
    Column("tech_info", PlainText),
    Column("reported_timestamp", PlainText),  # as the charge point wrote it
    Column("occurred_at", UtcTime, nullable=False),
    Column("received_at", UtcTime, nullable=False),
    UniqueConstraint("identity", "event_key"),
    Index("ix_security_events_identity", "identity", "occurred_at"),
    Index("ix_security_events_type", "type", "occurred_at"),
)


async def add(transaction: StoreTransaction, row: Mapping[str, Any]) -> bool:
    """Keep an event unless it is known; whether it is new."""
    return await transaction.run(insert_new(security_events, transaction.dialect), row) > 0


async def list_events(
    transaction: StoreTransaction,
    *,
    identity: str | None = None,
    type_: str | None = None,
    since: datetime | None = None,
    limit: int = 1000,
) -> Sequence[Row[Any]]:
    """Events, newest first."""
    query = select(security_events).order_by(security_events.c.occurred_at.desc(), security_events.c.number.desc())
    if identity is not None:
        query = query.where(security_events.c.identity == identity)
    if type_ is not None:
        query = query.where(security_events.c.type == type_)
    if since is not None:
        query = query.where(security_events.c.occurred_at >= since)
    return await transaction.rows(query.limit(limit))
