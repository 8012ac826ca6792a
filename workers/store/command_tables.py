"""Tracked commands: what backends asked of charge points, and how it ended."""

from sqlalchemy import Column, Identity, Index, Integer, Table, text

from workers.store.tables import metadata
from workers.store.types import BigId, Json, PlainText, UtcTime

_OPEN = text("ended_at IS NULL")
_ENDED = text("ended_at IS NOT NULL")

commands = Table(
    "commands",
    metadata,
    Column("number", BigId, Identity(always=False), primary_key=True),  # the order of arrival
    Column("command_id", PlainText, nullable=False, unique=True),
    Column("identity", PlainText, nullable=False),
    Column("shard", PlainText, nullable=False),  # the queue whose active consumer looks after it
    Column("action", PlainText, nullable=False),
    Column("payload", Json, nullable=False),
    Column("request_digest", PlainText, nullable=False),  # the same command id must mean the same request
    Column("only_session", PlainText),  # when set, no other session may receive it
    Column("state", PlainText, nullable=False),  # held | under_way | ended
    Column("session", PlainText),  # of the last attempt: the only one that it may have reached
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("next_attempt_at", UtcTime),  # when somebody must look at it; NULL: ended
    Column("created_at", UtcTime, nullable=False),
    Column("deadline_at", UtcTime, nullable=False),
    Column("uncertain", Json),  # the outcome of an earlier attempt that may have reached the charge point
    Column("outcome", Json),  # as the caller is told
    Column("outcome_kind", PlainText),
    Column("reason", PlainText),
    Column("ended_at", UtcTime),
    Index("ix_commands_identity", "identity", "number"),
    Index("ix_commands_open_identity", "identity", "number", postgresql_where=_OPEN, sqlite_where=_OPEN),
    Index("ix_commands_open_shard", "shard", "identity", postgresql_where=_OPEN, sqlite_where=_OPEN),
    Index("ix_commands_due", "next_attempt_at", postgresql_where=_OPEN, sqlite_where=_OPEN),
    Index("ix_commands_ended", "ended_at", postgresql_where=_ENDED, sqlite_where=_ENDED),
    sqlite_autoincrement=True,  # numbers only grow, even after old rows are deleted
)
