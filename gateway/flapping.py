"""Charge points that come in again and again: each is held for a while before it is answered. Pure.

What a session's opening costs, it costs everybody: each is announced to every gateway and told to every backend. So a
charge point that flaps, or two that have one identity, are slowed down at the door, where a wait costs one socket.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

from gateway.buckets import Buckets

T = TypeVar("T", bound=Hashable)

MOST_IDENTITIES = 100_000


class Flapping(Generic[T]):
    """Which identities come too often, and whatever is held for them: of each identity only the newest.

    A newer one takes over what is left of the older one's wait: so it gets in once per `delay` at the most, but then.
    """

    def __init__(self, per_minute: float, delay: float) -> None:
        self._delay = delay
        self._arrivals: Buckets[str] = Buckets(per_minute / 60, max(1.0, per_minute), MOST_IDENTITIES)
        self._held: dict[str, tuple[float, T]] = {}
        self._identities: dict[T, str] = {}

    def __len__(self) -> int:
        return len(self._held)

    def passes(self, identity: str, now: float) -> bool:
        """Whether it may be answered at once; else `hold` it. Never while another one is held."""
        return identity not in self._held and self._arrivals.take(identity, now)

    def hold(self, identity: str, item: T, now: float) -> T | None:
        """Keep it until `due` gives it back; returns the older one that was held, which is to be refused."""
        until, older = self._held.get(identity, (now + self._delay, None))
        if older is not None:
            del self._identities[older]
        self._held[identity] = until, item  # an identity keeps its place: they stay in the order of their times
        self._identities[item] = identity
        return older

    def discard(self, item: T) -> None:
        """It has gone by itself."""
        identity = self._identities.pop(item, None)
        if identity is not None:
            del self._held[identity]

    def due(self, now: float) -> list[T]:
        """Take out those that have waited long enough."""
        items = []
        for until, item in self._held.values():
            if until > now:
                break
            items.append(item)
        for item in items:
            self.discard(item)
        return items
