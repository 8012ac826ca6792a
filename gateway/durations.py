"""A histogram that is cheap to add to: plain numbers, put into the form of Prometheus when somebody asks for them."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.metrics_core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class Durations(Collector):
    """Counts seconds by bucket, each named by its inclusive upper bound."""

    def __init__(
        self, name: str, documentation: str, *, buckets: Sequence[float], registry: CollectorRegistry = REGISTRY
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._bounds = tuple(buckets)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0
        registry.register(self)

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def collect(self) -> Iterable[Metric]:
        names = (*map(floatToGoString, self._bounds), "+Inf")
        counts = list(zip(names, accumulate(self._counts), strict=True))
        return [HistogramMetricFamily(self._name, self._documentation, buckets=counts, sum_value=self._sum)]
