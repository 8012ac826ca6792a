"""Both ends of the broker's ceiling: one publishes Calls as a gateway does, one consumes and answers as a worker does.

Neither does anything with a body. `reply_every` says how often an answer goes back: 1 is the whole round trip of a
Call; a large number leaves the bare hop through the quorum queue, and keeps the queue short all the same.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from contracts.broker import BrokerLink, Consumer, Delivery, PrivateQueue, Returned
from contracts.topology import Queue, Topology
from loadtest.anchors.bodies import SESSION, relayed
from loadtest.anchors.child import Serving, Task

WINDOW = 1000
"""Calls under way. More only make them wait, fewer leave the broker idle at times."""
_UP_S = 30.0
_KEEP_MS = 60_000
"""The queue deletes itself so long after its consumer has gone."""


def topology(queue: str) -> Topology:
    """A quorum queue, and nothing else."""
    arguments = {"x-queue-type": "quorum", "x-expires": _KEEP_MS}
    return Topology(exchanges=(), queues=(Queue(queue, arguments),), bindings=(), policies=())


class _End:
    """What both have in common: a link, and counting."""

    link: BrokerLink

    def __init__(self) -> None:
        self.up = asyncio.Event()
        self.counted = 0

    def link_up(self) -> None:
        self.up.set()

    def link_down(self) -> None:
        """The measurement sees that nothing comes any more."""

    def returned(self, message: Returned) -> None:
        raise AssertionError(f"{message.routing_key} is not there")

    def delivered(self, delivery: Delivery) -> None:
        raise NotImplementedError

    def confirmed(self, token: object) -> None:
        """Nobody waits for it."""

    def refused(self, token: object) -> None:
        raise AssertionError(f"the broker refused {token or 'a publish'}")

    def flow_changed(self) -> None:
        """The window bounds what is written."""


class Sender(_End):
    """Keeps a window of Calls under way; counts those that are confirmed and answered."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self._queue = task.queue
        self._reply_every = task.reply_every
        self._relayed = relayed(task.action)
        self._published = 0
        self.link = BrokerLink(
            task.amqp_url, self, name="anchor sender", private_queue=PrivateQueue("anchors.replies"),
            topology=topology(task.queue), beside=True,
        )  # fmt: skip

    def link_up(self) -> None:
        super().link_up()
        self._published = self.counted  # nobody answers what an earlier connection sent
        self._fill()

    def delivered(self, delivery: Delivery) -> None:
        del delivery
        self.counted += self._reply_every
        self._fill()

    def confirmed(self, token: object) -> None:
        del token
        self._fill()

    def _fill(self) -> None:
        link, what, queue = self.link, self._relayed, self._queue
        while self._published - self.counted < WINDOW and link.unconfirmed < WINDOW:
            self._published += 1
            link.publish(
                "", queue, what.call, mandatory=True, persistent=what.persistent, expiration_ms=what.expiration_ms,
                correlation_id=f"{SESSION}:{self._published}", reply_to=link.reply_queue,
            )  # fmt: skip


class Answerer(_End):
    """Consumes, answers, and acknowledges all that came in one turn of the loop together."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self._reply_every = task.reply_every
        self._reply = relayed(task.action).reply
        self._last: Delivery | None = None
        self.link = BrokerLink(
            task.amqp_url, self, name="anchor answerer", consumers=(Consumer(task.queue, prefetch=WINDOW),),
            topology=topology(task.queue), beside=True,
        )  # fmt: skip

    def delivered(self, delivery: Delivery) -> None:
        self.counted += 1
        if self.counted % self._reply_every == 0:
            self.link.publish("", delivery.reply_to, self._reply, correlation_id=delivery.correlation_id)
        if self._last is None:
            asyncio.get_running_loop().call_soon(self._acknowledge)
        self._last = delivery

    def _acknowledge(self) -> None:
        if self._last is not None:
            self.link.ack(self._last, multiple=True)
            self._last = None


@asynccontextmanager
async def running(end: Sender | Answerer) -> AsyncIterator[Serving]:
    """Let it work for as long as the body lasts; TimeoutError when the broker does not let it in."""
    task = asyncio.create_task(end.link.run())
    try:
        await asyncio.wait_for(end.up.wait(), _UP_S)
        yield Serving(count=lambda: end.counted)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
