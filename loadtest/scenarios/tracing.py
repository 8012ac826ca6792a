"""The series of a report, filled while a run goes on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from loadtest.crowd.conductor import CrowdTick
from loadtest.report.model import Report, Series
from loadtest.roundtrips import RoundTrips
from loadtest.scenarios.counting import unanswered
from loadtest.scenarios.system import Usage

Group = Literal["throughput", "latency", "sockets", "memory", "cpu", "queue", "generator"]
_MB = 1024 * 1024


@dataclass(frozen=True)
class Second:
    """What a tick says about its own second."""

    rate: float
    p50_ms: float | None
    p99_ms: float | None


class Traces:
    """Appends to a report's series, making each on its first value; times are since `began` of the monotonic clock."""

    def __init__(self, report: Report, began: float) -> None:
        self._report = report
        self._began = began
        self._series: dict[str, Series] = {}
        self._last: dict[str, CrowdTick] = {}

    def ticked(self, crowd: str, tick: CrowdTick) -> Second:
        """Take up one second of a crowd, whose name goes before those of its series."""
        last, self._last[crowd] = self._last.get(crowd), tick
        trips = RoundTrips()
        for buckets in tick.latency.values():
            trips.merge(RoundTrips.of(buckets))
        if last is None or tick.at <= last.at or sum(tick.calls.values()) < sum(last.calls.values()):
            return Second(0.0, None, None)  # the first of a crowd that came, perhaps after another of its name
        seconds = tick.at - last.at
        answered = (sum(tick.answers.values()) - sum(last.answers.values())) / seconds
        errors = (sum(tick.errors.values()) - sum(last.errors.values())) / seconds
        quantiles = {
            name: trips.quantile(share) * 1000 if trips.count else None
            for name, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999))
        }
        add = self._adder(crowd, tick.at)
        add("answered", "Calls/s", "throughput", answered)
        add("sent", "Calls/s", "throughput", (sum(tick.calls.values()) - sum(last.calls.values())) / seconds)
        if errors or f"throughput {crowd} errors".replace("  ", " ") in self._series:
            add("errors", "Calls/s", "throughput", errors)
        for name, value in quantiles.items():
            if value is not None:
                add(name, "ms", "latency", value)
        add("connected", "count", "sockets", tick.connected)
        add("booted", "count", "sockets", tick.booted)
        add("due and not sent", "count", "queue", tick.waiting)
        add("without an answer yet", "count", "queue", unanswered(tick))
        add("busiest process", "share", "generator", tick.busiest_cpu_share)
        add("timers late by", "ms", "generator", tick.lag_s * 1000)
        return Second(answered, quantiles["p50"], quantiles["p99"])

    def system(self, at: float, usage: Mapping[str, Usage], queues: Mapping[str, float]) -> None:
        """Take up what the parts hold, and where Calls wait."""
        add = self._adder("", at)
        for name, used in usage.items():
            add(name, "MB", "memory", used.rss_bytes / _MB)
        for name, count in queues.items():
            add(name, "count", "queue", count)

    def cpu(self, at: float, shares: Mapping[str, float]) -> None:
        """Take up the parts' shares of a core."""
        add = self._adder("", at)
        for name, share in shares.items():
            add(name, "share", "cpu", share)

    def _adder(self, crowd: str, at: float) -> "_Adder":
        return _Adder(self._report, self._series, crowd, at - self._began)


@dataclass(frozen=True)
class _Adder:
    report: Report
    series: dict[str, Series]
    crowd: str
    at_s: float

    def __call__(self, name: str, unit: str, group: Group, value: float) -> None:
        name = f"{self.crowd} {name}".lstrip()
        key = f"{group} {name}"
        if key not in self.series:
            self.series[key] = Series(name=name, unit=unit, group=group)
            self.report.series.append(self.series[key])
        self.series[key].add(self.at_s, value)
