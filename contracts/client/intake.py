"""Deliveries from one queue, one at a time: each is acked when the next one is asked for."""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any

import structlog

from contracts.broker import Consumer, Delivery
from contracts.client.linked import Linked


class Intake(Linked):
    """Takes from a queue; `prefetch` bounds what waits here."""

    def __init__(
        self, url: str, queue: str, *, name: str, prefetch: int, arguments: Mapping[str, Any] | None = None, **link: Any
    ) -> None:
        consumer = Consumer(queue, prefetch=prefetch, arguments={} if arguments is None else arguments)
        super().__init__(url, name=name, consumers=[consumer], **link)
        self.log = structlog.get_logger().bind(queue=queue)
        self._arrived: deque[Delivery] = deque()
        self._given: Delivery | None = None
        self._news = asyncio.Event()
        self.skipped = 0
        """Deliveries that could not be read."""

    async def take(self) -> Delivery | None:
        """Ack what was taken last and return the next delivery, or None once closed.

        Raises LinkDownError when the first connection fails, and when no further one can succeed.
        """
        self.release()
        if self._running is None and not self.closed:
            await self.start()
        while not self._arrived and not self.closed:
            self.check()
            self._news.clear()
            await self._news.wait()
        if self.closed:
            return None
        self._given = self._arrived.popleft()
        return self._given

    def release(self) -> None:
        """Ack what was taken last."""
        given, self._given = self._given, None
        if given is not None:
            self.link.ack(given)

    async def finish(self) -> None:
        """Ack what was taken last, and end."""
        self.release()
        await self.link.settled()
        await self.close()

    def skip(self, reason: str) -> None:
        """Note that what was taken last cannot be read; it is acked like all."""
        self.skipped += 1
        self.log.warning("client.unreadable", reason=reason, skipped=self.skipped)

    async def close(self) -> None:
        """End it; what was taken last and not acked comes again to the next one who takes from the queue."""
        await super().close()
        self._news.set()

    def gave_up(self) -> None:
        self._news.set()

    def link_down(self) -> None:
        super().link_down()
        self._arrived.clear()  # the broker delivers them again

    def delivered(self, delivery: Delivery) -> None:
        self._arrived.append(delivery)
        self._news.set()
