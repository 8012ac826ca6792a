"""Reports as runs make them: a quiet one, and one with a killed gateway in it."""

from math import exp, sin
from random import Random

from loadtest.report.model import Anchor, Figure, Machine, Moment, Report, Series, Stage

MACHINE = Machine(
    cores=2,
    memory_bytes=24_900_000_000,
    cpu="AMD EPYC 7B13",
    system="Linux 6.1",
    python="3.11.2",
)
WORKERS = ("authorization", "metering", "firmware", "diagnostics", "commands")


def steady(seed: int = 1) -> Report:
    """One minute of the day mix at 4,000 Calls/s: everything holds."""
    rng = Random(seed)
    report = Report(
        scenario="steady",
        command="make load ARGS='steady --charge-points 10000 --rate 4000 --gateways 2 --seconds 60 --anchors'",
        began="2026-11-27T02:10:00Z",
        seconds=92.4,
        machine=MACHINE,
        settings={
            "charge_points": 10_000, "rate": 4000, "kind": "mix", "seconds": 60, "gateways": 2, "share_201": 0.3,
            "tls": False, "limit_p99_ms": 100, "replicas": {"metering": 1}, "processes": 2,
        },
        figures=[
            Figure(name="calls_per_second", value=3998.6, unit="Calls/s", title="Calls answered", at_least=3960.0),
            Figure(name="p50_ms", value=6.1, unit="ms", title="Latency p50", better="less"),
            Figure(name="p99_ms", value=41.7, unit="ms", title="Latency p99", at_most=100.0, better="less"),
            Figure(name="p999_ms", value=88.0, unit="ms", title="Latency p99.9", better="less"),
            Figure(name="gateway_cpu_us_per_call", value=47.31, unit="µs", title="Gateway CPU per Call", at_most=80.0),
            Figure(name="worker_cpu_us_per_call", value=163.2, unit="µs", title="Worker CPU per Call", better="less"),
            Figure(name="kb_per_connection", value=7.42, unit="KB", title="Gateway memory per connection",
                   at_most=8.0, note="plain sockets, booted and at work"),
            Figure(name="errors", value=0, unit="count", title="CALLERRORs and timeouts", at_most=0),
            Figure(name="generator_cpu_share", value=0.61, unit="share", title="Busiest generator process"),
            Figure(name="store_iops", value=None, unit="1/s", title="Store writes", note="the disk tells nothing here"),
        ],
        stages=[
            Stage(name="gateway", cpu_us_per_call=47.3, cpu_share=0.19, rss_bytes=212e6, p50_ms=5.6, p99_ms=39.0,
                  what="from a frame's receipt to its answer"),
            Stage(name="broker", cpu_us_per_call=81.0, cpu_share=0.32, rss_bytes=188e6),
            Stage(name="worker authorization", cpu_us_per_call=38.2, cpu_share=0.15, rss_bytes=96e6, p50_ms=3.1,
                  p99_ms=18.4, what="from a frame's receipt to the reply"),
            Stage(name="worker metering", cpu_us_per_call=118.9, cpu_share=0.47, rss_bytes=104e6, p50_ms=4.4,
                  p99_ms=33.2, what="from a frame's receipt to the reply"),
            Stage(name="store", cpu_us_per_call=66.0, cpu_share=0.26, rss_bytes=301e6, p50_ms=1.9, p99_ms=9.7,
                  what="from begin to commit"),
            Stage(name="generator", cpu_us_per_call=52.0, cpu_share=0.21, rss_bytes=240e6),
        ],
        anchors=[
            Anchor(name="websockets serve() echo", unit="µs CPU per Call", value=34.2, ours=47.3,
                   what="300 bytes, no schema check, no broker"),
            Anchor(name="Sans-I/O echo on uvloop", unit="µs CPU per Call", value=19.4, ours=47.3),
            Anchor(name="CSMS of the ocpp package, 100 charge points", unit="µs CPU per Call", value=197, ours=47.3,
                   what="in one process, no broker, no store"),
            Anchor(name="CSMS of the ocpp package, 5,000 charge points", unit="Calls/s", value=2450, ours=8431),
            Anchor(name="RabbitMQ publish and consume", unit="Calls/s", value=14100, ours=8431,
                   what="a Heartbeat's own body, quorum queue, confirms, acks"),
            Anchor(name="CSMS of the ocpp package", unit="KB per connection", value=22, ours=7.42),
            Anchor(name="websockets serve()", unit="KB per connection", value=15.8, ours=7.42),
        ],
        moments=[Moment(at_s=8.0, text="all connected and booted"), Moment(at_s=31.0, text="the window begins")],
        notes=["Latency counts from the time at which a Call was to be sent."],
    )  # fmt: skip
    _lines(report, rng, seconds=92, rate=4000.0, points=10_000, moments=(8.0,))
    return report


