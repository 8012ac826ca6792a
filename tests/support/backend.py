"""A backend service as a stranger would write it: aio-pika, the documented exchange, queue and envelope."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
import orjson
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from contracts import topology
from contracts.actions import Service
from contracts.envelope import JobReceipt, JobRequest

RECEIPT_WITHIN_S = 15


class Backend:
    """Asks services for jobs and awaits their receipts."""

    def __init__(self, channel: AbstractChannel, replies: AbstractQueue) -> None:
        self._channel = channel
        self._replies = replies
        self._waiting: dict[str, asyncio.Future[JobReceipt]] = {}

    async def request_job(
        self, service: Service, identity: str, action: str, payload: dict[str, Any], *, job_id: str | None = None
    ) -> tuple[str, JobReceipt]:
        """The job's id and the receipt."""
        job_id = job_id or uuid.uuid4().hex
        correlation_id = uuid.uuid4().hex
        deadline_ms = int((time.time() + 3600) * 1000)
        request = JobRequest(job_id, identity, action, orjson.dumps(payload), deadline_ms)
        message = aio_pika.Message(
            request.encode(),
            content_type="application/msgpack",
            correlation_id=correlation_id,
            reply_to=self._replies.name,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        self._waiting[correlation_id] = asyncio.get_running_loop().create_future()
        exchange = await self._channel.get_exchange(topology.SERVICES)
        await exchange.publish(message, topology.jobs_queue(service))
        async with asyncio.timeout(RECEIPT_WITHIN_S):
            return job_id, await self._waiting[correlation_id]

    async def take(self, message: AbstractIncomingMessage) -> None:
        """A receipt came."""
        waiting = self._waiting.pop(message.correlation_id or "", None)
        if waiting is not None and not waiting.done():
            waiting.set_result(JobReceipt.decode(message.body))

    async def dead_letters(self) -> int:
        """Deliveries that no worker could digest."""
        queue = await self._channel.declare_queue(topology.DEAD_LETTERS, passive=True)
        return queue.declaration_result.message_count or 0


@asynccontextmanager
async def backend_on(amqp_url: str) -> AsyncIterator[Backend]:
    """A connected backend."""
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        replies = await channel.declare_queue(exclusive=True)
        backend = Backend(channel, replies)
        await replies.consume(backend.take, no_ack=True)
        yield backend
