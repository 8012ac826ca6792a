"""All anchors one after the other, as far as each can be measured, and our own figures beside them."""

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from loadtest.anchors.child import AnchorFailed
from loadtest.anchors.rabbitmq import BrokerCpu, ceiling
from loadtest.anchors.sockets import ECHOES, Counts, csms, echo
from loadtest.report.model import Anchor, Report

OURS: Mapping[str, str] = {
    "websockets_echo_cpu_us_per_call": "gateway_cpu_us_per_call",
    "sans_io_echo_cpu_us_per_call": "gateway_cpu_us_per_call",
    "websockets_echo_kb_per_connection": "gateway_kb_per_connection",
    "sans_io_echo_kb_per_connection": "gateway_kb_per_connection",
    "ocpp_csms_kb_per_connection": "gateway_kb_per_connection",
}
"""Anchors by name, and the figure of a report that each is compared with.

The CPU of a CSMS in one process has no counterpart among our parts, and a ceiling in Calls/s has one only in a run that
goes up to its own: whoever knows such a figure gives it to `beside`.
"""


@dataclass(kw_only=True)
class Found:
    """What was measured, and what could not be and why."""

    anchors: list[Anchor] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: bool = False
    """Whether something was tried and could not be measured."""


async def measure(
    *,
    seconds: float = 5.0,
    counts: Counts | None = None,
    amqp_url: str | None = None,
    broker_cpu_s: BrokerCpu | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Found:
    """Measure all, each for so many seconds at a time; one that fails leaves a note and lets the others go on."""
    counts = counts or Counts()
    steps: list[tuple[str, Callable[[], Awaitable[list[Anchor]]]]] = [
        *((what, partial(echo, name, seconds, counts)) for name, what in ECHOES.items()),
        ("CSMS of the ocpp package", partial(csms, seconds, counts)),
    ]
    found = Found()
    if amqp_url is not None:
        steps.append(("RabbitMQ's own ceiling", partial(ceiling, amqp_url, seconds, broker_cpu_s)))
    else:
        found.notes.append("RabbitMQ's own ceiling was not measured: no broker was named")
    for title, step in steps:
        tell(f"anchors: {title}")
        try:
            found.anchors += await step()
        except AnchorFailed as error:
            found.failed = True
            found.notes.append(f"{title}: {error}")
    return found


def beside(anchors: Sequence[Anchor], report: Report, ours: Mapping[str, str] = OURS) -> list[Anchor]:
    """The anchors with our own figures of a report, where it has one of that name and unit."""
    return [_beside(anchor, report, ours.get(anchor.name)) for anchor in anchors]


def _beside(anchor: Anchor, report: Report, name: str | None) -> Anchor:
    figure = None if name is None else report.figure(name)
    return anchor if figure is None or figure.unit != anchor.unit else replace(anchor, ours=figure.value)


def cpu_of(pid: int) -> BrokerCpu:
    """CPU seconds of a process of this machine and of its children that have ended; None once it is gone."""
    stat, tick_s = Path(f"/proc/{pid}/stat"), 1 / os.sysconf("SC_CLK_TCK")

    def read() -> float | None:
        try:
            # Behind the name in brackets, which may hold anything: utime, stime, cutime, cstime are the 14th to 17th.
            fields = stat.read_text().rpartition(")")[2].split()[11:15]
        except OSError:
            return None
        return sum(map(int, fields)) * tick_s

    return read
