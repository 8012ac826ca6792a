"""Reading what diagnostics takes from payloads: bounded text, ids, moments, and the digests that recognise a retry."""

import hashlib
from datetime import datetime
from typing import Any

import orjson

from workers.diagnostics.occurrence import believed_time
from workers.runtime.reading import INT32_MAX, read_int, read_text, read_time

LONGEST_WORD = 255
LONGEST_TEXT = 2500


def word(value: Any) -> str | None:
    """A short text such as a code or a name, cut where no specification would allow more; empty text is none."""
    text = read_text(value)[0]
    return text[:LONGEST_WORD] if text else None


def long_text(value: Any) -> str | None:
    """A text such as a value or technical information, cut at 2.x's longest."""
    text = read_text(value)[0]
    return text[:LONGEST_TEXT] if text else None


def place_number(value: Any) -> int:
    """An EVSE or connector id; 0, the whole, when there is none to read."""
    return read_int(value, low=0, high=INT32_MAX)[0] or 0


def number(value: Any) -> int | None:
    """A 32-bit integer, or None."""
    return read_int(value, low=-INT32_MAX, high=INT32_MAX)[0]


def own_moment(value: Any, received_at: datetime) -> datetime | None:
    """The charge point's own time, or None when there is none that can be believed."""
    reported, flag = read_time(value, received_at)
    return None if flag in {"timestamp_missing", "timestamp_unreadable"} else believed_time(reported, received_at)


def moment(value: Any, received_at: datetime) -> datetime:
    """When the charge point says it was, if it can be believed; else the arrival."""
    return own_moment(value, received_at) or received_at


def digest(content: Any) -> str:
    """The same for the same content, in whatever order its keys come."""
    return hashlib.blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()