def storm(seed: int = 2) -> Report:
    """A gateway with 18,000 sockets is killed: all come back, but the others wait longer than they may."""
    rng = Random(seed)
    report = Report(
        scenario="storm",
        command="make load ARGS='storm --how gateway-killed --charge-points 24000 --gateways 3'",
        began="2026-11-27T03:00:00Z",
        seconds=180.2,
        machine=MACHINE,
        settings={"charge_points": 24_000, "victims": 18_000, "how": "gateway-killed", "gateways": 3, "tls": False},
        figures=[
            Figure(name="recovery_s", value=38.4, unit="s", title="All connected and booted again", at_most=60.0),
            Figure(name="outlasted", value=0, unit="count", title="Retries refused past their Retry-After", at_most=0),
            Figure(name="others_p99_ratio", value=6.3, unit="ratio", title="Uplink p99 of the others, to the quiet one",
                   at_most=5.0),
            Figure(name="quiet_p99_ms", value=11.4, unit="ms", title="Uplink p99 before", better="less"),
            Figure(name="others_p99_ms", value=71.8, unit="ms", title="Uplink p99 of the others in the storm",
                   better="less"),
            Figure(name="refused", value=21_744, unit="count", title="Connections turned away with Retry-After"),
        ],
        moments=[
            Moment(at_s=60.0, text="gateway-0 killed with 18,000 sockets"),
            Moment(at_s=91.7, text="all connected"),
            Moment(at_s=98.4, text="all booted"),
            Moment(at_s=99.1, text="backlog drained"),
        ],
        failures=["12 Calls of charge points that had never lost their socket were not answered within 30 s"],
        notes=["Charge points wait 1 to 2 s before they come back, twice as long each time, 30 s at most."],
        generator_limited="the busiest generator process used 91 % of a core from 1:02 to 1:31",
    )  # fmt: skip
    _storm_lines(report, rng)
    return report


def _lines(report: Report, rng: Random, *, seconds: int, rate: float, points: int, moments: tuple[float, ...]) -> None:
    add = _Adding(report)
    for second in range(seconds):
        up = min(1.0, second / moments[0])
        load = rate * max(0.0, min(1.0, (second - moments[0]) / 4)) + 40 * up
        sent = load * (1 + 0.015 * rng.uniform(-1, 1))
        add("Calls sent", "Calls/s", "throughput", second, sent)
        add("Calls answered", "Calls/s", "throughput", second, sent * (1 + 0.01 * rng.uniform(-1, 1)))
        add("errors", "Calls/s", "throughput", second, 0.0)
        p50 = 2.0 + 4 * load / rate + rng.uniform(-0.4, 0.6)
        add("p50", "ms", "latency", second, p50)
        add("p99", "ms", "latency", second, p50 * rng.uniform(5, 7.5))
        add("p999", "ms", "latency", second, p50 * rng.uniform(9, 16))
        add("connected", "count", "sockets", second, points * up)
        add("booted", "count", "sockets", second, points * min(1.0, max(0.0, (second - 1) / moments[0])))
        busy = load / rate
        for name, share in (("gateway-0", 0.1), ("gateway-1", 0.095), ("broker", 0.33), ("authorization", 0.15),
                            ("metering", 0.47), ("store", 0.27), ("firmware", 0.004), ("diagnostics", 0.003),
                            ("commands", 0.006), ("generator", 0.22)):  # fmt: skip
            add(name, "share", "cpu", second, share * busy * (1 + 0.06 * rng.uniform(-1, 1)) + 0.002)
        for name, mb, per in (("gateway-0", 84, 37), ("gateway-1", 83, 37), ("metering", 96, 8), ("broker", 160, 30),
                              ("store", 250, 52)):  # fmt: skip
            add(name, "bytes", "memory", second, (mb + per * up + rng.uniform(0, 1)) * 1e6)
        if second > moments[0]:
            add("memory per connection", "KB", "memory", second, 7.4 + 0.08 * exp(-second / 30))
        add("Calls waiting at workers", "count", "queue", second, max(0.0, load / 90 + 12 * rng.uniform(-1, 1)))
        add("Calls in flight at gateways", "count", "queue", second, max(0.0, load / 60 + 12 * rng.uniform(-1, 1)))
        add("age at the reply p99", "ms", "queue", second, p50 * 5)
        add("busiest process", "share", "generator", second, 0.6 * busy + rng.uniform(0, 0.04))
        add("lag", "ms", "generator", second, rng.uniform(0.3, 4.0))


