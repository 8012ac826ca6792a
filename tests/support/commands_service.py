"""A commands service by script: answers requests as the contract says, over the real broker."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from contracts import topology
from contracts.bodies import Body, ContentType
from contracts.broker.declare import declare
from contracts.commands import CommandOutcome, CommandReceipt, CommandRequest, TrackedState
from contracts.envelope import OutcomeKind
from contracts.operator import OperatorAnswer, OperatorRequest
from contracts.topology import FRAME_LOG_TOPOLOGY, TOPOLOGY

Script = Callable[[str, CommandRequest], list[Body]]
"""What is answered to a command for an identity, in this order."""

Answers = Callable[[OperatorRequest], OperatorAnswer]


def outcome(identity: str, request: CommandRequest, kind: OutcomeKind = OutcomeKind.RESULT, **more: Any) -> Body:
    content = {"payload": {"status": "Accepted"}} if kind is OutcomeKind.RESULT else {}
    return CommandOutcome(
        command_id=request.command_id, identity=identity, action=request.action, outcome=kind, **{**content, **more}
    )


def receipt(identity: str, request: CommandRequest) -> Body:
    return CommandReceipt(command_id=request.command_id, identity=identity, state=TrackedState.HELD)


def as_told(identity: str, request: CommandRequest) -> list[Body]:
    """A receipt of a tracked command; else the charge point accepts."""
    return [receipt(identity, request) if request.tracked else outcome(identity, request)]


def nothing_on_record(_: OperatorRequest) -> OperatorAnswer:
    return OperatorAnswer(ok=False, error="not_found", description="there is no such thing")


@dataclass
class ScriptedService:
    """What it was asked, and by whom; the scripts may be changed while it runs."""

    script: Script = as_told
    answers: Answers = nothing_on_record
    commands: list[tuple[str, CommandRequest]] = field(default_factory=list)
    requests: list[OperatorRequest] = field(default_factory=list)
    messages: list[AbstractIncomingMessage] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _exchange: Any = None

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def answer(self, message: AbstractIncomingMessage, body: Body) -> None:
        content_type = ContentType.of(message.content_type or "")
        reply = aio_pika.Message(
            body.encode(content_type), content_type=content_type, correlation_id=message.correlation_id, type=body.KIND
        )
        await self._exchange.publish(reply, message.reply_to or "", mandatory=False)

    async def _command(self, message: AbstractIncomingMessage) -> None:
        request = CommandRequest.decode(message.body, ContentType.of(message.content_type or ""))
        identity = message.routing_key or ""
        self.commands.append((identity, request))
        self.messages.append(message)
        self._changed.set()
        for body in self.script(identity, request):
            await self.answer(message, body)
        await message.ack()

    async def _request(self, message: AbstractIncomingMessage) -> None:
        request = OperatorRequest.decode(message.body, ContentType.of(message.content_type or ""))
        self.requests.append(request)
        self._changed.set()
        await self.answer(message, self.answers(request))
        await message.ack()


@asynccontextmanager
async def scripted_service(amqp_url: str) -> AsyncIterator[ScriptedService]:
    """One that consumes the shards of commands and the operator's queue of this broker."""
    await declare(amqp_url, TOPOLOGY)
    await declare(amqp_url, FRAME_LOG_TOPOLOGY)
    service = ScriptedService()
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        service._exchange = channel.default_exchange
        for name in topology.COMMAND_QUEUES:
            await (await channel.get_queue(name)).consume(service._command)
        await (await channel.get_queue(topology.OPERATOR)).consume(service._request)
        yield service
