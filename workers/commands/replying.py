"""Telling callers what became of their commands: publish, await the confirm, ack; nothing sticks on the way."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from contracts.bodies import Body
from contracts.broker import BrokerLink, Delivery
from contracts.errors import LinkDownError
from contracts.tracing import Span
from workers import metrics
from workers.commands.admitting import content_type_of

_log = structlog.get_logger().bind(service="commands")


@dataclass(slots=True, eq=False)
class _Reply:
    """Token of an answer's publish."""

    delivery: Delivery
    done: Callable[[], None]
    span: Span | None


class Replies:
    """Answers on their way. A delivery is acked once the broker has its answer, or never will."""

    def __init__(self, link: BrokerLink) -> None:
        self._link = link
        self._open: set[_Reply] = set()

    def __len__(self) -> int:
        return len(self._open)

    def tell(
        self,
        delivery: Delivery,
        body: Body,
        command_id: str,
        done: Callable[[], None] = lambda: None,
        span: Span | None = None,
    ) -> None:
        """Answer and ack a delivery; `done` is called when the broker is known to have the answer, or never will.

        `span` is the command's, when its trace is recorded: the answer carries it.
        """
        if not delivery.reply_to:
            self._untold("no_address", delivery, done)
            return
        content_type = content_type_of(delivery)
        publishing = None if span is None else span.publishing("outcome")
        reply = _Reply(delivery, done, publishing)
        try:
            self._link.publish(
                "",
                delivery.reply_to,
                body.encode(content_type),
                token=reply,
                persistent=True,
                correlation_id=delivery.correlation_id,
                type=body.KIND,
                message_id=command_id,
                content_type=content_type,
                headers=None if publishing is None else publishing.headers,
            )
        except LinkDownError:
            return  # the delivery comes again
        except (ValueError, TypeError) as error:  # texts that are too long for AMQP, or no text
            _log.warning("command.outcome_unsendable", command_id=command_id, reason=type(error).__name__)
            self._untold("unsendable", delivery, done)
            return
        self._open.add(reply)

    def confirmed(self, token: object) -> None:
        """The broker has the answer."""
        if isinstance(token, _Reply):
            self._finish(token)

    def refused(self, token: object) -> None:
        """The queue of answers is full: its owner does not read, and a command must not wait for that."""
        if isinstance(token, _Reply):
            metrics.command_untold.labels("refused").inc()
            self._finish(token)

    def link_down(self) -> None:
        """What was not confirmed is told again when its delivery comes again."""
        self._open.clear()

    def _finish(self, reply: _Reply) -> None:
        self._open.discard(reply)
        if reply.span is not None:
            reply.span.end()
        self._link.ack(reply.delivery)
        reply.done()

    def _untold(self, why: str, delivery: Delivery, done: Callable[[], None]) -> None:
        metrics.command_untold.labels(why).inc()
        self._link.ack(delivery)
        done()
