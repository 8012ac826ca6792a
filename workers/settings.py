"""Settings of a worker process."""

from enum import StrEnum
from pathlib import Path

from pydantic import Field, SecretStr, field_validator

from contracts.events import EVENTS
from contracts.process.settings import ProcessSettings
from workers.certificate_settings import CertificateSettings
from workers.store.engine import sqlite_file, url_problem

DIALECTS = ("sqlite+aiosqlite:///", "postgresql+asyncpg://")


class UnknownTokens(StrEnum):
    """What a token that is not on record gets."""

    INVALID = "invalid"
    ACCEPT = "accept"


class EventsFormat(StrEnum):
    """The content type of events."""

    JSON = "json"
    MSGPACK = "msgpack"


class WorkerSettings(CertificateSettings, ProcessSettings):
    """What a worker reads from its environment."""

    database_url: SecretStr = Field(
        SecretStr("sqlite+aiosqlite:///ocpp.db"),
        alias="DATABASE_URL",
        description="The store: sqlite+aiosqlite:///file or postgresql+asyncpg://user:password@host/database.",
    )
    database_connections: int = Field(
        6, alias="OCPP_WORKER_DATABASE_CONNECTIONS", ge=2, le=100, description="Connections kept open (PostgreSQL)."
    )
    lanes: int = Field(
        1,
        alias="OCPP_WORKER_LANES",
        ge=1,
        le=32,
        description="Batches of Calls handled side by side, a charge point always in one lane. More lanes make smaller "
        "batches, which cost more; they pay where the database is far away (about 1 ms and more).",
    )
    batch_milliseconds: int = Field(
        5, alias="OCPP_WORKER_BATCH_MILLISECONDS", ge=0, le=1000, description="How long a lane gathers Calls to commit."
    )
    batch_calls: int = Field(
        200, alias="OCPP_WORKER_BATCH_CALLS", ge=1, le=5000, description="Most Calls in one database transaction."
    )
    retry_max_seconds: float = Field(
        10.0,
        alias="OCPP_WORKER_RETRY_MAX_SECONDS",
        gt=0,
        le=300,
        description="Longest pause between tries of the database.",
    )
    grace_seconds: float = Field(
        20.0, alias="OCPP_WORKER_GRACE_SECONDS", gt=0, description="Time to finish what is in hand after SIGTERM."
    )
    command_timeout_seconds: float = Field(
        35.0,
        alias="OCPP_WORKER_COMMAND_TIMEOUT_SECONDS",
        gt=0,
        le=590,
        description="How long a command of a worker's own, such as initial configuration, may take.",
    )
    commands_outstanding: int = Field(
        500, alias="OCPP_WORKER_COMMANDS_OUTSTANDING", ge=1, description="Most commands of a worker's own under way."
    )
    commands_prefetch: int = Field(
        1000,
        alias="OCPP_WORKER_COMMANDS_PREFETCH",
        ge=1,
        le=20_000,
        description="Most commands outstanding in each of the four shards; the broker keeps the rest.",
    )
    commands_kept_days: int = Field(
        30,
        alias="OCPP_WORKER_COMMANDS_KEPT_DAYS",
        ge=1,
        le=3650,
        description="How long tracked commands that have ended, and their outcomes, are kept.",
    )
    heartbeat_interval_seconds: int = Field(
        300,
        alias="OCPP_WORKER_HEARTBEAT_INTERVAL_SECONDS",
        ge=1,
        le=86400,
        description="The interval an accepted charge point is told.",
    )
    boot_retry_interval_seconds: int = Field(
        60,
        alias="OCPP_WORKER_BOOT_RETRY_INTERVAL_SECONDS",
        ge=1,
        le=86400,
        description="When a pending or rejected charge point may send its next BootNotification.",
    )
    interval_jitter: float = Field(
        0.1,
        alias="OCPP_WORKER_INTERVAL_JITTER",
        ge=0,
        le=0.5,
        description="Share by which both intervals are spread, so that a fleet's messages do not line up; 0: exact.",
    )
    unknown_tokens: UnknownTokens = Field(
        UnknownTokens.INVALID,
        alias="OCPP_WORKER_UNKNOWN_TOKENS",
        description="invalid: a token that is not on record may not charge; accept: it may.",
    )

    events_off: str = Field(
        "",
        alias="OCPP_WORKER_EVENTS_OFF",
        description="Types of events that are not written, separated by commas, such as meter.sampled.",
    )
    events_format: EventsFormat = Field(
        EventsFormat.JSON, alias="OCPP_WORKER_EVENTS_FORMAT", description="How events are published: json or msgpack."
    )

    @field_validator("events_off")
    @classmethod
    def _known_events(cls, value: str) -> str:
        unknown = sorted(_names(value) - EVENTS.keys())
        if unknown:
            raise ValueError(f"there is no event {', '.join(unknown)}; there are {', '.join(EVENTS)}")
        return value

    @field_validator("database_url")
    @classmethod
    def _readable_database_url(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(DIALECTS):
            raise ValueError(f"must begin with one of {', '.join(DIALECTS)}")
        problem = url_problem(value.get_secret_value())
        if problem is not None:
            raise ValueError(problem)
        return value

    @property
    def silent_events(self) -> frozenset[str]:
        """The types of events that are not written."""
        return _names(self.events_off)

    def missing_file(self) -> Path | None:
        """The file of an SQLite store that does not exist yet; opening the store would create it."""
        file = sqlite_file(self.database_url.get_secret_value())
        return None if file is None or file.exists() else file


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(",") if name.strip())
