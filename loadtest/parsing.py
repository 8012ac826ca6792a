"""Kinds of arguments on the command line; what they cannot take they say in the field's words."""

import argparse
import os
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from loadtest.fleet import DEMO_TAGS
from loadtest.settings import IDENTITY

DEFAULT_TAGS = f"{DEMO_TAGS[0]}..{DEMO_TAGS[-1].removeprefix('DEMO-')}"
_TAG_RANGE = re.compile(r"(.*?)(\d+)\.\.(\d+)")
_MOST_TAGS = 1_000_000


def tag_list(text: str) -> tuple[str, ...]:
    """Tags separated by commas, with ranges as `TAG-01..20`."""
    tags: tuple[str, ...] = ()
    for part in filter(None, map(str.strip, text.split(","))):
        span = _TAG_RANGE.fullmatch(part)
        if span is None:
            tags += (part,)
            continue
        first, last = int(span[2]), int(span[3])
        if last - first >= _MOST_TAGS:
            raise ValueError(f"--id-tags: {part!r} names more than {_MOST_TAGS} tags")
        tags += tuple(f"{span[1]}{number:0{len(span[2])}d}" for number in range(first, last + 1))
    if not tags or any(len(tag) > 20 for tag in tags):
        raise ValueError("--id-tags: at least one, each of at most 20 characters")
    return tags


def websocket_url(text: str) -> str:
    """A ws:// or wss:// address."""
    parts = urlsplit(text)
    if parts.scheme not in {"ws", "wss"} or not parts.hostname:
        raise argparse.ArgumentTypeError(f"{text!r} is not a ws:// or wss:// address")
    return text


def identity_template(text: str) -> str:
    """A text with `{identity}` in it."""
    if IDENTITY not in text:
        raise argparse.ArgumentTypeError(f"{text!r} has no {IDENTITY} in it")
    return text


def file_to_read(text: str) -> str:
    """A file that can be read now."""
    if not Path(text).is_file() or not os.access(text, os.R_OK):
        raise argparse.ArgumentTypeError(f"{text!r} is not a file that can be read")
    return text


def file_to_write(text: str) -> Path:
    """A file in a folder that exists."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():  # said now, not when the run is over and its ledger lost
        raise argparse.ArgumentTypeError(f"{text!r} is not a file in a folder that exists")
    return path


def number(least: float, most: float, kind: type[float | int] = float) -> Callable[[str], float | int]:
    """A number between these bounds, both included."""

    def parse(text: str) -> float | int:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not from {least:g} to {most:g}")
        return value

    return parse
