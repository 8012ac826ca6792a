"""The gateway's spans: handshakes, Calls from frame to answer, commands from dispatch to outcome."""

import time

from contracts.actions import label
from contracts.broker import Delivery
from contracts.envelope import CommandEnvelope
from contracts.tracing import Kind, Span, Tracing
from contracts.tracing.attributes import of_call, of_command
from contracts.tracing.context import read
from gateway.clock import Clock
from gateway.effects import Ending, Outcome, Relay, Settled
from gateway.peer import Request
from gateway.session import Session

_FAILURES = frozenset({Ending.TIMEOUT, Ending.FAILED})


class Traces:
    """Makes and ends spans; there is none while tracing is off. What is recorded is not for charge points to say."""

    def __init__(self, tracing: Tracing, clock: Clock) -> None:
        self._tracing = tracing
        self._clock = clock

    # handshakes

    def requested(self, request: Request) -> Span | None:
        """A charge point asks to come in. A trace that it, or a proxy, has begun is linked to, never continued."""
        context = self._tracing.begin()
        if context is None:
            return None
        span = self._tracing.root(context, "connect", Kind.SERVER, {"client.address": request.peer.address})
        span.link = read(request.traceparent)
        return span

    def opened(self, span: Span, session: Session | None) -> None:
        """It has become a session, or none after all."""
        if session is None:
            span.attributes["ocpp.outcome"] = "not_opened"
            span.end("not_opened")
            return
        span.attributes |= {
            "ocpp.identity": session.identity,
            "ocpp.version": session.version.value,
            "ocpp.session": session.session_id,
            "ocpp.outcome": "accepted",
        }
        span.end()

    # Calls

    def begun(self, session: Session, call: Relay) -> Span | None:
        """A Call, or a SEND, goes to a worker. That of a Call is kept in its session, which has one in flight."""
        span = self._call(session, call)
        if not call.is_send:
            session.span = span
        return span

    def settled(self, session: Session, call: Settled, *, written: bool) -> None:
        """A Call has ended; one that was refused at once has no span before."""
        span, session.span = session.span, None
        if span is None and call.ending is Ending.REFUSED:
            span = self._call(session, call)
        if span is None:
            return
        if written:
            span.event("answer written")
        span.attributes["ocpp.outcome"] = call.ending.value
        span.end(call.ending.value if call.ending in _FAILURES else None)

    def _call(self, session: Session, call: Relay | Settled) -> Span | None:
        """The first span of its trace, unless that is not to be recorded."""
        context = self._tracing.begin()
        if context is None:
            return None
        return self._tracing.root(
            context,
            f"Call {label(call.action)}",
            Kind.SERVER,
            of_call(session.identity, session.session_id, session.version, call.unique_id, call.action),
            start_ns=self._wall_ns(call.received),
        )

    # commands

    def commanded(self, delivery: Delivery, command: CommandEnvelope) -> Span | None:
        """A command came from the commands service, which has decided whether its trace is recorded."""
        sent = self._tracing.followed(delivery)
        if sent is None:
            return None
        return self._tracing.joined(
            sent,
            f"command {label(command.action)}",
            Kind.CONSUMER,
            of_command(command.identity, command.command_id, command.action),
        )

    def answered(self, span: Span, session: Session, outcome: Outcome) -> None:
        """A session says how a command ended: the charge point had it from when it was sent."""
        span.attributes |= {"ocpp.version": session.version.value, "ocpp.session": session.session_id}
        if outcome.sent_at is not None:
            asked = span.child("charge point", Kind.CLIENT, start_ns=self._wall_ns(outcome.sent_at))
            if outcome.answered_at is None:
                asked.end("unanswered")
            else:
                asked.end(end_ns=self._wall_ns(outcome.answered_at))

    def _wall_ns(self, at: float) -> int:
        """Nanoseconds since 1970 of a monotonic time."""
        return time.time_ns() - int((self._clock.now() - at) * 1e9)
