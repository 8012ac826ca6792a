"""Deadlines without a timer each: a heap for sessions, and queues for delays that are all alike. Pure."""

from collections.abc import Hashable, Iterator
from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import Generic, TypeVar

from gateway.session import Session

T = TypeVar("T", bound=Hashable)
S = TypeVar("S")


class SessionDeadlines(Generic[S]):
    """When which session's `tick` is due.

    A session is noted when its deadline is earlier than what is noted already; one that has moved away is found out
    when its turn comes. So a session that is always answered in time costs one entry per call timeout, not per Call.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Session, S]] = []
        self._tie = count()

    def __len__(self) -> int:
        return len(self._heap)

    def note(self, session: Session, owner: S) -> None:
        """See to it that `due` yields this session at its present deadline."""
        deadline = session.deadline()
        if deadline < session.scheduled:
            session.scheduled = deadline
            heappush(self._heap, (deadline, next(self._tie), session, owner))

    def due(self, now: float) -> Iterator[tuple[Session, S]]:
        """Sessions to tick now; note them again afterwards."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            when, _, session, owner = heappop(heap)
            if when == session.scheduled:
                session.scheduled = inf
            if not session.closed:
                yield session, owner


class Delay(Generic[T]):
    """Things that fall due a fixed delay after they were added: insertion order is deadline order."""

    __slots__ = ("_deadlines", "delay")

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self._deadlines: dict[T, float] = {}

    def __len__(self) -> int:
        return len(self._deadlines)

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._deadlines))

    def add(self, item: T, now: float) -> None:
        """Start, or start anew."""
        self._deadlines.pop(item, None)
        self._deadlines[item] = now + self.delay

    def discard(self, item: T) -> None:
        self._deadlines.pop(item, None)

    def due(self, now: float) -> list[T]:
        """Take out what is due."""
        items = []
        for item, deadline in self._deadlines.items():
            if deadline > now:
                break
            items.append(item)
        for item in items:
            del self._deadlines[item]
        return items


class Rounds(Generic[T]):
    """Things visited once per interval, spread over it by the time at which they were added.

    One sweep serves them all; `visit` yields those whose share of the interval has come.
    """

    SLOTS = 64

    __slots__ = ("_at", "_next", "_places", "_slots", "_step")

    def __init__(self, interval: float, now: float) -> None:
        self._slots: list[set[T]] = [set() for _ in range(self.SLOTS)]
        self._places: dict[T, int] = {}
        self._step = interval / self.SLOTS
        self._at = 0
        self._next = now + self._step

    def __len__(self) -> int:
        return len(self._places)

    def add(self, item: T) -> None:
        """First visited one interval from now."""
        self._places[item] = self._at
        self._slots[self._at].add(item)

    def discard(self, item: T) -> None:
        place = self._places.pop(item, None)
        if place is not None:
            self._slots[place].discard(item)

    def visit(self, now: float) -> Iterator[T]:
        """Those due by now, at most each once; items may be added and discarded meanwhile."""
        for _ in range(self.SLOTS):
            if self._next > now:
                return
            self._at = (self._at + 1) % self.SLOTS
            self._next += self._step
            yield from tuple(self._slots[self._at])
        self._next = max(self._next, now)  # a long stall is not made up for
