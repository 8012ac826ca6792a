"""Column types that behave the same on SQLite and PostgreSQL."""

from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import BigInteger, DateTime, Dialect, Integer, Text
from sqlalchemy.types import TypeDecorator

BigId = BigInteger().with_variant(Integer, "sqlite")
"""A 64-bit key; SQLite numbers rows by itself only for INTEGER."""


def without_nul(value: str) -> str:
    """Text that PostgreSQL can hold."""
    return value.replace("\x00", "\ufffd") if "\x00" in value else value


def zoned(value: datetime) -> datetime:
    """The moment; raises ValueError when it has no time zone."""
    if value.tzinfo is None:
        raise ValueError("a stored moment needs a time zone")
    return value


class PlainText(TypeDecorator[str]):
    """Text of any length. NUL becomes U+FFFD, as PostgreSQL's text cannot hold it."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else without_nul(value)


class Json(TypeDecorator[Any]):
    """A JSON document kept as text: NUL stays an escape in it, and both databases take it."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else orjson.dumps(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002 - as above
        return None if value is None else orjson.loads(value)


class UtcTime(TypeDecorator[datetime]):
    """A moment, stored in UTC; takes and gives timezone-aware datetimes only."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        utc = zoned(value).astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002 - as above
    ) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
