"""What a stretch of a run says: the crowd's counts, and what the system used up and counted itself meanwhile."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic

from loadtest import scraping
from loadtest.report.model import Stage
from loadtest.scenarios.counting import Counts
from loadtest.scenarios.system import System, Usage
from loadtest.scraping import Reading

_ROUND_TRIP = "ocpp_call_roundtrip_duration_seconds"
_AGE = "ocpp_worker_call_age_seconds"
_TRANSACTION = "ocpp_worker_transaction_seconds"
_BATCH = "ocpp_worker_batch_calls"
_HANDLED = "ocpp_worker_calls_handled_total"
_WAITING = "ocpp_worker_calls_waiting"
_IN_FLIGHT = "ocpp_relay_window_calls"
QUEUES = (_WAITING, _IN_FLIGHT)
_AT_GATEWAY = "from a frame's receipt to its answer, at the gateway"
_AT_WORKER = "from the gateway's receipt of a frame to the worker's reply"
_AT_STORE = "a batch's database transaction, from begin to commit"
_WANTED = (_ROUND_TRIP, _AGE, _TRANSACTION, _BATCH, _HANDLED, *QUEUES)


@dataclass(frozen=True)
class Snapshot:
    """What a system has used up and counted until now, by part."""

    at: float
    usage: Mapping[str, Usage]
    readings: Mapping[str, Reading]


def snapshot(system: System, only: tuple[str, ...] = _WANTED) -> Snapshot:
    """Ask all parts; blocks while they answer."""
    readings = {
        part.name: scraping.read(part.metrics_url, only) for part in system.parts if part.metrics_url is not None
    }
    return Snapshot(monotonic(), system.usage(), readings)


@dataclass(kw_only=True)
class Window:
    """A measured stretch: the crowd's counts, and what the system used up meanwhile."""

    title: str
    counts: Counts
    stages: list[Stage] = field(default_factory=list)
    cpu_s: dict[str, float] = field(default_factory=dict)
    """By part."""
    rss_bytes: dict[str, float] = field(default_factory=dict)
    """By part, at the end."""
    kinds: dict[str, str] = field(default_factory=dict)
    """The kind of each part that told what it used."""
    untold: frozenset[str] = frozenset()
    """The kinds of which some part did not tell: sums over the others would be too low."""
    handled: dict[str, float] = field(default_factory=dict)
    """Calls handled by each service of the workers."""
    batch: dict[str, float] = field(default_factory=dict)
    """Calls in one database transaction on average, by service."""

    def cpu_us(self, kind: str, per: float | None = None) -> float | None:
        """CPU of all parts of a kind for each answered Call (or each of `per`), in µs; None when it is not known."""
        if kind in self.untold:
            return None
        spent = [self.cpu_s[name] for name, own in self.kinds.items() if own == kind and name in self.cpu_s]
        count = self.counts.answered if per is None else per
        return sum(spent) * 1e6 / count if spent and count else None

    def service_cpu_us(self, service: str) -> float | None:
        """CPU of a service's workers for each Call that it handled, in µs."""
        spent = [
            self.cpu_s[name] for name, own in self.kinds.items() if own == "worker" and service_of(name) == service
        ]
        handled = self.handled.get(service, 0.0)
        return sum(spent) * 1e6 / handled if spent and handled else None

    def rss_of(self, kind: str) -> float | None:
        """Bytes of all parts of a kind together; None when they are not known."""
        held = [self.rss_bytes[name] for name, own in self.kinds.items() if own == kind]
        return sum(held) if held and kind not in self.untold else None


def service_of(part: str) -> str:
    """The service of a worker by its part's name: replicas have a number behind it."""
    return part.rpartition("-")[0] if part.rpartition("-")[2].isdigit() else part


def window_of(title: str, counts: Counts, system: System, before: Snapshot, after: Snapshot) -> Window:
    """Bring both sides together."""
    kinds = {part.name: part.kind for part in system.parts}
    both = [name for name in kinds if name in before.usage and name in after.usage]
    # A part that was started anew in between counts from zero: then the whole of it is of this stretch.
    cpu_s = {name: _grown(before.usage[name].cpu_s, after.usage[name].cpu_s) for name in both}
    window = Window(
        title=title,
        counts=counts,
        cpu_s=cpu_s,
        rss_bytes={name: after.usage[name].rss_bytes for name in both},
        kinds={name: kinds[name] for name in both},
        untold=frozenset(kind for name, kind in kinds.items() if name not in both),
    )
    for service, names in _services(name for name, kind in kinds.items() if kind == "worker").items():
        window.handled[service] = sum(_difference(before, after, name, _HANDLED) for name in names)
        batches = sum(_difference(before, after, name, f"{_BATCH}_count") for name in names)
        if batches:
            window.batch[service] = sum(_difference(before, after, name, f"{_BATCH}_sum") for name in names) / batches
    window.stages = _stages(window, kinds, before, after)
    return window