def _storm_lines(report: Report, rng: Random) -> None:
    add = _Adding(report)
    for second in range(181):
        hurt = second >= 60
        back = 1 - exp(-max(0, second - 62) / 7.0) if second < 92 else 1.0
        booted = 1 - exp(-max(0, second - 64) / 8.5) if second < 98 else 1.0
        storming = hurt and second < 99
        add("connected", "count", "sockets", second, 24_000 if not hurt else 6_000 + 18_000 * back)
        add("booted", "count", "sockets", second, 24_000 if not hurt else 6_000 + 18_000 * booted)
        rate = 1500 * (1 + 0.02 * sin(second / 3)) * (0.3 + 0.7 * booted if hurt else 1) + (
            900 * rng.random() if storming else 0
        )
        add("Calls answered", "Calls/s", "throughput", second, rate)
        add("refused", "Calls/s", "throughput", second, 1100 * exp(-(second - 60) / 9) if storming else 0.0)
        slow = 6.3 * exp(-((second - 68) ** 2) / 180) if storming else 0.0
        add("others p50", "ms", "latency", second, 3.1 * (1 + slow) * rng.uniform(0.9, 1.1))
        add("others p99", "ms", "latency", second, 11.4 * (1 + slow) * rng.uniform(0.8, 1.25))
        add("gateway-1", "share", "cpu", second, 0.08 + (0.45 * rng.uniform(0.8, 1.1) if storming else 0))
        add("gateway-2", "share", "cpu", second, 0.08 + (0.43 * rng.uniform(0.8, 1.1) if storming else 0))
        add("gateway-0", "share", "cpu", second, 0.0 if hurt else 0.11)
        add("broker", "share", "cpu", second, 0.16 + (0.22 * rng.uniform(0.8, 1.1) if storming else 0))
        add("authorization", "share", "cpu", second, 0.1 + (0.3 * rng.uniform(0.8, 1.1) if storming else 0))
        add("registrations waiting", "count", "queue", second, 800 * slow / 6.3)


class _Adding:
    def __init__(self, report: Report) -> None:
        self._report = report
        self._series: dict[tuple[str, str], Series] = {}

    def __call__(self, name: str, unit: str, group: str, at_s: float, value: float) -> None:
        series = self._series.get((group, name))
        if series is None:
            series = Series(name=name, unit=unit, group=group)  # type: ignore[arg-type]  # a group of those there are
            self._series[group, name] = series
            self._report.series.append(series)
        series.add(at_s, value)


__all__ = ["MACHINE", "steady", "storm"]


def value(report: Report, name: str) -> float:
    """A figure's value, which has to be there."""
    figure = report.figure(name)
    assert figure is not None, name
    assert figure.value is not None, name
    return figure.value
