"""What to tell about a command that the broker gave up. Pure."""

from contracts.broker import Delivery
from contracts.commands import Reason
from contracts.envelope import OutcomeKind
from workers.commands.admitting import Refusal
from workers.commands.memory import Remembered


def verdict(delivery: Delivery, remembered: Remembered | None) -> Refusal:
    """Expired when it certainly was never dispatched, else unknown."""
    try:
        why = delivery.headers.get("x-first-death-reason")
    except ValueError:
        why = None  # the publisher's own headers may be anything
    dispatched = remembered is not None and remembered.gateway is not None
    if why == "expired" and delivery.delivery_count == 0 and not dispatched:
        return Refusal(Reason.UNDELIVERABLE, "it expired in its queue", OutcomeKind.EXPIRED)
    return Refusal(Reason.UNDELIVERABLE, "its queue delivered it too often", OutcomeKind.UNKNOWN)
