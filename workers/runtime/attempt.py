"""One attempt at a batch: everything in one database transaction, nothing said before it is committed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter

import orjson

from contracts import actions
from contracts.broker import Delivery
from contracts.envelope import Envelope, ReplyEnvelope
from contracts.schemas import Part, outbound_violation
from contracts.tracing import Span
from contracts.versions import ErrorKind, Version
from workers import metrics
from workers.errors import InvalidReplyError
from workers.runtime.calls import (
    Answer,
    BatchHandler,
    Effect,
    IncomingCall,
    Refusal,
    Reply,
    ServiceDefinition,
    Written,
)
from workers.runtime.gate import RegistrationGate, closed_reason
from workers.runtime.tracing import handling, storing, under
from workers.store.engine import Store, StoreTransaction
from workers.store.parking import park


@dataclass(slots=True)
class Work:
    """A delivery in hand; `connection` numbers the broker connection it came by."""

    delivery: Delivery
    connection: int
    call: IncomingCall | None = None
    span: Span | None = None
    """From delivery to ack, when the Call's trace is recorded."""


@dataclass(frozen=True, slots=True)
class Attempted:
    """What a committed attempt leaves to do: what to send back for each Work (None: nothing), and effects."""

    answers: Sequence[Written | None]
    outcomes: Sequence[str]
    effects: Sequence[Effect]


class CallAttempt:
    """Handles Calls: gate, handler, schema of the reply."""

    def __init__(
        self, definition: ServiceDefinition, store: Store, gate: RegistrationGate, now: Callable[[], datetime]
    ) -> None:
        self._definition = definition
        self._store = store
        self._gate = gate
        self._now = now

    async def run(self, batch: Sequence[Work]) -> Attempted:
        """Raises StoreUnavailableError, or what a handler raises; then nothing is stored and nothing may be said."""
        now = self._now()
        calls = [work.call for work in batch if work.call is not None]
        spans = [work.span for work in batch if work.call is not None]
        for call in calls:
            # A Call may have waited since it came, for the database above all: it is answered by the time it is now.
            call.handled_at = now
        answers: list[Written | None] = []
        outcomes: list[str] = []
        writer = _Writer()
        service = self._definition.service.value
        began = perf_counter()
        with storing(spans, self._store.dialect):
            async with self._store.transaction() as transaction:
                registrations = await self._gate.admit(transaction, calls, now)
                if self._definition.read_ahead is not None:
                    await self._definition.read_ahead(calls, transaction)
                for call, span in zip(calls, spans, strict=True):
                    registered = registrations.get(call.identity)
                    if span is None:
                        reply = await self._decide(call, registered, transaction)
                    else:
                        reply = await self._traced(span, call, registered, transaction)
                    answers.append(writer.written(call, reply))
                    outcomes.append(reply.kind.value if isinstance(reply, Refusal) else "answered")
        metrics.commit_seconds.labels(service).observe(perf_counter() - began)
        metrics.batch_calls.labels(service).observe(len(batch))
        return Attempted(answers, outcomes, tuple(transaction.effects))

    async def _traced(
        self, span: Span, call: IncomingCall, registered: str | None, transaction: StoreTransaction
    ) -> Reply:
        before = len(transaction.effects)
        with handling(span, call):
            reply = await self._decide(call, registered, transaction)
        transaction.effects[before:] = [under(span, effect) for effect in transaction.effects[before:]]
        return reply

    async def _decide(self, call: IncomingCall, registered: str | None, transaction: StoreTransaction) -> Reply:
        closed = closed_reason(call.action, registered)
        if closed is not None:
            return Refusal(ErrorKind.SECURITY, closed)
        if registered is None and call.is_transaction:
            _park(call, transaction)
        handler = self._definition.handlers.get((call.version, call.action))
        if handler is not None:
            return await handler(call, transaction)
        if actions.find(call.version, call.action) is None:
            return Refusal(ErrorKind.NOT_IMPLEMENTED, f"unknown action {_printable(call.action)}")
        return Refusal(ErrorKind.NOT_SUPPORTED, f"{call.action} is not supported")


class _Writer:
    """Writes the replies of a batch; one that is given to many Calls, as the time to Heartbeats, is written once."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[int, Version, str], tuple[Reply, Written | None]] = {}

    def written(self, call: IncomingCall, reply: Reply) -> Written | None:
        """What to send back; None where nothing is. Raises InvalidReplyError."""
        key = (id(reply), call.version, call.action)
        known = self._known.get(key)
        if known is None:
            # With the reply itself, which must live as long as its id() is to mean it.
            known = self._known[key] = (reply, None if _is_send(call) else _written(_encode(call, reply)))
        return known[1]


class RequestAttempt:
    """Handles deliveries of one request queue, such as admission queries, job requests or an operator's."""

    def __init__(self, handler: BatchHandler, store: Store, now: Callable[[], datetime]) -> None:
        self._handler = handler
        self._store = store
        self._now = now

    async def run(self, batch: Sequence[Work]) -> Attempted:
        """Raises EnvelopeError for a body that cannot be read; else as `CallAttempt.run`."""
        async with self._store.transaction() as transaction:
            given = await self._handler([work.delivery for work in batch], self._now(), transaction)
            answers = [_written(answer.encode()) if isinstance(answer, Envelope) else answer for answer in given]
        return Attempted(answers, ["answered"] * len(answers), tuple(transaction.effects))


def refusal(kind: ErrorKind, description: str) -> Written:
    """The reply that becomes a CALLERROR."""
    return _written(_refusal_body(kind, description))


def _refusal_body(kind: ErrorKind, description: str, *, close: bool = False) -> bytes:
    return ReplyEnvelope(error_kind=kind, description=description, close=close).encode()


def _written(envelope: bytes) -> Written:
    return Written(envelope, "application/msgpack")


def _is_send(call: IncomingCall) -> bool:
    action = actions.find(call.version, call.action)
    return action is not None and action.is_send


def _encode(call: IncomingCall, reply: Reply) -> bytes:
    if isinstance(reply, Refusal):
        return _refusal_body(reply.kind, reply.description, close=reply.close)
    _check(call, reply)
    return ReplyEnvelope(payload=orjson.dumps(reply.payload)).encode()


def _check(call: IncomingCall, reply: Answer) -> None:
    violation = outbound_violation(call.version, call.action, Part.RESPONSE, reply.payload)
    if violation is not None:
        raise InvalidReplyError(f"{call.action} reply: {violation.description}")


def _park(call: IncomingCall, transaction: StoreTransaction) -> None:
    """Billing data of a charge point that is not on record: stored as usual, and put before a person."""
    park(
        transaction,
        identity=call.identity,
        ocpp_version=call.version.value,
        action=call.action,
        reason="charge_point_unknown",
        payload=call.payload,
        received_at=call.received_at,
        park_key=f"charge_point_unknown {call.delivery_key()}",
    )


def _printable(action: str) -> str:
    return "".join(character if " " <= character <= "~" else "?" for character in action[:50])
