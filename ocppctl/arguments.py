"""What operators type: spans of time, payloads, moments."""

import argparse
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

_SPAN = re.compile(r"(?:\d+(?:\.\d+)?[smhd])+")
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST = timedelta(days=3650)


def span(text: str) -> timedelta:
    """A span such as 90s, 15m, 2h, 7d or 1h30m."""
    if not _SPAN.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no span of time; examples: 90s, 15m, 2h, 7d, 1h30m")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    if not 0 < seconds <= _LONGEST.total_seconds():
        raise argparse.ArgumentTypeError("a span of time is more than nothing, and at most 10 years")
    return timedelta(seconds=seconds)


def seconds(text: str) -> float:
    """Seconds as a number, or a span."""
    try:
        value = float(text)
    except ValueError:
        return span(text).total_seconds()
    if not 0 < value <= _LONGEST.total_seconds():  # false for nan
        raise argparse.ArgumentTypeError("a number of seconds above 0")
    return value


def positive(text: str) -> int:
    """A whole number from 1."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError("a whole number from 1 to 1000000")
    return int(text)


def moment(text: str) -> str:
    """An ISO 8601 time, or a span from now, as ISO 8601 in UTC."""
    if _SPAN.fullmatch(text):
        return (datetime.now(UTC) + span(text)).isoformat(timespec="seconds")
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("an ISO 8601 time such as 2030-01-31T12:00Z, or a span such as 30d") from None
    try:
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC).isoformat(timespec="seconds")
    except OverflowError:
        raise argparse.ArgumentTypeError("a time in the years 1 to 9999 in UTC") from None


def payload(text: str) -> dict[str, Any]:
    """A JSON object; `-` reads it from standard input, `@file` from a file."""
    try:
        raw = sys.stdin.buffer.read() if text == "-" else Path(text[1:]).read_bytes() if text[:1] == "@" else text
        content = orjson.loads(raw)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot read {text[1:]}: {error.strerror}") from None
    except orjson.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"the payload is not JSON: {error.msg}") from None
    if not isinstance(content, dict):
        raise argparse.ArgumentTypeError("the payload is not a JSON object")
    return content
