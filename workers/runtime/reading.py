"""Lenient readers of payload fields, for what charge points send that no schema allows.

Each returns what could be read, and a flag (one word) when that was not what the specification asks for.
"""

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from workers.store.samples import IMPLAUSIBLE_TIME

INT32_MAX = 2**31 - 1
MOST_LEVELS = 200
"""JSON is read deeper (1024 levels) than it is written (254), and what we take must be storable."""
EARLIEST_PLAUSIBLE = datetime(2010, 1, 1, tzinfo=UTC)
"""Before OCPP 1.5 nobody sent a time: a clock that was never set (1970, 0001)."""

_AHEAD = timedelta(days=1)
_LEAP_SECOND = re.compile(r"(?<=[T ]\d\d:\d\d):60")
_END_OF_DAY = re.compile(r"(?<=[T ])24:00(?=:00|[Z+-]|$)")


def read_time(value: Any, received_at: datetime) -> tuple[datetime, str | None]:
    """A moment in UTC; the arrival time when there is none to read.

    Flags: timestamp_missing, timestamp_unreadable, timestamp_zoneless (taken as UTC), and
    timestamp_implausible (kept as sent).
    """
    if value is None or value == "":
        return received_at, "timestamp_missing"
    if not isinstance(value, str):
        return received_at, "timestamp_unreadable"
    try:
        moment = _moment(value.strip().upper())
        zoneless = moment.tzinfo is None
        moment = moment.replace(tzinfo=UTC) if zoneless else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return received_at, "timestamp_unreadable"
    if not EARLIEST_PLAUSIBLE <= moment <= received_at + _AHEAD:
        return moment, IMPLAUSIBLE_TIME
    return moment, "timestamp_zoneless" if zoneless else None


def _moment(text: str) -> datetime:
    """ISO 8601 with what it allows and Python does not: a leap second, and 24:00 for the end of a day."""
    if _END_OF_DAY.search(text):
        return datetime.fromisoformat(_END_OF_DAY.sub("00:00", text)) + timedelta(days=1)
    return datetime.fromisoformat(_LEAP_SECOND.sub(":59", text))


def read_int(value: Any, *, low: int = -(2**63), high: int = 2**63 - 1) -> tuple[int | None, str | None]:
    """An integer in range; text and whole floats are read too. Flags: missing, type, range."""
    if value is None:
        return None, "missing"
    if type(value) is int:
        return (value, None) if low <= value <= high else (None, "range")
    if isinstance(value, str) and len(value) <= 20:
        try:
            number = int(value.strip())
        except ValueError:
            return None, "type"
        return (number, "type") if low <= number <= high else (None, "range")
    if isinstance(value, float) and value.is_integer():
        return (int(value), "type") if low <= value <= high else (None, "range")
    return None, "type"


def read_number(value: Any) -> tuple[float | None, str | None]:
    """A finite number; text is read too, with a flag. Flags: missing, type."""
    if value is None:
        return None, "missing"
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None, "type"
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None, "type"
    if not math.isfinite(number):
        return None, "type"
    return number, "type" if isinstance(value, str) else None


def read_text(value: Any) -> tuple[str | None, str | None]:
    """Text; numbers are written out. Flags: missing, type."""
    if value is None:
        return None, "missing"
    if isinstance(value, str):
        return value, None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value), "type"
    return None, "type"


def read_object(value: Any) -> dict[str, Any]:
    """The object, or an empty one."""
    return value if isinstance(value, dict) else {}


def read_list(value: Any) -> list[Any]:
    """The list; a lone object stands for a list of one, anything else for none."""
    if isinstance(value, dict):
        return [value]
    return value if isinstance(value, list) else []


def cut_depth(value: Any, levels: int = MOST_LEVELS) -> Any:
    """The value with everything below so many levels of lists and objects replaced by a word."""
    if not isinstance(value, (dict, list)):
        return value
    if levels == 0:
        return "(nested too deeply)"
    if isinstance(value, dict):
        return {key: cut_depth(item, levels - 1) for key, item in value.items()}
    return [cut_depth(item, levels - 1) for item in value]


def write_time(moment: datetime) -> str:
    """A date-time as OCPP likes it best: UTC, `Z`, three decimals."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
