"""PromQL as our panels need it again and again."""

from tools.dashboards.panels import Query


def rate(metric: str, scope: str, by: str = "", **matches: str) -> str:
    """The sum of what a counter grows by per second, for each value of the labels `by`."""
    return f"sum{_by(by)}(rate({metric}{_braces(scope, matches)}[$__rate_interval]))"


def total(metric: str, scope: str, by: str = "", **matches: str) -> str:
    """The sum of a gauge."""
    return f"sum{_by(by)}({metric}{_braces(scope, matches)})"


def highest(metric: str, scope: str, by: str = "", **matches: str) -> str:
    """The highest of a gauge."""
    return f"max{_by(by)}({metric}{_braces(scope, matches)})"


def quantile(share: float, histogram: str, scope: str, by: str = "", **matches: str) -> str:
    """Below which value this share of what a histogram saw lies."""
    buckets = rate(f"{histogram}_bucket", scope, f"{by}, le" if by else "le", **matches)
    return f"histogram_quantile({share}, {buckets})"


def quantiles(histogram: str, scope: str, by: str = "", legend: str = "", **matches: str) -> tuple[Query, ...]:
    """Median and 99th percentile, for each value of the labels `by`."""
    return tuple(
        (quantile(share, histogram, scope, by, **matches), f"{legend} {name}".strip())
        for share, name in ((0.5, "p50"), (0.99, "p99"))
    )


def mean(histogram: str, scope: str, by: str = "") -> str:
    """The mean of what a histogram saw."""
    return f"{rate(f'{histogram}_sum', scope, by)} / {rate(f'{histogram}_count', scope, by)}"


def _by(labels: str) -> str:
    return f" by ({labels}) " if labels else " "


def _braces(scope: str, matches: dict[str, str]) -> str:
    return "{" + ", ".join([scope, *(f'{label}=~"{pattern}"' for label, pattern in matches.items())]) + "}"
