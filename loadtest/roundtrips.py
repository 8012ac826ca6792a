"""Round-trip times in a bounded histogram fine enough for percentiles."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

_FIRST_S = 0.0001
_STEP = 1.05  # a percentile is at most 5 % off
_MOST = 300  # 0.1 ms to 225 s; anything slower shares the last bucket
_PER_FOLD = 1 / math.log(_STEP)


def bucket_of(seconds: float) -> int:
    """The number of the bucket that a duration falls into."""
    if seconds <= _FIRST_S:
        return 0
    return min(_MOST, math.ceil(math.log(seconds / _FIRST_S) * _PER_FOLD))


@dataclass(slots=True)
class RoundTrips:
    """Counts durations in geometric buckets; memory does not grow with their number."""

    buckets: Counter[int] = field(default_factory=Counter)
    count: int = 0
    total_s: float = 0.0
    longest_s: float = 0.0

    @classmethod
    def of(cls, buckets: Mapping[int, int]) -> "RoundTrips":
        """From buckets alone: sum and maximum are then upper bounds."""
        counts = Counter({bucket: count for bucket, count in buckets.items() if count})
        return cls(
            buckets=counts,
            count=counts.total(),
            total_s=sum(count * _FIRST_S * _STEP**bucket for bucket, count in counts.items()),
            longest_s=_FIRST_S * _STEP ** max(counts) if counts else 0.0,
        )

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.buckets[bucket_of(seconds)] += 1
        self.count += 1
        self.total_s += seconds
        self.longest_s = max(self.longest_s, seconds)

    def merge(self, other: "RoundTrips") -> None:
        """Add what another histogram has counted."""
        self.buckets.update(other.buckets)
        self.count += other.count
        self.total_s += other.total_s
        self.longest_s = max(self.longest_s, other.longest_s)

    def quantile(self, share: float) -> float:
        """Give the upper bound in seconds of the bucket that holds this quantile; 0 when nothing was counted."""
        seen = 0
        for index in sorted(self.buckets):
            seen += self.buckets[index]
            if seen >= share * self.count:
                return min(_FIRST_S * _STEP**index, self.longest_s)
        return self.longest_s

    def to_json(self) -> dict[str, float]:
        """Give count, median, 99th percentile and maximum as JSON data."""
        return {
            "count": self.count,
            "p50_s": self.quantile(0.5),
            "p99_s": self.quantile(0.99),
            "longest_s": self.longest_s,
        }
