"""A backend that wants to know what became of each of its commands, through broker restarts and all."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from contracts import topology
from contracts.bodies import ContentType
from contracts.broker import BrokerLink, Consumer, Delivery, Returned
from contracts.commands import CommandOutcome, CommandReceipt, CommandRequest
from contracts.errors import LinkDownError
from contracts.events import CommandCompleted, Event, binding_key
from contracts.topology import Binding, Queue, Topology

OUTCOMES, EVENTS = "chaos.outcomes", "chaos.events"
_QUORUM = {"x-queue-type": "quorum"}
OWN_QUEUES = Topology(
    exchanges=(),
    queues=(Queue(OUTCOMES, _QUORUM), Queue(EVENTS, _QUORUM)),
    bindings=(Binding(topology.EVENTS, EVENTS, binding_key(CommandCompleted.TYPE)),),
    policies=(),
)
"""Durable: what is told while the broker or we are away waits for us."""


@dataclass(slots=True)
class Told:
    """What the backend was told about one command."""

    identity: str
    request: CommandRequest
    outcomes: list[CommandOutcome] = field(default_factory=list)
    receipts: int = 0
    completed: dict[str, CommandOutcome] = field(default_factory=dict)
    """By event id."""
    seen: asyncio.Event = field(default_factory=asyncio.Event)
    """Set at the first word that ends it."""

    @property
    def ending(self) -> CommandOutcome | None:
        """The outcome that counts: the first."""
        if self.outcomes:
            return self.outcomes[0]
        return next(iter(self.completed.values()), None)


class StubbornBackend:
    """Publishes each command until the broker has confirmed it; takes outcomes and events from durable queues."""

    def __init__(self, amqp_url: str) -> None:
        self.commands: dict[str, Told] = {}
        self.published_again = 0
        self.repeated: Counter[str] = Counter()
        self.strays = 0
        self.up = asyncio.Event()
        self._unconfirmed: dict[str, Told] = {}
        self._link = BrokerLink(
            amqp_url,
            self,
            name="chaos backend",
            consumers=(Consumer(OUTCOMES, prefetch=100), Consumer(EVENTS, prefetch=100)),
            topology=OWN_QUEUES,
        )

    async def run(self) -> None:
        """Stay connected until cancelled."""
        await self._link.run()

    def send(self, identity: str, request: CommandRequest) -> Told:
        """Publish a command, now and again until it is confirmed."""
        told = Told(identity, request)
        self.commands[request.command_id] = self._unconfirmed[request.command_id] = told
        self._publish(told)
        return told

    def _publish(self, told: Told) -> None:
        request = told.request
        try:
            self._link.publish(
                topology.COMMANDS,
                topology.command_key(told.identity),
                request.encode(ContentType.MSGPACK),
                token=request.command_id,
                mandatory=True,
                persistent=True,
                correlation_id=request.command_id,
                reply_to=OUTCOMES,
                content_type=ContentType.MSGPACK,
            )
        except LinkDownError:
            return  # link_up publishes it

    # the link's listener

    def link_up(self) -> None:
        for told in self._unconfirmed.values():
            self.published_again += 1
            self._publish(told)
        self.up.set()

    def link_down(self) -> None:
        self.up.clear()

    def delivered(self, delivery: Delivery) -> None:
        content_type = ContentType.of(delivery.content_type)
        if delivery.queue == EVENTS:
            self._completed(Event.decode(delivery.body, content_type))
        elif delivery.type == CommandReceipt.KIND:
            self._of(delivery).receipts += 1
        else:
            told = self._of(delivery)
            told.outcomes.append(CommandOutcome.decode(delivery.body, content_type))
            if len(told.outcomes) > 1:
                self.repeated[f"{told.outcomes[0].outcome} then {told.outcomes[-1].outcome}"] += 1
            told.seen.set()
        self._link.ack(delivery)

    def _of(self, delivery: Delivery) -> Told:
        return self.commands[delivery.correlation_id]

    def _completed(self, event: Event) -> None:
        data = event.typed()
        assert isinstance(data, CommandCompleted)
        told = self.commands.get(data.outcome.command_id)
        if told is None:
            self.strays += 1
            return
        told.completed[event.event_id] = data.outcome
        told.seen.set()

    def returned(self, message: Returned) -> None:
        raise AssertionError(f"no queue for {message.routing_key}")

    def confirmed(self, token: object) -> None:
        self._unconfirmed.pop(str(token), None)

    def refused(self, token: object) -> None:
        told = self._unconfirmed.get(str(token))
        if told is not None:
            self._publish(told)

    def flow_changed(self) -> None:
        """Bounded by the test's own concurrency."""
