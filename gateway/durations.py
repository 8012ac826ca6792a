"""A histogram that is cheap to add to: plain numbers, put into the form of Prometheus when somebody asks for them."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.metrics_core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class Series:
    """The counts of one label value."""

    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(self._bounds, seconds)] += 1
        self.sum += seconds


class Durations(Collector):
    """Counts seconds by bucket, each named by its inclusive upper bound; with `label`, for each of its values."""

    def __init__(
        self,
        name: str,
        documentation: str,
        *,
        buckets: Sequence[float],
        label: str | None = None,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._bounds = tuple(buckets)
        self._series: dict[str, Series] = {}
        self.label_names = () if label is None else (label,)
        registry.register(self)
        if label is None:
            self.observe = self.of("").observe

    def of(self, value: str) -> Series:
        """The series of one label value; to be kept at hand where many seconds are observed."""
        series = self._series.get(value)
        if series is None:
            series = self._series[value] = Series(self._bounds)
        return series

    def collect(self) -> Iterable[Metric]:
        names = (*map(floatToGoString, self._bounds), "+Inf")
        family = HistogramMetricFamily(self._name, self._documentation, labels=self.label_names)
        for value, series in self._series.items():
            counts = list(zip(names, accumulate(series.counts), strict=True))
            family.add_metric([value] if self.label_names else [], buckets=counts, sum_value=series.sum)
        return [family]
