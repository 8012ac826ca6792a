"""Commands from the broker to their sessions, and their outcomes back to whoever asked."""

from collections.abc import Callable

import structlog

from contracts.actions import label
from contracts.broker import Delivery
from contracts.commands import Reason
from contracts.envelope import NOT_HERE, CommandEnvelope, OutcomeEnvelope, OutcomeKind
from contracts.errors import EnvelopeError
from contracts.ocppj import MAX_UNIQUE_ID
from gateway import metrics
from gateway.clock import Clock
from gateway.commands import Command
from gateway.effects import Outcome
from gateway.outcomes import Asker, Outcomes
from gateway.session import Session
from gateway.tracing import Traces

Find = Callable[[CommandEnvelope], Session | None]
Offer = Callable[[Session, Command], None]


class Dispatch:
    """Finds the session a command is for. Whoever asked last for a command is told its outcome, once."""

    def __init__(
        self, gateway_id: str, clock: Clock, outcomes: Outcomes, find: Find, offer: Offer, traces: Traces | None = None
    ) -> None:
        self._gateway_id = gateway_id
        self._clock = clock
        self._outcomes = outcomes
        self._find = find
        self._offer = offer
        self._traces = traces
        self._askers: dict[tuple[str, str], Asker] = {}
        self._log = structlog.get_logger()

    def __len__(self) -> int:
        return len(self._askers)

    def delivered(self, delivery: Delivery) -> None:
        """A command came; every outcome goes to its reply queue, under its correlation id."""
        asker = Asker(delivery.reply_to, delivery.correlation_id)
        try:
            envelope = CommandEnvelope.decode(delivery.body)
        except EnvelopeError as error:
            self._log.error("command.bad_envelope", problem=str(error))
            self._tell(asker, "", "", OutcomeKind.REJECTED, Reason.BAD_REQUEST)
            return
        span = None if self._traces is None else self._traces.commanded(delivery, envelope)
        asker = asker._replace(action=label(envelope.action), span=span)
        if not 0 < len(envelope.command_id) <= MAX_UNIQUE_ID:
            code = Reason.BAD_COMMAND_ID
            self._tell(asker, "", envelope.identity, OutcomeKind.REJECTED, code)
            return
        session = self._find(envelope)
        if session is None:
            # "Not here" says "not sent", which of one that comes again nobody knows.
            kind = OutcomeKind.UNKNOWN if envelope.again else OutcomeKind.OFFLINE
            why = Reason.REDELIVERED if envelope.again else NOT_HERE
            self._tell(asker, envelope.command_id, envelope.identity, kind, why)
            return
        deadline = self._clock.monotonic(envelope.deadline_ms)
        command = Command(envelope.command_id, envelope.action, envelope.payload, deadline, envelope.again)
        if session.reuses(command):
            # Told aside: whoever waits for the outcome of the other one goes on waiting.
            code = Reason.COMMAND_ID_REUSED
            self._tell(asker, envelope.command_id, envelope.identity, OutcomeKind.REJECTED, code)
            return
        replaced = self._askers.get((session.session_id, envelope.command_id))
        if replaced is not None and replaced.span is not None:
            replaced.span.end("asked_again")  # by another replica, say: the outcome is told to that one
        self._askers[session.session_id, envelope.command_id] = asker
        self._offer(session, command)

    def ended(self, session: Session, outcome: Outcome) -> None:
        """A session says how a command ended."""
        asker = self._askers.pop((session.session_id, outcome.command_id), Asker())
        clock = self._clock
        if outcome.sent_at is not None and outcome.answered_at is not None:
            metrics.COMMAND_ROUNDTRIP.of(asker.action).observe(outcome.answered_at - outcome.sent_at)
        if self._traces is not None and asker.span is not None:
            self._traces.answered(asker.span, session, outcome)
        self._conclude(
            asker,
            OutcomeEnvelope(
                command_id=outcome.command_id,
                identity=session.identity,
                kind=outcome.kind,
                gateway=self._gateway_id,
                session=session.session_id,
                payload=outcome.payload,
                error_code=outcome.error_code,
                description=outcome.description,
                sent_ms=None if outcome.sent_at is None else clock.wall_ms(outcome.sent_at),
                answered_ms=None if outcome.answered_at is None else clock.wall_ms(outcome.answered_at),
                details=outcome.details,
            ),
        )

    def _tell(self, asker: Asker, command_id: str, identity: str, kind: OutcomeKind, code: str) -> None:
        envelope = OutcomeEnvelope(
            command_id=command_id, identity=identity, kind=kind, gateway=self._gateway_id, error_code=code
        )
        self._conclude(asker, envelope)

    def _conclude(self, asker: Asker, envelope: OutcomeEnvelope) -> None:
        self._outcomes.tell(asker, envelope)
        if asker.span is not None:
            asker.span.attributes["ocpp.outcome"] = envelope.kind.value
            asker.span.end()
