"""A tiny worker on aio-pika: takes Calls from the real queues and answers as the test says."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

import aio_pika
from aio_pika.abc import AbstractIncomingMessage, AbstractRobustConnection

from contracts import topology
from contracts.broker.declare import declare
from contracts.envelope import AdmissionChanged, AdmissionQuery, AdmissionVerdict, CallEnvelope, ReplyEnvelope
from contracts.topology import TOPOLOGY

Answer = Callable[[CallEnvelope], ReplyEnvelope | Awaitable[ReplyEnvelope | None] | None]


class TinyWorker:
    """Serves all four relay services. An answer of None leaves the delivery unacked and unanswered."""

    def __init__(self, url: str, *, prefetch: int = 500) -> None:
        self._url = url
        self._prefetch = prefetch
        self._connection: AbstractRobustConnection | None = None
        self.answer: Answer = lambda _: ReplyEnvelope(payload=b"{}")
        self.seen: list[CallEnvelope] = []
        self.records: dict[str, AdmissionVerdict] = {}
        """What is answered to admission queries; all others are unknown."""
        self.asked: list[str] = []
        self.silent = False
        """Whether admission queries are left unanswered."""
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        await declare(self._url, TOPOLOGY)
        self._connection = await aio_pika.connect_robust(self._url, reconnect_interval=0.3)
        self._channel = channel = await self._connection.channel(publisher_confirms=False)
        await channel.set_qos(prefetch_count=self._prefetch)
        for service in topology.RELAY_SERVICES:
            queue = await channel.get_queue(topology.calls_queue(service), ensure=False)
            await queue.consume(self._consume)
        admission = await channel.get_queue(topology.admission_queue(), ensure=False)
        await admission.consume(self._admit)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def until(self, condition: Callable[[], object], seconds: float = 20) -> None:
        """Wait for a condition on `seen`."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def change(self, identity: str | None = None) -> None:
        """Tell all gateways that what is on record has changed."""
        exchange = await self._channel.get_exchange(topology.ADMISSION_CHANGED, ensure=False)
        await exchange.publish(aio_pika.Message(AdmissionChanged(identity).encode()), "")

    async def _admit(self, message: AbstractIncomingMessage) -> None:
        await message.ack()
        if not message.reply_to:
            return
        identity = AdmissionQuery.decode(message.body).identity
        self.asked.append(identity)
        self._changed.set()
        if self.silent:
            return
        verdict = self.records.get(identity, AdmissionVerdict(identity, known=False))
        await self._channel.default_exchange.publish(
            aio_pika.Message(verdict.encode(), correlation_id=message.correlation_id), message.reply_to
        )

    async def _consume(self, message: AbstractIncomingMessage) -> None:
        call = CallEnvelope.decode(message.body)
        self.seen.append(call)
        self._changed.set()
        reply = self.answer(call)
        if inspect.isawaitable(reply):
            reply = await reply
        if reply is None:
            return
        if message.reply_to:
            await self._channel.default_exchange.publish(
                aio_pika.Message(reply.encode(), correlation_id=message.correlation_id), message.reply_to
            )
        await message.ack()
