"""A stand-in for the commands service where only the backend's side of the contract is under test.

Direct commands are answered at once with an empty result. A tracked one gets its receipt, and ends when the test says.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from contracts import topology
from contracts.bodies import Body
from contracts.broker.declare import declare
from contracts.commands import CommandOutcome, CommandReceipt, CommandRequest, TrackedState
from contracts.envelope import OutcomeKind
from contracts.events import CommandCompleted, Event, EventData, event_key


class ScriptedCommands:
    """Takes requests off the shards; publishes what the service would."""

    def __init__(self, channel: AbstractChannel) -> None:
        self._channel = channel
        self._seqs: dict[str, int] = {}
        self._outcomes: dict[str, CommandOutcome] = {}
        self.requests: list[CommandRequest] = []
        self.arrived = asyncio.Event()

    async def take(self, message: AbstractIncomingMessage) -> None:
        """Answer one request."""
        request = CommandRequest.decode(message.body)
        identity = message.routing_key or ""
        if request.tracked:
            ended = self._outcomes.get(request.command_id)
            state = TrackedState.HELD if ended is None else TrackedState.ENDED
            answer: Body = CommandReceipt(command_id=request.command_id, identity=identity, state=state, outcome=ended)
        else:
            answer = self._result(request, identity)
        await self._channel.default_exchange.publish(
            aio_pika.Message(
                answer.encode(),
                content_type="application/json",
                type=answer.KIND,
                message_id=request.command_id,
                correlation_id=message.correlation_id,
            ),
            message.reply_to or "",
        )
        await message.ack()
        self.requests.append(request)
        self.arrived.set()

    async def end(self, request: CommandRequest, identity: str) -> None:
        """A tracked command got its result."""
        outcome = self._outcomes[request.command_id] = self._result(request, identity)
        await self.tell(identity, CommandCompleted(outcome=outcome))

    async def tell(self, identity: str, data: EventData, *, event_id: str | None = None) -> Event:
        """Publish an event; one with an event id that was told before has the number it had then."""
        seq = self._seqs[identity] = self._seqs.get(identity, 0) + 1
        now = datetime.now(UTC)
        event = Event(
            event_id=event_id or f"{identity}-{seq}",
            type=data.TYPE,
            identity=identity,
            seq=seq,
            occurred_at=now,
            recorded_at=now,
            data=data.model_dump(mode="json"),
        )
        await self.publish(event)
        return event

    async def publish(self, event: Event) -> None:
        """Publish an event as it is, as a relay does that does not know whether it did."""
        exchange = await self._channel.get_exchange(topology.EVENTS)
        message = aio_pika.Message(event.encode(), content_type="application/json", type=event.KIND, delivery_mode=2)
        await exchange.publish(message, event_key(event.type, event.identity))

    def _result(self, request: CommandRequest, identity: str) -> CommandOutcome:
        now = int(time.time() * 1000)
        return CommandOutcome(
            command_id=request.command_id,
            identity=identity,
            action=request.action,
            outcome=OutcomeKind.RESULT,
            payload={"status": "Accepted"},
            tracked=request.tracked,
            attempts=1,
            answered_ms=now,
        )


@asynccontextmanager
async def scripted_commands_on(amqp_url: str) -> AsyncIterator[ScriptedCommands]:
    """The topology is declared and the shards are consumed."""
    await declare(amqp_url, topology.TOPOLOGY)
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        service = ScriptedCommands(channel)
        for name in topology.COMMAND_QUEUES:
            queue = await channel.get_queue(name)
            await queue.consume(service.take)
        yield service
