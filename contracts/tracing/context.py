"""W3C Trace Context (level 1): the identity of a span as it travels in headers. Pure; needs no library."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from contracts.broker.codec import Content

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
MOST_STATE = 512
"""Characters of a tracestate that are passed on; a longer one is left out as a whole, as the standard allows."""

_SAMPLED = 1
_NAMED = TRACEPARENT.encode()
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class TraceContext:
    """Which span of which trace, and whether it is recorded."""

    trace_id: int
    span_id: int
    sampled: bool
    state: str = ""
    """The tracestate of other vendors, passed on as it came."""
    remote: bool = False
    """Whether another process told us of it."""

    @property
    def trace(self) -> str:
        """The trace id as log lines and trace viewers show it."""
        return f"{self.trace_id:032x}"

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{'01' if self.sampled else '00'}"

    @property
    def headers(self) -> dict[str, str]:
        """What a message or request that continues this span carries."""
        headers = {TRACEPARENT: self.traceparent}
        if self.state:
            headers[TRACESTATE] = self.state
        return headers


def read(traceparent: object, tracestate: object = "") -> TraceContext | None:
    """The context of a traceparent; None when it is malformed: whoever sent it, it then counts as not sent."""
    match = _TRACEPARENT.fullmatch(traceparent) if isinstance(traceparent, str) else None
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    # Versions to come may add fields; the one we know has none, and ff stands for none at all.
    if version == "ff" or (version == "00" and more is not None) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    sampled = bool(int(flags, 16) & _SAMPLED)
    return TraceContext(int(trace_id, 16), int(span_id, 16), sampled, _state(tracestate), remote=True)


def from_headers(headers: Mapping[str, object]) -> TraceContext | None:
    """The context that a table of headers carries, if any."""
    return read(headers.get(TRACEPARENT), headers.get(TRACESTATE))


def carried(content: Content) -> TraceContext | None:
    """The context that a delivery carries; None for most, at the cost of one look."""
    if not content.raw_headers or _NAMED not in content.raw_headers:
        return None
    try:
        return from_headers(content.headers)
    except ValueError:
        return None  # a table that cannot be read


def _state(given: object) -> str:
    fits = isinstance(given, str) and len(given) <= MOST_STATE and given.isascii() and given.isprintable()
    return str(given) if fits else ""
