"""Reading Prometheus endpoints, and what two readings say together: rates and quantiles."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from tools.nodes.loopback import open_url

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


def read(url: str) -> Reading:
    """Scrape one endpoint."""
    try:
        with open_url(url, timeout=2) as answer:
            text = answer.read().decode()
    except OSError:
        return Reading()
    samples = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    return Reading(time.monotonic(), samples)


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