def queues(system: System, seen: Snapshot) -> dict[str, float]:
    """Calls on their way, by where they wait."""
    waiting = {"Calls in the gateways' windows": 0.0}
    for part in system.parts:
        reading = seen.readings.get(part.name)
        if reading is None:
            continue
        if part.kind == "gateway":
            waiting["Calls in the gateways' windows"] += reading.total(_IN_FLIGHT)
        elif part.kind == "worker":
            name = f"waiting at {service_of(part.name)}"
            waiting[name] = waiting.get(name, 0.0) + reading.total(_WAITING)
    return waiting


def _stages(window: Window, kinds: Mapping[str, str], before: Snapshot, after: Snapshot) -> list[Stage]:
    by_kind: dict[str, list[str]] = {}
    for name, kind in kinds.items():
        by_kind.setdefault(kind, []).append(name)
    workers = by_kind.get("worker", [])
    told = [
        ("gateway", by_kind.get("gateway", []), by_kind.get("gateway", []), _ROUND_TRIP, _AT_GATEWAY),
        ("broker", by_kind.get("broker", []), [], "", ""),
        *(
            (f"worker {service}", names, names, _AGE, _AT_WORKER)
            for service, names in _services(workers).items()
        ),
        ("store", by_kind.get("store", []), workers, _TRANSACTION, _AT_STORE),
    ]  # fmt: skip
    stages = []
    for stage, parts, who_tells, histogram, what in told:
        times = _quantiles_ms(who_tells, before, after, histogram) if histogram else (None, None)
        if times != (None, None) or any(part in window.cpu_s for part in parts):
            stages.append(_stage(stage, window, parts, times, what))
    counts = window.counts
    stages.append(
        Stage(
            name="generator",
            cpu_us_per_call=counts.generator_cpu_s * 1e6 / counts.answered if counts.answered else None,
            cpu_share=counts.generator_cpu_s / counts.seconds if counts.seconds else None,
            p50_ms=counts.quantile_ms(0.5),
            p99_ms=counts.quantile_ms(0.99),
            what="from the time that a Call was to be sent to its answer, at the charge point",
        )
    )
    return stages


def _stage(
    name: str, window: Window, parts: Iterable[str], times: tuple[float | None, float | None], what: str
) -> Stage:
    known = [part for part in parts if part in window.cpu_s]
    spent, counts = sum(window.cpu_s[part] for part in known), window.counts
    return Stage(
        name=name,
        cpu_us_per_call=spent * 1e6 / counts.answered if known and counts.answered else None,
        cpu_share=spent / counts.seconds if known and counts.seconds else None,
        rss_bytes=sum(window.rss_bytes[part] for part in known) if known else None,
        p50_ms=times[0],
        p99_ms=times[1],
        what=what,
    )


def _services(workers: Iterable[str]) -> dict[str, list[str]]:
    services: dict[str, list[str]] = {}
    for name in workers:
        services.setdefault(service_of(name), []).append(name)
    return services


def _quantiles_ms(
    names: Sequence[str], before: Snapshot, after: Snapshot, histogram: str
) -> tuple[float | None, float | None]:
    """p50 and p99 of one histogram over several parts."""
    known = [name for name in names if name in before.readings and name in after.readings]
    first, last = (scraping.together(seen.readings[name] for name in known) for seen in (before, after))
    p50, p99 = (scraping.quantile(first, last, histogram, share) for share in (0.5, 0.99))
    return (None if p50 is None else p50 * 1000, None if p99 is None else p99 * 1000)


def _difference(before: Snapshot, after: Snapshot, part: str, name: str) -> float:
    if part not in after.readings:
        return 0.0
    first = before.readings[part].total(name) if part in before.readings else 0.0
    return _grown(first, after.readings[part].total(name))


def _grown(before: float, after: float) -> float:
    return after - before if after >= before else after
