"""Spans as our processes make them: small, only for traces that are recorded, handed on when they end."""

import random
import time
from collections.abc import Callable
from enum import IntEnum
from typing import TypeVar

from contracts.broker.codec import Content
from contracts.tracing.context import TraceContext, carried
from contracts.tracing.sampling import Sampling

Value = str | int | float | bool
Sink = Callable[["Span"], None]
T = TypeVar("T")

_AMQP = {"messaging.system": "rabbitmq"}


class Kind(IntEnum):
    """A span's place in the conversation; the values are OpenTelemetry's."""

    INTERNAL = 0
    SERVER = 1
    CLIENT = 2
    PRODUCER = 3
    CONSUMER = 4


class Span:
    """One step of a trace; what never ends is never seen. Times are nanoseconds since 1970."""

    __slots__ = (
        "_sink", "attributes", "context", "end_ns", "error", "events", "kind", "link", "name", "parent", "start_ns",
    )  # fmt: skip

    def __init__(
        self,
        sink: Sink,
        name: str,
        kind: Kind,
        context: TraceContext,
        parent: TraceContext | None,
        start_ns: int,
        attributes: dict[str, Value],
    ) -> None:
        self._sink = sink
        self.name = name
        self.kind = kind
        self.context = context
        self.parent = parent
        self.start_ns = start_ns
        self.end_ns: int | None = None
        self.attributes = attributes
        self.error: str | None = None
        self.link: TraceContext | None = None
        """A span of another trace that this one has to do with."""
        self.events: list[tuple[str, int]] = []

    def __repr__(self) -> str:
        return f"<Span {self.name!r} {self.context.traceparent}>"

    @property
    def trace(self) -> str:
        """The trace id, for log lines."""
        return self.context.trace

    @property
    def headers(self) -> dict[str, str]:
        """For a message that continues this span."""
        return self.context.headers

    def child(
        self, name: str, kind: Kind = Kind.INTERNAL, attributes: dict[str, Value] | None = None, *, start_ns: int = 0
    ) -> "Span":
        """A step of this one; `start_ns` 0 is now."""
        return _child(self._sink, self.context, name, kind, attributes, start_ns)

    def publishing(self, destination: str) -> "Span":
        """A publish to an exchange or queue, from now to the broker's confirm."""
        attributes: dict[str, Value] = {**_AMQP, "messaging.destination.name": destination}
        return self.child(f"publish {destination}", Kind.PRODUCER, attributes)

    def receiving(self, what: str, content: Content) -> "Span":
        """A delivery that comes back to this span, from now on; a child of its sender's span, if it names one."""
        sent = carried(content)
        parent = sent if sent is not None and sent.trace_id == self.context.trace_id else self.context
        return _child(self._sink, parent, f"receive {what}", Kind.CONSUMER, {**_AMQP}, 0)

    def event(self, name: str) -> None:
        """Something that happened now, on the way."""
        self.events.append((name, time.time_ns()))

    def end(self, error: str | None = None, *, end_ns: int = 0) -> None:
        """Hand it on; `error`, when it failed, is one word or line without any payload. A second end does nothing."""
        if self.end_ns is not None:
            return
        self.end_ns = max(end_ns or time.time_ns(), self.start_ns)  # clocks step back
        self.error = error
        self._sink(self)


class Tracing:
    """What a process records its traces with. Nobody has one while tracing is off.

    `close` hands over what is left, within a bound; it blocks, and belongs after the event loop's end.
    """

    def __init__(self, sampling: Sampling, sink: Sink, close: Callable[[], None] = lambda: None) -> None:
        self._sampling = sampling
        self._bound = sampling.bound
        self._sink = sink
        self.close = close

    def begin(self) -> TraceContext | None:
        """The context of a new trace's first span; None, at little cost, when it is not one to be recorded."""
        low = random.getrandbits(64)
        if low >= self._bound:
            return None
        high = random.getrandbits(64)
        return TraceContext((high << 64 | low) or 1, _span_id(), sampled=True)

    def root(
        self, context: TraceContext, name: str, kind: Kind, attributes: dict[str, Value], *, start_ns: int = 0
    ) -> Span:
        """The first span of the trace that `begin` began; `start_ns` 0 is now."""
        return Span(self._sink, name, kind, context, None, start_ns or time.time_ns(), attributes)

    def followed(self, content: Content) -> TraceContext | None:
        """The context that a delivery carries, when its trace is recorded here."""
        parent = carried(content)
        return parent if parent is not None and self._sampling.follows(parent) else None

    def joined(self, parent: TraceContext, name: str, kind: Kind, attributes: dict[str, Value]) -> Span:
        """A span, from now on, whose parent is another process's."""
        return _child(self._sink, parent, name, kind, attributes, 0)

    def processing(
        self,
        content: Content,
        queue: str,
        attributes_of: Callable[[T], dict[str, Value]],
        subject: T,
        *,
        begins: bool = False,
    ) -> Span | None:
        """What becomes of a delivery here, from now on; None, at little cost, when its trace is not recorded.

        `begins`: one that carries no context begins a trace, or does not, as any root.
        """
        parent = carried(content)
        name = f"process {queue}"
        if parent is None:
            context = self.begin() if begins else None
            if context is None:
                return None
            return self.root(context, name, Kind.CONSUMER, of_queue(queue, attributes_of(subject)))
        if not self._sampling.follows(parent):
            return None
        return self.joined(parent, name, Kind.CONSUMER, of_queue(queue, attributes_of(subject)))


def of_queue(queue: str, attributes: dict[str, Value]) -> dict[str, Value]:
    """The attributes of a span that is about a delivery of this queue."""
    return {**_AMQP, "messaging.destination.name": queue, **attributes}


def trace_of(span: Span | None) -> str | None:
    """For log lines: the trace id of a recorded Call or command, else None, which leaves the field out."""
    return None if span is None else span.context.trace


def _child(
    sink: Sink, parent: TraceContext, name: str, kind: Kind, attributes: dict[str, Value] | None, start_ns: int
) -> Span:
    context = TraceContext(parent.trace_id, _span_id(), sampled=True, state=parent.state)
    return Span(sink, name, kind, context, parent, start_ns or time.time_ns(), {} if attributes is None else attributes)


def _span_id() -> int:
    return random.getrandbits(64) or 1
