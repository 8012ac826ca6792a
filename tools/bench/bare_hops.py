"""The way of a command through the broker with nothing but hand-overs at each stop: what no code of ours can undercut.

caller → quorum queue (as a shard) → dispatcher → exclusive queue (as a gateway's) → exclusive queue (as the service's)
→ exclusive queue (as the caller's), the shard's delivery acked at the end.
"""

import asyncio
from collections.abc import Callable
from time import perf_counter

from contracts.broker import BrokerLink, Consumer, Delivery, PrivateQueue, Returned
from contracts.topology import Queue, Topology

SHARD = "bench.shard"
_SHARDED = Topology(
    exchanges=(),
    queues=(Queue(SHARD, {"x-queue-type": "quorum", "x-single-active-consumer": True}),),
    bindings=(),
    policies=(),
)


class Stop:
    """A link that hands each delivery to a function."""

    def __init__(self, amqp_url: str, name: str, *, shard: bool = False) -> None:
        self.up = asyncio.Event()
        self.take: Callable[[Delivery], None] = lambda _: None
        self.link = BrokerLink(
            amqp_url,
            self,
            name=name,
            consumers=(Consumer(SHARD, prefetch=100),) if shard else (),
            private_queue=PrivateQueue(f"bench.{name}"),
            topology=_SHARDED,
        )

    def link_up(self) -> None:
        self.up.set()

    def link_down(self) -> None:
        self.up.clear()

    def delivered(self, delivery: Delivery) -> None:
        self.take(delivery)

    def returned(self, message: Returned) -> None:
        raise AssertionError(message.routing_key)

    def confirmed(self, token: object) -> None:
        """Nobody waits for it."""

    def refused(self, token: object) -> None:
        """Nobody waits for it."""

    def flow_changed(self) -> None:
        """One command at a time."""


async def bare_hops(amqp_url: str, body: bytes, count: int) -> list[float]:
    """Seconds of each of so many round trips, one after the other."""
    caller, service, gateway = (
        Stop(amqp_url, "caller"),
        Stop(amqp_url, "service", shard=True),
        Stop(amqp_url, "gateway"),
    )
    running = [asyncio.create_task(stop.link.run()) for stop in (caller, service, gateway)]
    try:
        for stop in (caller, service, gateway):
            await asyncio.wait_for(stop.up.wait(), 30)
        back = asyncio.Event()
        held: list[Delivery] = []

        def serve(delivery: Delivery) -> None:
            if delivery.queue == SHARD:
                held.append(delivery)
                service.link.publish("", gateway.link.reply_queue, delivery.body)
            else:
                service.link.publish("", caller.link.reply_queue, delivery.body)
                service.link.ack(held.pop())

        service.take = serve
        gateway.take = lambda delivery: gateway.link.publish("", service.link.reply_queue, delivery.body)
        caller.take = lambda _: back.set()
        seconds = []
        for _ in range(count):
            back.clear()
            began = perf_counter()
            caller.link.publish("", SHARD, body, persistent=True)
            await asyncio.wait_for(back.wait(), 10)
            seconds.append(perf_counter() - began)
        return seconds
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
