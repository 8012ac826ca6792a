"""What every process tells Prometheus of itself."""

import asyncio
import platform
import time
from importlib.metadata import version

from prometheus_client import Gauge, Histogram, disable_created_metrics

LOOK_S = 0.25

# Else each counter has a second series that says when it began, which nobody reads.
disable_created_metrics()  # type: ignore[no-untyped-call] # of a library without types here

LOOP_LAG = Histogram(
    "ocpp_event_loop_lag_seconds",
    "How late the event loop comes to what is due; looked at four times a second.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
BUILD_INFO = Gauge("ocpp_build_info", "1; what runs here is in the labels.", ["component", "version", "python"])


def tell_build(component: str) -> None:
    """Say which version this process runs; `component` is its command, a worker's with its service."""
    BUILD_INFO.labels(component, version("ocpp-gateway"), platform.python_version()).set(1)


async def watch_loop() -> None:
    """Measure the event loop's lag until cancelled."""
    while True:
        due = time.monotonic() + LOOK_S
        await asyncio.sleep(LOOK_S)
        LOOP_LAG.observe(max(0.0, time.monotonic() - due))
