"""What a crowd did in a stretch of a run, summed up from its ticks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

from loadtest.crowd.conductor import CrowdTick
from loadtest.crowd.orders import Tick, added
from loadtest.roundtrips import RoundTrips

BUSY_SHARE = 0.85
"""Of a core: a generator process that used more may have been the bottleneck."""
LATE_S = 0.05
"""A generator whose timers come so late measures itself."""
_LATE_SHARE = 0.05


def unanswered(tick: Tick) -> int:
    """Calls that were sent, have not timed out, and wait for their answer."""
    no_end = ("refused ", "unexpected", "unreadable")  # beside an answer, or beside any Call
    failed = sum(count for what, count in tick.errors.items() if not what.startswith(no_end))
    return max(0, sum(tick.calls.values()) - sum(tick.answers.values()) - failed - tick.cut_off)


@dataclass(kw_only=True)
class Counts:
    """What a crowd did in a stretch of time."""

    seconds: float
    calls: dict[str, int] = field(default_factory=dict)
    answers: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    cut_off: int = 0
    latency: dict[str, RoundTrips] = field(default_factory=dict)
    """By action; bounded, however long the stretch."""
    least_connected: int = 0
    least_booted: int = 0
    in_flight: int = 0
    """At the end."""
    waiting_more: int = 0
    """Calls due and not sent: how many more there were at the end than at the begin."""
    generator_cpu_s: float = 0.0
    generator_share: float = 0.0
    """Of one core, by the busiest process on average."""
    generator_lag_s: float = 0.0
    """So late, or less, was the generator in 95 of 100 seconds."""

    @property
    def answered(self) -> int:
        """All CALLRESULTs."""
        return sum(self.answers.values())

    @property
    def per_second(self) -> float:
        """Answered Calls a second."""
        return self.answered / self.seconds if self.seconds else 0.0

    @property
    def roundtrips(self) -> RoundTrips:
        """Of all actions together."""
        merged = RoundTrips()
        for one in self.latency.values():
            merged.merge(one)
        return merged

    def quantile_ms(self, share: float, action: str | None = None) -> float | None:
        """Of all actions or of one; None when nothing was answered."""
        trips = self.roundtrips if action is None else self.latency.get(action, RoundTrips())
        return trips.quantile(share) * 1000 if trips.count else None

    @property
    def generator_limited(self) -> str:
        """Why the generator may have been the bottleneck; empty when it was not."""
        if self.generator_share > BUSY_SHARE:
            return f"the busiest generator process used {self.generator_share:.0%} of a core"
        if self.generator_lag_s > LATE_S:
            return f"the generator's own timers came up to {self.generator_lag_s * 1000:.0f} ms late"
        sent = sum(self.calls.values())
        # Where the system is the slow one, those who wait to send have a Call in flight.
        if self.waiting_more > 0.05 * sent and self.in_flight < 0.5 * min(self.waiting_more, self.least_connected):
            return f"{self.waiting_more:,} Calls more than at the begin were due and not sent"
        return ""


def together(several: Sequence[Counts]) -> Counts:
    """What several crowds did in the same stretch."""
    if len(several) == 1:
        return several[0]
    whole = Counts(seconds=max(one.seconds for one in several))
    for one in several:
        for name in ("calls", "answers", "errors", "ended", "refused"):
            setattr(whole, name, added(getattr(whole, name), getattr(one, name)))
        for name in ("cut_off", "least_connected", "least_booted", "in_flight", "waiting_more", "generator_cpu_s"):
            setattr(whole, name, getattr(whole, name) + getattr(one, name))
        for name in ("generator_share", "generator_lag_s"):
            setattr(whole, name, max(getattr(whole, name), getattr(one, name)))
        for action, trips in one.latency.items():
            whole.latency.setdefault(action, RoundTrips()).merge(trips)
    return whole


class Gathering:
    """Sums up ticks, from the one that it begins with (whose own second is not counted)."""

    def __init__(self, first: CrowdTick) -> None:
        self._first = self._last = first
        self._latency: dict[str, RoundTrips] = {}
        self._lags: list[float] = []
        self._shares: list[float] = []
        self._connected, self._booted = first.connected, first.booted

    def add(self, tick: CrowdTick) -> None:
        """Count one more second."""
        self._last = tick
        for action, buckets in tick.latency.items():
            self._latency.setdefault(action, RoundTrips()).merge(RoundTrips.of(buckets))
        self._lags.append(tick.lag_s)
        self._shares.append(tick.busiest_cpu_share)
        self._connected = min(self._connected, tick.connected)
        self._booted = min(self._booted, tick.booted)

    def counts(self) -> Counts:
        """What there is until now."""
        first, last = self._first, self._last
        lags = sorted(self._lags) or [0.0]
        return Counts(
            seconds=last.at - first.at,
            calls=_more(first.calls, last.calls),
            answers=_more(first.answers, last.answers),
            errors=_more(first.errors, last.errors),
            ended=_more(first.ended, last.ended),
            refused=_more(first.refused, last.refused),
            cut_off=last.cut_off - first.cut_off,
            latency=self._latency,
            least_connected=self._connected,
            least_booted=self._booted,
            in_flight=unanswered(last),
            waiting_more=last.waiting - first.waiting,
            generator_cpu_s=last.cpu_s - first.cpu_s,
            generator_share=sum(self._shares) / len(self._shares) if self._shares else 0.0,
            generator_lag_s=lags[ceil((1 - _LATE_SHARE) * len(lags)) - 1],
        )


def _more(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    return {key: count - before.get(key, 0) for key, count in after.items() if count > before.get(key, 0)}
