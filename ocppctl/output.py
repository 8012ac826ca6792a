"""What goes to standard output: tables for people, JSON for programs. Text of charge points steers no terminal."""

import re
import sys
from collections.abc import Sequence
from typing import Any

import orjson
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from contracts.process.logs import printable

_WIDE = 200
"""Columns when nobody's terminal says how many there are."""

_STEERING = re.compile(r"[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""DEL, the control characters of ISO 8859, and what turns the direction of writing. In JSON only texts hold them."""


class Output:
    """Writes results; raises BrokenPipeError when nobody reads any more."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._console = Console(
            file=sys.stdout, markup=False, highlight=False, emoji=False,
            width=None if sys.stdout.isatty() else _WIDE,
        )  # fmt: skip

    def items(self, items: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
        """One JSON array, or a table with these columns."""
        if self.as_json:
            self.document(list(items))
            return
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for column in columns:
            table.add_column(column.replace("_", " "), overflow="fold")
        for item in items:
            table.add_row(*(Text(shown(item.get(column))) for column in columns))
        self._console.print(table)

    def item(self, item: dict[str, Any]) -> None:
        """One JSON object, or its fields beneath each other."""
        if self.as_json:
            self.document(item)
            return
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column()
        table.add_column(overflow="fold")
        for name, value in item.items():
            if value not in (None, "", [], {}):
                table.add_row(Text(printable(name.replace("_", " ")), style="bold"), Text(shown(value)))
        self._console.print(table)

    def document(self, content: Any) -> None:
        """One JSON document."""
        self._write(_json(content, orjson.OPT_INDENT_2))

    def line(self, content: dict[str, Any], text: str) -> None:
        """One item of a stream: a JSON line, or the text."""
        self._write(_json(content) if self.as_json else printable(text).encode("utf-8", "replace"))

    @staticmethod
    def _write(line: bytes) -> None:
        sys.stdout.flush()
        sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()


def _json(content: Any, option: int = 0) -> bytes:
    """JSON in which control characters that a terminal obeys are escaped; orjson leaves the upper ones as they are."""
    text = orjson.dumps(content, option=option).decode()
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()


def complain(text: str) -> None:
    """A line on standard error."""
    print(f"ocppctl: {printable(text)}", file=sys.stderr, flush=True)  # noqa: T201 - the command's own words


def shown(value: Any) -> str:
    """A value in a cell."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return printable(value if isinstance(value, str) else orjson.dumps(value).decode())
