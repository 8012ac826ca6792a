"""Outcomes of commands on their way back: kept, within a bound, until the broker confirms them."""

from dataclasses import dataclass
from typing import NamedTuple

import structlog

from contracts.actions import OTHER
from contracts.envelope import OutcomeEnvelope
from contracts.errors import LinkDownError
from contracts.tracing import Span
from gateway import metrics
from gateway.relay import Link


class Asker(NamedTuple):
    """Who is to be told an outcome: the reply queue and correlation id of the command's delivery."""

    reply_to: str = ""
    correlation_id: str = ""
    action: str = OTHER
    """What the command asks for, as metrics name it."""
    span: Span | None = None
    """The command's, when its trace is recorded."""


@dataclass(slots=True, eq=False)
class PendingOutcome:
    """One outcome that the broker has not confirmed yet."""

    number: int
    asker: Asker
    command_id: str
    body: bytes
    publishing: Span | None = None


class Outcomes:
    """The outbox of OutcomeEnvelopes; published at once, and again on each new broker connection until confirmed."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[int, PendingOutcome] = {}
        self._refused: list[PendingOutcome] = []
        self._number = 0
        self._log = structlog.get_logger()
        self.link: Link | None = None
        """Set once, before the first command."""

    def __len__(self) -> int:
        return len(self._kept)

    def tell(self, asker: Asker, envelope: OutcomeEnvelope) -> None:
        """Publish to the queue of whoever sent the command, under the correlation id that it came with."""
        metrics.OUTCOMES.labels(asker.action, envelope.kind.value).inc()
        if not asker.reply_to:
            metrics.OUTCOMES_DROPPED.labels("no_reply_to").inc()
            return
        self._number += 1
        pending = PendingOutcome(self._number, asker, envelope.command_id, envelope.encode())
        self._kept[pending.number] = pending
        if len(self._kept) > self._most:
            del self._kept[next(iter(self._kept))]
            metrics.OUTCOMES_DROPPED.labels("too_many").inc()
            self._log.error("outcome.dropped", kept=self._most)
        self._publish(pending)

    def link_up(self) -> None:
        """A new connection: publish all that was not confirmed."""
        self._refused.clear()
        for pending in tuple(self._kept.values()):
            self._publish(pending)

    def confirmed(self, pending: PendingOutcome) -> None:
        if pending.publishing is not None:
            pending.publishing.end()
        self._kept.pop(pending.number, None)

    def refused(self, pending: PendingOutcome) -> None:
        if pending.publishing is not None:
            pending.publishing.end("refused")
        self._refused.append(pending)

    def tick(self) -> None:
        """Publish again what the broker refused."""
        again, self._refused = self._refused, []
        for pending in again:
            if pending.number in self._kept:
                self._publish(pending)

    def _publish(self, pending: PendingOutcome) -> None:
        if self.link is None or not self.link.up:
            return
        try:
            asker = pending.asker
            publishing = None if asker.span is None else asker.span.publishing("outcome")
            self.link.publish(
                "",
                asker.reply_to,
                pending.body,
                token=pending,
                correlation_id=asker.correlation_id,
                headers=None if publishing is None else publishing.headers,
            )
            if pending.publishing is not None:
                pending.publishing.end("connection_lost")  # an earlier one, of which nothing more will be heard
            pending.publishing = publishing
        except LinkDownError:
            return  # link_up publishes it
        except ValueError:
            # No broker takes such an address: kept, it would stand in the way of all others at each link_up.
            self._kept.pop(pending.number, None)
            metrics.OUTCOMES_DROPPED.labels("bad_address").inc()
            self._log.error("outcome.bad_address", command_id=pending.command_id[:64])
