"""The offline queue: transaction messages in strict order, kept until the server has confirmed them. Pure."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True, eq=False)
class Queued:
    """One transaction message; its payload is built when it is sent, since a transactionId may be known only then."""

    action: str
    build: Callable[[], dict[str, Any]]
    confirmed: Callable[[dict[str, Any]], None]
    dropped: Callable[[str], None]
    sample: bool = False  # may be sacrificed when the memory is full (OCPP 1.6, 3.7)
    failures: int = 0
    refusals: int = 0


class TransactionQueue:
    """Holds at most `limit` messages, and gives them out one at a time.

    When it is full the oldest sample that is not being sent makes room; a message that finds no room is dropped.
    """

    def __init__(self, limit: int) -> None:
        self._items: deque[Queued] = deque()
        self._limit = limit

    def __len__(self) -> int:
        return len(self._items)

    def put(self, message: Queued) -> None:
        """Append a message; whichever message finds no room hears `dropped("full")`."""
        if len(self._items) >= self._limit:
            victim = next((item for i, item in enumerate(self._items) if i > 0 and item.sample), message)
            if victim is not message:
                self._items.remove(victim)
                self._items.append(message)
            victim.dropped("full")
            return
        self._items.append(message)

    def head(self) -> Queued | None:
        """Give the message whose turn it is."""
        return self._items[0] if self._items else None

    def confirm(self, reply: dict[str, Any]) -> None:
        """Take the head out: the server has it."""
        self._items.popleft().confirmed(reply)

    def fail(self, attempts: int, retry_interval_s: float, *, counts: bool) -> float | None:
        """Note that the server failed to process the head; give the seconds to wait, or None when it was given up.

        The wait is the interval times the number of failures so far (OCPP 1.6, 3.7.1). A failure that does not count
        uses up no attempt.
        """
        message = self._items[0]
        message.failures += 1
        message.refusals += counts
        if counts and message.refusals >= max(1, attempts):
            self._items.popleft()
            message.dropped("attempts")
            return None
        return retry_interval_s * message.failures
