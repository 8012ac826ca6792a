"""The in-flight window: every Call between its arrival and its answer, published until the broker has it.

Nothing that was accepted is lost while the process lives: what is unanswered is published again on a new broker
connection, and a transaction message stays here until the broker confirms it, whatever became of its session.
"""

import random
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Protocol

import structlog

from contracts import topology
from contracts.broker import Delivery, Returned
from contracts.envelope import ReplyEnvelope, encode_call
from contracts.errors import EnvelopeError, LinkDownError
from contracts.tracing import Span
from gateway import metrics
from gateway.clock import Clock
from gateway.effects import Relay as RelayEffect
from gateway.session import Session

RETRY_FIRST_S = 0.2
RETRY_MOST_S = 5.0
LOW_WATER = 0.8
IN_TIME = 2 / 3
"""Of the time that a Call has left: a worker must have been given it by then. A queue in which Calls wait for all of
their time gives workers nothing but what is about to be too late: after a power cut nobody's boot was answered."""
REPUBLISH_BYTES = 1024 * 1024
"""Handed to the link at a time after a reconnect: a full window in one go would be in memory three times."""

_QUEUED, _CONFIRMED, _ANSWERED = map(metrics.STAGES.of, ("queued", "confirmed", "answered"))


class Link(Protocol):
    """What the relay needs of the broker link."""

    reply_queue: str

    @property
    def up(self) -> bool: ...
    @property
    def writable(self) -> bool: ...
    @property
    def blocked(self) -> bool: ...
    def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        *,
        token: object = None,
        mandatory: bool = False,
        persistent: bool = False,
        correlation_id: str = "",
        reply_to: str = "",
        expiration_ms: int | None = None,
        type: str = "",  # noqa: A002 - AMQP's own name for the property
        headers: Mapping[str, str] | None = None,
    ) -> None: ...


class Receiver(Protocol):
    """Where answers go; `owner` is what was given to `take`."""

    def replied(self, owner: object, number: int, reply: ReplyEnvelope) -> None: ...
    def unroutable(self, owner: object, number: int) -> None: ...
    def relay_failed(self, owner: object, number: int) -> None: ...
    def send_settled(self, owner: object) -> None: ...
    def room_again(self) -> None: ...


class InFlight:
    """One Call in the window."""

    __slots__ = (
        "body",
        "confirmed",
        "correlation_id",
        "deadline",
        "expires",
        "is_send",
        "keep",
        "key",
        "number",
        "owner",
        "published",
        "publishing",
        "received",
        "refused",
        "span",
    )

    def __init__(self, correlation_id: str, effect: RelayEffect, body: bytes, owner: object) -> None:
        self.correlation_id = correlation_id
        self.number = effect.number
        self.key = effect.key
        self.body = body
        self.deadline = effect.deadline
        self.expires = effect.expires
        self.keep = effect.transaction
        self.is_send = effect.is_send
        self.owner: object | None = owner
        self.received = effect.received
        self.published = 0.0
        """Monotonic seconds at which the link took it last; 0: not yet."""
        self.confirmed = False
        self.refused = False
        self.span: Span | None = None
        self.publishing: Span | None = None
        """When the Call is recorded: its span, and that of its publish until the broker says what became of it."""

    def published_ends(self, error: str | None = None) -> None:
        """The broker has it, or will never."""
        if self.publishing is not None:
            self.publishing.end(error)
            self.publishing = None


