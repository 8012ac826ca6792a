"""The figures that a measured window gives a report; their names stay, `compare` goes by them."""

from math import sqrt

from loadtest.scenarios.measuring import Window
from loadtest.scenarios.running import Run

_SUSTAINED = 0.95
_MB = 1024 * 1024
_LEAST_ANSWERS = 20
_LEAST_SHARE = 0.02
"""Of all Calls: what a service does beside fewer would be told as their cost."""


def least_sustained(rate: float, seconds: float) -> float:
    """Answered Calls a second below which a rate was not sustained: chance has its share, the more the fewer Calls."""
    return max(0.0, _SUSTAINED * rate - 3 * sqrt(rate / seconds))


def tell(
    run: Run, window: Window, *, rate: float | None = None, at_least: float | None = None, limit_p99_ms: float | None
) -> None:
    """Put a window's figures, stages and bottleneck into the report; `rate` is what was to be sent."""
    counts, options = window.counts, run.options
    if rate is not None:
        run.figure("rate_asked", rate, "Calls/s", title="Calls a second to be sent")
        at_least = least_sustained(rate, counts.seconds)
    run.figure(
        "calls_per_second", counts.per_second, "Calls/s",
        title=f"Answered Calls a second ({options.kind})", at_least=at_least, better="more",
    )  # fmt: skip
    few = "" if counts.answered >= _LEAST_ANSWERS else f"of only {counts.answered} answers"
    run.figure("p50_ms", counts.quantile_ms(0.5), "ms", title="Latency, median", better="less", note=few)
    run.figure(
        "p99_ms", counts.quantile_ms(0.99), "ms", title="Latency, p99", at_most=limit_p99_ms, better="less", note=few
    )
    run.figure("p999_ms", counts.quantile_ms(0.999), "ms", title="Latency, p99.9", better="less", note=few)
    if len(counts.latency) > 1:
        for action in sorted(counts.latency):
            run.figure(
                f"p99_ms_{action}", counts.quantile_ms(0.99, action), "ms", title=f"p99 of {action}", better="less"
            )
    tell_costs(run, window)
    run.report.stages = window.stages
    run.report.generator_limited = run.report.generator_limited or counts.generator_limited


def tell_costs(run: Run, window: Window) -> None:
    """What a Call cost each kind of part, and what they hold."""
    counts = window.counts
    for kind in ("gateway", "worker", "broker", "store"):
        cost = window.cpu_us(kind)
        if cost is not None:
            run.figure(f"{kind}_cpu_us_per_call", cost, "µs", title=f"CPU of the {kind} per Call", better="less")
    for service in sorted(window.handled):
        cost = window.service_cpu_us(service)
        if cost is not None and window.handled[service] >= max(_LEAST_ANSWERS, _LEAST_SHARE * counts.answered):
            run.figure(
                f"{service}_cpu_us_per_handled_call", cost, "µs",
                title=f"CPU of {service} per Call that it handled", better="less",
            )  # fmt: skip
        if service in window.batch:
            run.figure(
                f"{service}_calls_per_transaction", window.batch[service], "count",
                title=f"Calls in one database transaction of {service}",
            )  # fmt: skip
    if counts.answered:
        run.figure(
            "generator_cpu_us_per_call", counts.generator_cpu_s * 1e6 / counts.answered, "µs",
            title="CPU of the generator per Call",
        )  # fmt: skip
    run.figure("generator_busiest", counts.generator_share, "share", title="Busiest generator process, of a core")
    run.figure("generator_late_ms", counts.generator_lag_s * 1000, "ms", title="Generator's own timers late, p95")
    for kind in ("gateway", "worker", "broker", "store"):
        held = window.rss_of(kind)
        if held is not None:
            run.figure(f"{kind}_rss_mb", held / _MB, "MB", title=f"Memory of the {kind} (RSS)", better="less")
