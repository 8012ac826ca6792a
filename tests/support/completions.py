"""A backend that listens to `command.completed`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from contracts import topology
from contracts.broker import BrokerLink, Delivery, PrivateQueue, Returned
from contracts.commands import CommandOutcome
from contracts.events import CommandCompleted, Event, binding_key
from tests.support.calling import until


class Completions:
    """A backend's queue of `command.completed`: outcomes by command id, each event once. It is its link's listener."""

    def __init__(self, url: str) -> None:
        self.outcomes: dict[str, list[CommandOutcome]] = {}
        self._seen: set[str] = set()
        key = binding_key(CommandCompleted.TYPE)
        self.link = BrokerLink(
            url, self, name="test events", private_queue=PrivateQueue("test.events", ((topology.EVENTS, key),))
        )

    async def of(self, command_id: str, *, timeout_s: float = 30) -> CommandOutcome:
        """The outcome of that command, once there is one."""
        await until(lambda: command_id in self.outcomes, timeout_s=timeout_s)
        (outcome,) = self.outcomes[command_id]
        return outcome

    def link_up(self) -> None: ...
    def link_down(self) -> None: ...
    def confirmed(self, token: object) -> None: ...
    def refused(self, token: object) -> None: ...
    def flow_changed(self) -> None: ...
    def returned(self, message: Returned) -> None: ...

    def delivered(self, delivery: Delivery) -> None:
        event = Event.decode(delivery.body)
        if event.event_id in self._seen:
            return
        self._seen.add(event.event_id)
        data = event.typed()
        assert isinstance(data, CommandCompleted)
        self.outcomes.setdefault(data.outcome.command_id, []).append(data.outcome)


@asynccontextmanager
async def completions_on(url: str) -> AsyncIterator[Completions]:
    """A connected listener."""
    completions = Completions(url)
    running = asyncio.create_task(completions.link.run())
    try:
        await until(lambda: completions.link.up)
        yield completions
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
