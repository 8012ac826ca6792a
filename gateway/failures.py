"""Who has shown wrong credentials must wait, longer each time. Pure; seconds and monotonic times.

Three things are counted: failures of one identity from one source; of one identity from anywhere, which a guess from
many sources is; and of one source, which a guess at many identities is. The last two have a high threshold. All of them
lengthen the wait of the identity at the source where it has just failed, and of nobody else: whoever has shown nothing
wrong is looked at, so nobody can lock a charge point out by guessing at its name or behind its carrier's address, and
a hundred that are set up wrongly do not keep out the others behind their proxy. Nor is an identity held up at a source
where it lately came in with the right credentials.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

MOST_KEYS = 50_000
MOST_GOOD = 100_000
GOOD_SOURCES = 3
"""Of one identity: a charge point may change between a cable and one or two mobile networks."""


@dataclass(frozen=True, slots=True)
class BackOff:
    """The wait after a failure: `first` seconds, doubled with each, at most `most`; `half_life` seconds of good conduct
    halve the count. Beyond `per_identity` and `per_source` failures, all those of that identity or source count so.
    """

    first: float = 1.0
    most: float = 300.0
    half_life: float = 600.0
    per_identity: int = 20
    per_source: int = 100


@dataclass(slots=True)
class _Record:
    count: float
    until: float


class Strikes(Generic[K]):
    """Failures by key; of the last `most_keys` that failed. The first `free` ones cost no wait."""

    def __init__(self, rules: BackOff, free: int = 0, most_keys: int = MOST_KEYS) -> None:
        self._rules = rules
        self._free = free
        self._most_keys = most_keys
        self._records: dict[K, _Record] = {}

    def __len__(self) -> int:
        return len(self._records)

    def wait(self, key: K, now: float) -> float:
        """Seconds left to wait."""
        record = self._records.get(key)
        return 0.0 if record is None else max(0.0, record.until - now)

    def strike(self, key: K, now: float, least: float = 0.0) -> float:
        """Count a failure; returns the wait, not below `least`. The count decays in the time not spent waiting."""
        rules = self._rules
        record = self._records.pop(key, None) or _Record(0.0, now)
        quiet = max(0.0, now - record.until)
        count = record.count * 0.5 ** (quiet / rules.half_life) + 1
        beyond = count - self._free
        wait = min(rules.first * 2.0 ** min(beyond - 1, 64), rules.most) if beyond > 0 else 0.0
        wait = max(wait, least)
        self._records[key] = _Record(count, max(record.until, now + wait))
        if len(self._records) > self._most_keys:
            del self._records[next(iter(self._records))]
        return wait

    def clear(self, key: K) -> None:
        self._records.pop(key, None)


class Failures:
    """What a gateway remembers of wrong credentials; bounded, and forgotten with the process."""

    def __init__(self, rules: BackOff) -> None:
        self._pairs: Strikes[tuple[str, str]] = Strikes(rules)
        self._identities: Strikes[str] = Strikes(rules, rules.per_identity)
        self._sources: Strikes[str] = Strikes(rules, rules.per_source)
        self._good: dict[str, tuple[str, ...]] = {}

    def wait(self, identity: str, source: str, now: float) -> float:
        """Seconds for which no credentials for this identity from this source are to be looked at."""
        if source in self._good.get(identity, ()):
            return 0.0
        return self._pairs.wait((identity, source), now)

    def failed(self, identity: str, source: str, now: float) -> None:
        """Wrong credentials were shown."""
        if source in self._good.get(identity, ()):
            return  # perhaps its neighbour behind the same address: a count would punish the wrong one
        least = max(self._identities.strike(identity, now), self._sources.strike(source, now))
        self._pairs.strike((identity, source), now, least)

    def succeeded(self, identity: str, source: str) -> None:
        """The right ones were shown."""
        self._pairs.clear((identity, source))
        others = [other for other in self._good.pop(identity, ()) if other != source]
        self._good[identity] = (source, *others[: GOOD_SOURCES - 1])
        if len(self._good) > MOST_GOOD:
            del self._good[next(iter(self._good))]
