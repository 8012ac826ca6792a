"""What to tell about a command that the broker gave up. Pure."""

from contracts.broker import Delivery
from contracts.commands import Reason
from contracts.envelope import OutcomeKind
from workers.commands.admitting import Refusal
from workers.commands.memory import Remembered


def shard_of(delivery: Delivery) -> str:
    """The queue that gave it up."""
    return str(delivery.headers.get("x-first-death-queue", delivery.queue))


def verdict(delivery: Delivery, remembered: Remembered | None) -> Refusal:
    """Expired when we know that it was never dispatched, else unknown.

    The broker does not tell: how often the shard had delivered it is not kept in a dead letter.
    """
    try:
        why = delivery.headers.get("x-first-death-reason")
    except ValueError:
        why = None  # the publisher's own headers may be anything
    unsent = remembered is not None and remembered.gateway is None and not remembered.again
    if why == "expired":
        kind = OutcomeKind.EXPIRED if unsent else OutcomeKind.UNKNOWN
        return Refusal(Reason.UNDELIVERABLE, "it expired in its queue", kind)
    return Refusal(Reason.UNDELIVERABLE, "its queue delivered it too often", OutcomeKind.UNKNOWN)
