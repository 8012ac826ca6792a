"""Where the parts of the commands service meet: what tracked commands offer, and what they may use."""

from collections.abc import Mapping
from typing import Any, Protocol

from contracts.commands import CommandOutcome, CommandReceipt, CommandRequest
from contracts.envelope import OutcomeEnvelope
from workers.commands.directory import Place
from workers.commands.reserved import ReservedSettings
from workers.runtime.context import ServiceContext

WAKE = "wake"
"""AMQP type of a message on `ocpp.commands` that only makes the shard's consumer look at what is held."""


class Dispatches(Protocol):
    """The way to charge points, in order with everybody else's commands."""

    def place(self, identity: str) -> Place | None:
        """Where a charge point is connected, as far as is known; see `complete`."""

    @property
    def complete(self) -> bool:
        """Whether a charge point without a place certainly is offline."""

    async def dispatch(
        self,
        identity: str,
        command_id: str,
        action: str,
        payload: Mapping[str, Any],
        deadline_ms: int,
        *,
        session: str | None = None,
        again: bool = False,
    ) -> OutcomeEnvelope:
        """Dispatch now, before this call first yields, and await the one outcome.

        Each call has its own; while the link is up there is one 3 seconds after the deadline at the latest. `session`
        pins it; `again` when it may have been dispatched before by a process that died. Its gateway is the one it was
        dispatched to last, empty when it was dispatched nowhere. Raises LinkDownError when the link is down or goes
        down: nobody knows then, and whoever gets the shard next asks again with the same id.
        """


class Tracking(Protocol):
    """Tracked commands. All calls for one charge point come one after the other, in the order of the deliveries.

    What raises StoreUnavailableError is called again, later and later, as long as the connection lasts. Calls are
    cancelled when it ends: what was not answered is delivered again, here or to another replica.
    """

    async def shard_gained(self, queue: str) -> None:
        """First thing for a shard on a connection: load who has open commands. Its deliveries wait for it."""

    async def take(
        self, queue: str, identity: str, request: CommandRequest, now_ms: int
    ) -> CommandReceipt | CommandOutcome:
        """Store a command that came by this shard, or find it stored.

        What is returned is told to the backend, and only then is the delivery acked.
        """

    async def take_given_up(
        self, queue: str, identity: str, request: CommandRequest, now_ms: int
    ) -> CommandReceipt | CommandOutcome:
        """The same for a command that the broker gave up: it may be on record, and has an outcome of its own then.

        The charge point's shard may be another replica's: whoever has it is woken if there is something to do.
        """

    async def wake(self, queue: str, identity: str) -> None:
        """Look at what is held for this charge point."""

    async def on_record(self, identity: str, asked: ReservedSettings) -> bool:
        """Whether a direct command sets nothing but what gateways let this charge point in with."""

    def holds(self, identity: str) -> bool:
        """Whether a direct command of this charge point must wait for `ahead`."""

    async def ahead(self, identity: str) -> None:
        """Dispatch what came before a direct command that arrived now; it waits for this until its deadline."""

    def link_lost(self) -> None:
        """Our shards may be another replica's now: forget what is known of them."""

    async def run(self, context: ServiceContext, dispatches: Dispatches) -> None:
        """Work of its own, until cancelled; started before the link is up. Its tasks are its own to await."""
