"""Jobs on charge points (firmware updates, log uploads) and what was heard of them."""

from sqlalchemy import BigInteger, Boolean, Column, Identity, Index, Integer, Table, UniqueConstraint, text

from workers.store.tables import metadata
from workers.store.types import BigId, Json, PlainText, UtcTime

jobs = Table(
    "jobs",
    metadata,
    Column("number", BigId, Identity(always=False), primary_key=True),
    Column("job_id", PlainText, nullable=False, unique=True),
    Column("service", PlainText, nullable=False),
    Column("identity", PlainText, nullable=False),
    Column("action", PlainText, nullable=False),
    Column("payload", Json, nullable=False),
    Column("request_digest", PlainText, nullable=False),  # the request as it came: the same job id must mean the same
    Column("request_id", BigInteger),  # OCPP's requestId, unique per charge point
    Column("command_id", PlainText, nullable=False, unique=True),
    Column("state", PlainText, nullable=False),
    Column("session", PlainText),  # the only session that the request may have reached
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("next_attempt_at", UtcTime),  # NULL: nothing to send any more
    Column("created_at", UtcTime, nullable=False),
    Column("deadline_at", UtcTime, nullable=False),
    Column("sent_at", UtcTime),
    Column("answered_at", UtcTime),
    Column("answer", Json),
    Column("error_code", PlainText),
    Column("description", PlainText),
    Column("irregular", Boolean, nullable=False, server_default=text("false")),
    Column("ended_at", UtcTime),
    UniqueConstraint("identity", "request_id"),
    Index("ix_jobs_identity", "identity", "service", "number"),
    Index(
        "ix_jobs_due",
        "service",
        "next_attempt_at",
        postgresql_where=text("next_attempt_at IS NOT NULL"),
        sqlite_where=text("next_attempt_at IS NOT NULL"),
    ),
)

job_history = Table(
    "job_history",
    metadata,
    Column("number", BigId, Identity(always=False), primary_key=True),
    Column("entry_key", PlainText, nullable=False, unique=True),  # a delivery's key: a redelivery adds nothing
    Column("job_id", PlainText),  # NULL: unsolicited
    Column("service", PlainText, nullable=False),
    Column("identity", PlainText, nullable=False),
    Column("source", PlainText, nullable=False),  # the OCPP action that reported it, or dispatch | answer
    Column("status", PlainText, nullable=False),  # as the charge point said it
    Column("request_id", BigInteger),
    Column("verdict", PlainText, nullable=False),
    Column("state", PlainText),  # the job's, after this
    Column("detail", Json),
    Column("reported_at", UtcTime, nullable=False),  # the gateway received it; OCPP gives these reports no time
    Column("received_at", UtcTime, nullable=False),  # the worker stored it
    Index("ix_job_history_job", "job_id", "number"),
    Index("ix_job_history_identity", "identity", "service", "number"),
)
