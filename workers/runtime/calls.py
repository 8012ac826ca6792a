"""What a service is made of: Calls in, replies out, and the work that follows a commit."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from contracts.actions import TRANSACTION_ACTIONS, Service
from contracts.broker import Delivery
from contracts.envelope import CallEnvelope, Envelope
from contracts.schemas import Violation
from contracts.topology import RELAY_SERVICES
from contracts.versions import ErrorKind, Version
from workers.runtime.reading import MOST_LEVELS, cut_depth
from workers.store.engine import StoreTransaction

if TYPE_CHECKING:
    from workers.runtime.attachment import AttachmentPlan
    from workers.runtime.context import ServiceContext


@dataclass(slots=True)
class IncomingCall:
    """A charge point's Call as a handler sees it; the identity is the gateway's word, never the payload's.

    Only the runtime changes it, and only `handled_at`; a frozen one takes thrice as long to make.
    """

    identity: str
    version: Version
    action: str
    unique_id: str
    payload: dict[str, Any]
    received_at: datetime
    """When the gateway received the frame (UTC)."""
    handled_at: datetime
    """When this handler runs (UTC)."""
    gateway: str = ""
    session: str = ""
    epoch: int = 0
    certificate_name: str | None = None
    """The common name of the client certificate that the session was let in with, if any."""
    violation: Violation | None = None
    """What the gateway found wrong with the payload, when it relayed it nevertheless."""

    @property
    def is_transaction(self) -> bool:
        """Whether it is billing data, which is stored and confirmed whatever its shape."""
        return self.action in TRANSACTION_ACTIONS

    def delivery_key(self) -> str:
        """The same for every redelivery of this frame, another one for each frame."""
        parts = (self.identity, self.session, self.unique_id, self.action, self.received_at.isoformat())
        text = "\x1f".join(parts)
        return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()


def incoming(envelope: CallEnvelope, received_at: datetime, handled_at: datetime) -> IncomingCall:
    """The Call an envelope carries; raises EnvelopeError when its frame holds no payload object."""
    violation = None
    if envelope.violation_kind is not None:
        known = envelope.violation_kind in ErrorKind.__members__.values()  # a newer gateway may name others
        kind = ErrorKind(envelope.violation_kind) if known else ErrorKind.GENERIC
        violation = Violation(kind, envelope.violation or "")
    return IncomingCall(
        envelope.identity,
        envelope.version,
        envelope.action,
        envelope.unique_id,
        _storable(envelope),
        received_at,
        handled_at,
        envelope.gateway,
        envelope.session,
        envelope.epoch,
        envelope.certificate_name,
        violation,
    )


def _storable(envelope: CallEnvelope) -> dict[str, Any]:
    payload = envelope.payload()
    # Only a frame with so many brackets can be that deep; few are worth the walk.
    frame = envelope.frame
    if len(frame) > MOST_LEVELS and frame.count(b"{") + frame.count(b"[") > MOST_LEVELS:
        cut: dict[str, Any] = cut_depth(payload)
        return cut
    return payload


@dataclass(frozen=True, slots=True)
class Answer:
    """The payload of a CALLRESULT."""

    payload: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A CALLERROR; each OCPP version spells the kind its own way."""

    kind: ErrorKind
    description: str = ""
    close: bool = False
    """Whether the gateway is to end the session once the refusal is sent."""


Reply = Answer | Refusal

Handler = Callable[[IncomingCall, StoreTransaction], Awaitable[Reply]]
"""Runs inside a database transaction that other Calls share: it must leave nothing half done when it raises."""


@dataclass(frozen=True, slots=True)
class Written:
    """The answer to a request, already in the content type that the asker wants."""

    body: bytes
    content_type: str
    type: str = ""
    """The AMQP property."""


RequestHandler = Callable[[bytes, datetime, StoreTransaction], Awaitable[Envelope | Written | None]]
"""Answers one delivery of a request queue (body, now, transaction); EnvelopeError dead-letters the delivery."""

DeliveryHandler = Callable[[Delivery, datetime, StoreTransaction], Awaitable[Envelope | Written | None]]
"""The same for whoever must see the delivery's properties, such as its content type."""

BatchHandler = Callable[
    [Sequence[Delivery], datetime, StoreTransaction], Awaitable[Sequence[Envelope | Written | None]]
]
"""Answers the deliveries of a batch all at once; when it raises they are handled again one by one."""

Effect = Callable[["ServiceContext"], Awaitable[None]]
"""What is to happen once the transaction is committed, such as a command to the charge point."""

ReadAhead = Callable[[Sequence[IncomingCall], StoreTransaction], Awaitable[None]]
"""Runs before the handlers of a batch, in their transaction."""

BackgroundWork = Callable[["ServiceContext"], Awaitable[None]]
"""Runs beside the consumers until it is cancelled; started again, later and later, when it raises."""


@dataclass(frozen=True, slots=True)
class ServiceDefinition:
    """One worker service: the Calls that it answers, the request queues it serves, what it does by itself.

    Actions that the service owns but does not handle are answered NotSupported, unknown ones NotImplemented.
    """

    service: Service
    handlers: Mapping[tuple[Version, str], Handler]
    requests: Mapping[str, RequestHandler] = field(default_factory=dict)
    background: tuple[BackgroundWork, ...] = ()
    deliveries: Mapping[str, DeliveryHandler] = field(default_factory=dict)
    """Further request queues, whose handlers see the whole delivery."""
    batches: Mapping[str, BatchHandler] = field(default_factory=dict)
    """Request queues whose handlers see a whole batch; `together` says how large it may be."""
    together: Mapping[str, int] = field(default_factory=dict)
    """Request queues of which so many deliveries share a transaction; one each where it is not said."""
    read_ahead: "ReadAhead | None" = None
    """Reads what the handlers of a batch will ask for, all at once."""
    attachment: "AttachmentPlan | None" = None

    @property
    def takes_calls(self) -> bool:
        """Whether there is a queue of Calls for this service."""
        return self.service in RELAY_SERVICES

    def request_queues(self) -> dict[str, BatchHandler]:
        """Every request queue and its handler."""
        bodies = {queue: _of_body(handler) for queue, handler in self.requests.items()}
        one_by_one = {queue: _each(handler) for queue, handler in (bodies | dict(self.deliveries)).items()}
        return one_by_one | dict(self.batches)


def _of_body(handler: RequestHandler) -> DeliveryHandler:
    return lambda delivery, now, transaction: handler(delivery.body, now, transaction)


def _each(handler: DeliveryHandler) -> BatchHandler:
    async def handle(
        deliveries: Sequence[Delivery], now: datetime, transaction: StoreTransaction
    ) -> list[Envelope | Written | None]:
        return [await handler(delivery, now, transaction) for delivery in deliveries]

    return handle


def refused(call: IncomingCall, kind: ErrorKind, description: str) -> Refusal:
    """A Refusal for the violation that the gateway named, else for the one given."""
    if call.violation is not None:
        return Refusal(call.violation.kind, call.violation.description)
    return Refusal(kind, description)