class Relay:
    """Between sessions and the broker link. Synchronous; `tick` must be called a few times per second."""

    def __init__(
        self, gateway_id: str, receiver: Receiver, clock: Clock, *, window_calls: int, window_bytes: int
    ) -> None:
        self._gateway_id = gateway_id
        self._receiver = receiver
        self._clock = clock
        self._most_calls = window_calls
        self._most_bytes = window_bytes
        self._window: dict[str, InFlight] = {}
        self._bytes = 0
        self._full = False
        self._sends: dict[str, InFlight] = {}  # unconfirmed; all wait equally long, so in deadline order
        self._unpublished: deque[InFlight] = deque()
        """What is left to publish on this connection, in order; later Calls queue behind it."""
        self._awaited: InFlight | None = None
        """The one whose confirm lets the next portion of that go."""
        self._retry: dict[str, InFlight] = {}
        self._retry_at = 0.0
        self._retry_delay = RETRY_FIRST_S
        self._log = structlog.get_logger()
        self.link: Link | None = None
        """Set once, before the first Call."""
        self.accepting = True
        """Whether sockets should be read: there is room, and the broker does not hold us back."""

    def __len__(self) -> int:
        return len(self._window)

    @property
    def full(self) -> bool:
        return self._full

    @property
    def size_bytes(self) -> int:
        """Bytes of envelopes in the window."""
        return self._bytes

    def take(self, session: Session, effect: RelayEffect, owner: object, span: Span | None = None) -> None:
        """Put a Call into the window and publish it, now or when the broker is back."""
        now = self._clock.now()
        violation = effect.violation
        body = encode_call(
            session.identity,
            session.version,
            self._gateway_id,
            session.session_id,
            session.epoch,
            effect.unique_id,
            effect.action,
            effect.frame,
            self._clock.wall_ms(effect.received),
            None if violation is None else violation.kind.value,
            None if violation is None else violation.description,
            session.certificate_name,
            effect.signed_by,
        )
        entry = InFlight(f"{session.session_id}:{effect.number}", effect, body, owner)
        entry.span = span
        self._window[entry.correlation_id] = entry
        self._bytes += len(body)
        if entry.is_send:
            self._sends[entry.correlation_id] = entry
        if not self._full and (len(self._window) >= self._most_calls or self._bytes >= self._most_bytes):
            self._full = True
            self.accepting = False
            self._log.warning("relay.window_full", calls=len(self._window), bytes=self._bytes)
        if self._unpublished:
            self._unpublished.append(entry)
        elif self._retry and entry.keep:  # behind what the broker had no room for: it may be of the same session
            self._retry[entry.correlation_id] = entry
        else:
            self._publish(entry, now)

    def abandon(self, session_id: str, number: int) -> None:
        """Nobody waits for this Call: forget it, unless it is billing data that the broker does not have yet."""
        entry = self._window.get(f"{session_id}:{number}")
        if entry is None:
            return
        if entry.keep and not entry.confirmed:
            entry.owner = None
            metrics.ORPHANS.inc()
        else:
            self._drop(entry)

    def unconfirmed_transactions(self) -> Iterator[str]:
        """Correlation ids of billing data that the broker does not have yet."""
        return (entry.correlation_id for entry in self._window.values() if entry.keep and not entry.confirmed)

    def holds_unsafe(self) -> bool:
        """Whether there is billing data that the broker does not have yet."""
        return next(self.unconfirmed_transactions(), None) is not None

    # from the link

    def link_up(self) -> None:
        """A new connection: everything unanswered is published again, in order, with the new reply queue."""
        self._retry.clear()
        for entry in self._window.values():
            entry.confirmed = False
        self._unpublished = deque(self._window.values())
        if self._window:
            self._log.info("relay.republishing", calls=len(self._window), bytes=self._bytes)
        self._publish_portion()
        self.flow_changed()

    def link_down(self) -> None:
        """The connection is gone: the window alone says what is to be published on the next one."""
        for entry in self._window.values():
            entry.published_ends("connection_lost")
        self._unpublished.clear()
        self._awaited = None
        self.flow_changed()

    def flow_changed(self) -> None:
        """The link's readiness to take more has changed."""
        held_back = self.link is not None and self.link.up and not self.link.writable
        before, self.accepting = self.accepting, not self._full and not held_back
        if self.accepting and not before:
            self._receiver.room_again()

    def confirmed(self, entry: InFlight) -> None:
        """The broker has it."""
        entry.confirmed = True
        if entry.publishing is not None:
            entry.published_ends()
        _CONFIRMED.observe(self._clock.now() - entry.published)
        if entry.refused:  # what other queues take says nothing of the one that is full
            entry.refused = False
            self._retry_delay = RETRY_FIRST_S
        if entry.is_send or entry.owner is None:
            self._drop(entry)
        if entry is self._awaited:
            self._publish_portion()

    def refused(self, entry: InFlight) -> None:
        """The broker would not take it (queue full): again a little later."""
        entry.published_ends("refused")
        if entry.correlation_id in self._window:
            self._retry_later(entry)
        if entry is self._awaited:
            self._publish_portion()

    def returned(self, message: Returned) -> None:
        """No queue is bound for it."""
        entry = self._window.get(message.correlation_id)
        if entry is None:
            return
        self._drop(entry)
        if entry.owner is not None and not entry.is_send:
            self._receiver.unroutable(entry.owner, entry.number)

    def reply(self, delivery: Delivery) -> None:
        """A worker's reply; one that nobody waits for is counted and dropped."""
        entry = self._window.get(delivery.correlation_id)
        if entry is None or entry.owner is None:
            metrics.REPLIES_DROPPED.labels("late_or_unknown").inc()
            if entry is not None:
                self._drop(entry)  # answered, so certainly stored
            return
        self._drop(entry)
        receiving = None if entry.span is None else entry.span.receiving("reply", delivery)
        try:
            reply = ReplyEnvelope.decode(delivery.body)
        except EnvelopeError as error:
            metrics.REPLIES_DROPPED.labels("bad_envelope").inc()
            self._log.error("relay.bad_reply", correlation_id=delivery.correlation_id, problem=str(error))
            if receiving is not None:
                receiving.end("bad_reply")
            self._receiver.relay_failed(entry.owner, entry.number)
            return
        _ANSWERED.observe(self._clock.now() - entry.published)
        self._receiver.replied(entry.owner, entry.number, reply)
        if receiving is not None:
            receiving.end()

    def tick(self, now: float) -> None:
        """Publish again what the broker refused, when its time has come; give up SENDs that are too old."""
        while self._sends and (oldest := next(iter(self._sends.values()))).deadline <= now:
            self._drop(oldest)
        if self._retry and now >= self._retry_at:
            again, self._retry = self._retry, {}
            for entry in [entry for entry in self._window.values() if entry.correlation_id in again]:  # oldest first
                metrics.REPUBLISHED.labels("refused").inc()
                self._publish(entry, now)

    # inner workings

    def _retry_later(self, entry: InFlight) -> None:
        if not self._retry:
            now = self._clock.now()
            if now > self._retry_at + 2 * RETRY_MOST_S:  # an old story
                self._retry_delay = RETRY_FIRST_S
            self._retry_at = now + self._retry_delay * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
            self._retry_delay = min(self._retry_delay * 2, RETRY_MOST_S)
            self._log.warning("relay.refused_by_broker", retry_in_s=round(self._retry_at - now, 2))
        entry.refused = True
        self._retry[entry.correlation_id] = entry

    def _publish_portion(self) -> None:
        now, size, self._awaited = self._clock.now(), 0, None
        while self._unpublished and size < REPUBLISH_BYTES:
            entry = self._unpublished.popleft()
            if self._window.get(entry.correlation_id) is entry and self._publish(entry, now):
                metrics.REPUBLISHED.labels("reconnect").inc()
                size += len(entry.body)
                self._awaited = entry

    def _publish(self, entry: InFlight, now: float) -> bool:
        """Hand it to the link; False when that cannot take it, or its time is over."""
        link = self.link
        if link is None or not link.up:
            return False
        expiration_ms = None
        if entry.expires:
            expiration_ms = int((entry.deadline - now) * IN_TIME * 1000)
            if expiration_ms <= 0:
                return False  # its session gives it up at the next tick
        publishing = None if entry.span is None else entry.span.publishing(topology.CALLS)
        try:
            link.publish(
                topology.CALLS,
                entry.key,
                entry.body,
                token=entry,
                mandatory=True,
                persistent=not entry.expires,
                correlation_id=entry.correlation_id,
                reply_to="" if entry.is_send else link.reply_queue,
                expiration_ms=expiration_ms,
                headers=None if publishing is None else publishing.headers,
            )
        except LinkDownError:
            return False  # link_up publishes it
        entry.publishing = publishing
        if not entry.published:
            _QUEUED.observe(now - entry.received)
        entry.published = now
        return True

    def _drop(self, entry: InFlight) -> None:
        if self._window.pop(entry.correlation_id, None) is None:
            return
        self._bytes -= len(entry.body)
        if entry.owner is None:
            metrics.ORPHANS.dec()
        elif entry.is_send:
            if entry.span is not None:
                entry.span.end(None if entry.confirmed else "unconfirmed")
            self._sends.pop(entry.correlation_id, None)
            self._receiver.send_settled(entry.owner)
        low_calls, low_bytes = self._most_calls * LOW_WATER, self._most_bytes * LOW_WATER
        if self._full and len(self._window) <= low_calls and self._bytes <= low_bytes:
            self._full = False
            self._log.info("relay.window_open", calls=len(self._window), bytes=self._bytes)
            self.flow_changed()
