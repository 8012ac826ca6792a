"""Domain events from a queue of one's own."""

from collections.abc import Collection
from typing import Any, Self

from contracts import topology
from contracts.bodies import ContentType
from contracts.client.intake import Intake
from contracts.errors import BodyError
from contracts.events import Event, binding_key
from contracts.topology import Binding, Queue, Topology

PREFETCH = 100
MOST_KEPT = 100_000
"""Events that a temporary queue keeps for a slow reader; beyond it the oldest are gone, as `seq` shows."""


class EventStream(Intake):
    """Iterates over events, each at least once; an event is acked when the next one is asked for.

    It goes on by itself after a broken connection, and ends when it or its client is closed. A durable queue stays
    when nobody listens: whoever needs it no more deletes it. Bindings only grow, so events that such a queue holds
    for another choice of types or charge points are passed over.
    """

    def __init__(
        self,
        url: str,
        queue: str,
        *,
        types: Collection[str],
        identities: Collection[str],
        temporary: bool,
        prefetch: int,
        **link: Any,
    ) -> None:
        keys = [binding_key(kind, identity) for kind in (types or (None,)) for identity in (identities or (None,))]
        arguments: dict[str, Any] = (
            {"x-max-length": MOST_KEPT}
            if temporary
            else {
                "x-queue-type": "quorum",
                "x-delivery-limit": topology.NO_DELIVERY_LIMIT,
                "x-consumer-timeout": topology.CONSUMER_TIMEOUT_MS,
            }
        )
        wanted = Topology(
            exchanges=(),
            queues=(Queue(queue, arguments, exclusive=temporary),),
            bindings=tuple(Binding(topology.EVENTS, queue, key) for key in keys),
            policies=(),
        )
        super().__init__(url, queue, prefetch=prefetch, topology=wanted, **link)
        self._types, self._identities = frozenset(types), frozenset(identities)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while True:
            delivery = await self.take()
            if delivery is None:
                raise StopAsyncIteration
            try:
                event = Event.decode(delivery.body, ContentType.of(delivery.content_type))
            except BodyError as error:
                self.skip(str(error))
                continue
            if (not self._types or event.type in self._types) and (
                not self._identities or event.identity in self._identities
            ):
                return event
