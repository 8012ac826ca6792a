"""Commands of the workers' own: they go the way of a backend's, through the commands service."""

import asyncio
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from contracts import topology
from contracts.actions import label
from contracts.bodies import ContentType
from contracts.broker import BrokerLink, Delivery, Returned
from contracts.commands import CommandOutcome, CommandRequest, Reason
from contracts.envelope import OutcomeEnvelope, OutcomeKind
from contracts.errors import BodyError, LinkDownError
from contracts.tracing import Kind
from contracts.tracing import current as current_span
from contracts.tracing.attributes import of_command
from workers import metrics

OUTCOME_LAG_S = 5.0
"""The commands service answers 3 seconds after the deadline at the latest; a little more for the way."""

BROKER_UNAVAILABLE, NOT_TAKEN = "broker_unavailable", "not_taken"
"""offline: the command has not even reached the commands service."""

ASK_AGAIN = frozenset({Reason.NO_OUTCOME, Reason.GATEWAY_LOST, Reason.REDELIVERED, Reason.UNDELIVERABLE})
"""unknown, and no gateway's own word: who asks again with the same id may learn more."""


class Commander:
    """Sends commands and awaits their outcomes; at most `outstanding` at a time, further ones wait their turn."""

    def __init__(self, link: BrokerLink, *, outstanding: int) -> None:
        self._link = link
        self._room = asyncio.Semaphore(outstanding)
        self._waiting: dict[str, asyncio.Future[OutcomeEnvelope]] = {}

    async def send(
        self,
        identity: str,
        action: str,
        payload: dict[str, Any],
        deadline: datetime,
        *,
        command_id: str | None = None,
        session: str | None = None,
    ) -> OutcomeEnvelope:
        """Exactly one outcome, soon after the deadline (UTC) at latest; never raises for what the charge point does.

        `command_id` also is the OCPP unique id (36 characters at most); it is never sent twice on one session.
        With `session` set, only that session may receive it. The outcome names a gateway only when it is that gateway's
        word about this command: `timeout` and `unknown` without one mean that asking again may bring more.
        """
        command_id = command_id or str(uuid.uuid4())
        async with self._room:
            remaining_s = (deadline - datetime.now(UTC)) / timedelta(seconds=1)
            if remaining_s <= 0:
                outcome = _ended(command_id, identity, OutcomeKind.EXPIRED, Reason.DEADLINE)
            else:
                request = CommandRequest(
                    command_id=command_id,
                    action=action,
                    payload=payload,
                    deadline_ms=int(deadline.timestamp() * 1000),
                    session=session,
                )
                outcome = await self._traced(identity, request, remaining_s + OUTCOME_LAG_S)
        metrics.commands.labels(action, outcome.kind.value).inc()
        return outcome

    async def _traced(self, identity: str, request: CommandRequest, patience_s: float) -> OutcomeEnvelope:
        """Send it; within the trace of the Call that it follows from, if that is recorded."""
        call = current_span.span.get()
        if call is None:
            return await self._send(identity, request, patience_s)
        attributes = of_command(identity, request.command_id, request.action)
        span = call.child(f"send {label(request.action)}", Kind.PRODUCER, attributes)
        outcome = await self._send(identity, request, patience_s, span.headers)
        span.attributes["ocpp.outcome"] = outcome.kind.value
        span.end()
        return outcome

    async def _send(
        self, identity: str, request: CommandRequest, patience_s: float, headers: Mapping[str, str] | None = None
    ) -> OutcomeEnvelope:
        command_id = request.command_id
        answer: asyncio.Future[OutcomeEnvelope] = asyncio.get_running_loop().create_future()
        self._waiting[command_id] = answer
        try:
            self._link.publish(
                topology.COMMANDS,
                topology.command_key(identity),
                request.encode(ContentType.MSGPACK),
                token=_Sent(command_id),
                mandatory=True,
                persistent=True,
                correlation_id=command_id,
                reply_to=self._link.reply_queue,
                type=CommandRequest.KIND,
                message_id=command_id,
                content_type=ContentType.MSGPACK,
                headers=headers,
            )
            return await asyncio.wait_for(answer, patience_s)
        except LinkDownError:
            return _ended(command_id, identity, OutcomeKind.OFFLINE, BROKER_UNAVAILABLE)
        except TimeoutError:
            return _ended(command_id, identity, OutcomeKind.TIMEOUT, Reason.DEADLINE)
        finally:
            del self._waiting[command_id]

    def answered(self, delivery: Delivery) -> None:
        """Take a delivery of the private reply queue; what nobody waits for any more is dropped."""
        waiting = self._waiting.get(delivery.correlation_id)
        if waiting is None or waiting.done():
            return
        try:
            outcome = CommandOutcome.decode(delivery.body, ContentType.of(delivery.content_type))
            waiting.set_result(_as_envelope(outcome))
        except BodyError as error:
            ended = _ended(delivery.correlation_id, "", OutcomeKind.UNKNOWN, "bad_outcome", str(error))
            waiting.set_result(ended)

    def returned(self, message: Returned) -> None:
        """No queue took the command: the topology is not complete."""
        self._end(message.correlation_id, OutcomeKind.OFFLINE, NOT_TAKEN)

    def refused(self, token: object) -> None:
        """The queue of commands is full."""
        if isinstance(token, _Sent):
            self._end(token.command_id, OutcomeKind.OFFLINE, NOT_TAKEN)

    def link_lost(self) -> None:
        """The private queue is gone with its connection: what was under way may or may not have reached its goal."""
        for command_id in list(self._waiting):
            self._end(command_id, OutcomeKind.UNKNOWN, "broker_lost")

    def _end(self, command_id: str, kind: OutcomeKind, reason: str) -> None:
        waiting = self._waiting.get(command_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(_ended(command_id, "", kind, reason))


class _Sent:
    """Token of a command's publish."""

    __slots__ = ("command_id",)

    def __init__(self, command_id: str) -> None:
        self.command_id = command_id


def _as_envelope(outcome: CommandOutcome) -> OutcomeEnvelope:
    again = outcome.outcome is OutcomeKind.UNKNOWN and outcome.reason in ASK_AGAIN
    return OutcomeEnvelope(
        command_id=outcome.command_id,
        identity=outcome.identity,
        kind=outcome.outcome,
        gateway="" if again else outcome.gateway or "",
        session=outcome.session,
        payload=orjson.dumps(outcome.payload or {}),
        error_code=outcome.error_code if outcome.outcome is OutcomeKind.CALL_ERROR else outcome.reason,
        description=outcome.description,
        sent_ms=outcome.sent_ms,
        answered_ms=outcome.answered_ms,
        details=orjson.dumps(outcome.error_details or {}),
    )


def _ended(command_id: str, identity: str, kind: OutcomeKind, reason: str, description: str = "") -> OutcomeEnvelope:
    return OutcomeEnvelope(command_id, identity, kind, "", error_code=reason, description=description)
