"""What a process has to do when: one timer for thousands of charge points, to the millisecond."""

from collections.abc import Callable
from heapq import heappop, heappush

Due = Callable[[int], None]
"""Is called with the millisecond (of the monotonic clock) that it was planned for."""


class Calendar:
    """Plans by millisecond. Pure: `arm` is told whenever something comes before all else that is planned.

    Nothing is ever cancelled; what has become idle by its time ignores its call.
    """

    def __init__(self, arm: Callable[[int], None]) -> None:
        self._arm = arm
        self._slots: dict[int, list[Due]] = {}
        self._order: list[int] = []
        self._running = False

    def plan(self, at_ms: int, due: Due) -> None:
        """Call `due` at that millisecond, or soon after."""
        slot = self._slots.get(at_ms)
        if slot is not None:
            slot.append(due)
            return
        self._slots[at_ms] = [due]
        heappush(self._order, at_ms)
        if self._order[0] == at_ms and not self._running:
            self._arm(at_ms)

    def late_ms(self, now_ms: float) -> float:
        """For how long the first one has been due."""
        return now_ms - self._order[0] if self._order else 0.0

    def run(self, now_ms: int) -> None:
        """Call all that is due by now, in the order of its times; what is planned meanwhile waits for the next run."""
        order, slots = self._order, self._slots
        self._running = True
        late = []
        while order and order[0] <= now_ms:
            at_ms = heappop(order)
            late.append((at_ms, slots.pop(at_ms)))
        for at_ms, planned in late:
            for due in planned:
                due(at_ms)
        self._running = False
        if order:
            self._arm(order[0])
