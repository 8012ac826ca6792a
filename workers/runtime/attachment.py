"""What a service may hang on its broker link besides lanes: something that handles raw deliveries its own way."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from contracts.broker import BrokerLink, Consumer, Delivery, Returned
from contracts.process.monitor import Check
from workers.runtime.context import ServiceContext


class Attachment(Protocol):
    """Gets what concerns it from the link's listener: synchronous calls from the event loop, which must not raise.

    Deliveries of its own queues are its to ack. Whatever it publishes it may give a token of a class of its own;
    all tokens come to it, and it leaves those that it does not know alone.
    """

    def link_up(self) -> None: ...
    def link_down(self) -> None: ...

    def delivered(self, delivery: Delivery) -> None:
        """A delivery of one of the plan's consumers."""

    def private(self, delivery: Delivery) -> bool:
        """A delivery of the private queue; False when it is not this attachment's."""

    def returned(self, message: Returned) -> bool:
        """A mandatory publish that no queue took; False when it is not this attachment's."""

    def confirmed(self, token: object) -> None: ...
    def refused(self, token: object) -> None: ...

    def checks(self) -> Mapping[str, Check]:
        """Readiness checks by name."""

    async def run(self, context: ServiceContext) -> None:
        """Its work beside the deliveries, until cancelled; started before the link is up."""

    async def drain(self) -> None:
        """Return once nothing is in hand any more; no new deliveries come by then."""


@dataclass(frozen=True, slots=True)
class AttachmentPlan:
    """What an attachment needs of the link before there is one, and how to make it."""

    make: Callable[[BrokerLink], Attachment]
    consumers: Sequence[Consumer] = ()
    bindings: Sequence[tuple[str, str]] = ()
    """Of the private queue: exchange and key."""
