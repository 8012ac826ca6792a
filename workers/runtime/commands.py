"""Commands of the workers' own, sent to the gateway that was last heard for a charge point."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from contracts import topology
from contracts.broker import BrokerLink, Delivery, Returned
from contracts.envelope import CommandEnvelope, OutcomeEnvelope, OutcomeKind
from contracts.errors import EnvelopeError, LinkDownError
from workers import metrics
from workers.errors import StoreUnavailableError
from workers.store import presence
from workers.store.engine import Store


class Commander:
    """Sends commands and awaits their outcomes; at most `outstanding` at a time, further ones wait their turn."""

    def __init__(self, link: BrokerLink, store: Store, *, outstanding: int) -> None:
        self._link = link
        self._store = store
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
        """Exactly one outcome, at the deadline (UTC) at the latest; never raises for what the charge point does.

        `command_id` also is the OCPP unique id (36 characters at most); it is never sent twice on one session.
        With `session` set, only that session may receive it.
        """
        command = CommandEnvelope(
            command_id=command_id or str(uuid.uuid4()),
            identity=identity,
            action=action,
            payload=orjson.dumps(payload),
            deadline_ms=int(deadline.timestamp() * 1000),
            session=session,
        )
        async with self._room:
            outcome = await self._send(command, (deadline - datetime.now(UTC)) / timedelta(seconds=1))
        metrics.commands.labels(action, outcome.kind.value).inc()
        return outcome

    async def _send(self, command: CommandEnvelope, remaining_s: float) -> OutcomeEnvelope:
        if remaining_s <= 0:
            return _ended(command, OutcomeKind.EXPIRED, "deadline")
        try:
            async with self._store.transaction(read_only=True) as transaction:
                place = await presence.find(transaction, command.identity)
        except StoreUnavailableError:
            return _ended(command, OutcomeKind.OFFLINE, "store_unavailable")
        if place is None:
            return _ended(command, OutcomeKind.OFFLINE, "never_seen")
        answer: asyncio.Future[OutcomeEnvelope] = asyncio.get_running_loop().create_future()
        self._waiting[command.command_id] = answer
        try:
            self._link.publish(
                topology.GATEWAYS,
                place.gateway,
                command.encode(),
                mandatory=True,
                correlation_id=command.command_id,
                reply_to=self._link.reply_queue,
                expiration_ms=max(1, int(remaining_s * 1000)),
            )
            return await asyncio.wait_for(answer, remaining_s)
        except LinkDownError:
            return _ended(command, OutcomeKind.OFFLINE, "broker_unavailable")
        except TimeoutError:
            return _ended(command, OutcomeKind.TIMEOUT, "deadline")
        finally:
            del self._waiting[command.command_id]

    def answered(self, delivery: Delivery) -> None:
        """Take a delivery of the private reply queue; what nobody waits for any more is dropped."""
        waiting = self._waiting.get(delivery.correlation_id)
        if waiting is None or waiting.done():
            return
        try:
            waiting.set_result(OutcomeEnvelope.decode(delivery.body))
        except EnvelopeError as error:
            command = CommandEnvelope(delivery.correlation_id, "", "", b"{}", 0)
            waiting.set_result(_ended(command, OutcomeKind.UNKNOWN, "bad_outcome", str(error)))

    def returned(self, message: Returned) -> None:
        """No queue took the command: its gateway is gone, and the session with it."""
        self._end(message.correlation_id, OutcomeKind.OFFLINE, "gateway_gone")

    def link_lost(self) -> None:
        """The private queue is gone with its connection: what was under way may or may not have reached its goal."""
        for command_id in list(self._waiting):
            self._end(command_id, OutcomeKind.UNKNOWN, "broker_lost")

    def _end(self, command_id: str, kind: OutcomeKind, reason: str) -> None:
        waiting = self._waiting.get(command_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(_ended(CommandEnvelope(command_id, "", "", b"{}", 0), kind, reason))


def _ended(command: CommandEnvelope, kind: OutcomeKind, reason: str, description: str = "") -> OutcomeEnvelope:
    return OutcomeEnvelope(
        command_id=command.command_id,
        identity=command.identity,
        kind=kind,
        gateway="",
        error_code=reason,
        description=description,
    )
