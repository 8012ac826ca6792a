"""Rates as token buckets, each a single number: the time at which all that was taken will have been paid for. Pure."""

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Buckets(Generic[K]):
    """A bucket for each key; of the `most` last used ones. A forgotten key begins anew with a full bucket.

    Each lets `per_second` through in the long run, and `burst` at once; a rate of 0 lets everything through.
    """

    __slots__ = ("_ahead", "_cost", "_most", "_paid_at")

    def __init__(self, per_second: float, burst: float, most: int) -> None:
        self._cost = 1 / per_second if per_second else 0.0
        self._ahead = burst * self._cost
        self._most = most
        self._paid_at: dict[K, float] = {}

    def __len__(self) -> int:
        return len(self._paid_at)

    def take(self, key: K, now: float) -> bool:
        """Whether one more of this key may pass at `now`; one that may not costs nothing."""
        if not self._cost:
            return True
        before = self._paid_at.pop(key, 0.0)
        after = max(before, now) + self._cost
        passes = after - now <= self._ahead + 1e-9
        self._paid_at[key] = after if passes else before
        if len(self._paid_at) > self._most:
            del self._paid_at[next(iter(self._paid_at))]
        return passes


class Bucket:
    """A single one."""

    __slots__ = ("_only",)

    def __init__(self, per_second: float, burst: float) -> None:
        self._only: Buckets[None] = Buckets(per_second, burst, 1)

    def take(self, now: float) -> bool:
        """Whether one more may pass at `now`; one that may not costs nothing."""
        return self._only.take(None, now)
