"""Reading Prometheus endpoints, and what two readings say together: rates and quantiles."""

import time
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

_open_url = urllib.request.build_opener(urllib.request.ProxyHandler({})).open  # never by way of the proxy to elsewhere

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Reading:
    """All samples of one endpoint at one time; empty when nobody answered."""

    at: float = 0.0
    samples: Mapping[tuple[str, Labels], float] = field(default_factory=dict)

    def total(self, name: str, **labels: str) -> float:
        """The sum of the samples of that name which carry these labels."""
        wanted = set(labels.items())
        return sum(value for (sample, own), value in self.samples.items() if sample == name and wanted <= own)

    def by(self, name: str, label: str) -> dict[str, float]:
        """The samples of that name, summed for each value of one label."""
        sums: dict[str, float] = {}
        for (sample, own), value in self.samples.items():
            if sample == name:
                key = dict(own).get(label, "")
                sums[key] = sums.get(key, 0.0) + value
        return sums


def read(url: str, only: tuple[str, ...] = ("",)) -> Reading:
    """Scrape one endpoint, for those samples whose names begin like one of `only`: parsing all takes long."""
    try:
        with _open_url(url, timeout=2) as answer:
            lines = answer.read().decode().splitlines()
    except (OSError, ValueError):
        return Reading()
    text = "".join(f"{line}\n" for line in lines if line.startswith(only))
    samples = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    return Reading(time.monotonic(), samples)


def together(readings: Iterable[Reading]) -> Reading:
    """One reading of several endpoints of one kind: the sums of their samples."""
    sums: dict[tuple[str, Labels], float] = {}
    at = 0.0
    for reading in readings:
        at = max(at, reading.at)
        for sample, value in reading.samples.items():
            sums[sample] = sums.get(sample, 0.0) + value
    return Reading(at, sums)


def rate(before: Reading, after: Reading, name: str, **labels: str) -> float:
    """Per second, between two readings; 0 when there are none."""
    seconds = after.at - before.at
    if not before.samples or not after.samples or seconds <= 0:
        return 0.0
    return max(0.0, after.total(name, **labels) - before.total(name, **labels)) / seconds


def quantile(before: Reading, after: Reading, histogram: str, share: float) -> float | None:
    """The value below which this share of what came between two readings lies, interpolated; None when nothing came."""
    edges_before, edges_after = before.by(f"{histogram}_bucket", "le"), after.by(f"{histogram}_bucket", "le")
    counts = sorted((float(edge), value - edges_before.get(edge, 0.0)) for edge, value in edges_after.items())
    if not counts or counts[-1][1] <= 0:
        return None
    wanted = share * counts[-1][1]
    low, below = 0.0, 0.0
    for edge, count in counts:
        if count >= wanted:
            return low if edge == float("inf") else low + (edge - low) * (wanted - below) / max(count - below, 1e-9)
        low, below = edge, count
    return low
