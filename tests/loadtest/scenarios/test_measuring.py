"""What the system's side of a stretch says."""

from collections.abc import Mapping

import pytest

from loadtest.scenarios.counting import Counts
from loadtest.scenarios.measuring import Snapshot, queues, service_of, window_of
from loadtest.scenarios.system import Fault, Part, Usage
from loadtest.scraping import Reading


class Known:
    """A system of which only the parts are asked."""

    urls = ("ws://127.0.0.1:1/ocpp",)
    secure_urls = ()
    ca_file = amqp_url = None
    faults = frozenset[Fault]()
    parts = (
        Part("gateway-0", "gateway", "http://g0"),
        Part("gateway-1", "gateway", "http://g1"),
        Part("metering", "worker", "http://m"),
        Part("metering-2", "worker", "http://m2"),
        Part("broker", "broker"),
    )

    def usage(self) -> Mapping[str, Usage]:
        return {}

    def inflict(self, fault: Fault) -> None:
        raise AssertionError

    def transactions(self) -> None:
        return None


def _reading(**samples: float) -> Reading:
    return Reading(1.0, {(name, frozenset[tuple[str, str]]()): value for name, value in samples.items()})


def _histogram(name: str, counts: Mapping[str, float]) -> Reading:
    return Reading(1.0, {(f"{name}_bucket", frozenset({("le", edge)})): count for edge, count in counts.items()})


def _window(before: Snapshot, after: Snapshot, answered: int = 1000):
    return window_of("test", Counts(seconds=10.0, answers={"Heartbeat": answered}), Known(), before, after)


def test_cpu_is_told_by_kind_and_a_restarted_part_counts_from_zero():
    before = Snapshot(0.0, {"gateway-0": Usage(1.0, 10.0), "gateway-1": Usage(50.0, 10.0)}, {})
    after = Snapshot(10.0, {"gateway-0": Usage(1.05, 20.0), "gateway-1": Usage(0.05, 30.0)}, {})
    window = _window(before, after)
    assert window.cpu_us("gateway") == pytest.approx(100.0)
    assert window.cpu_us("store") is None
    assert window.rss_of("gateway") == 50.0
    assert window.stages[0].cpu_share == pytest.approx(0.01)


def test_a_kind_of_which_one_part_is_silent_has_no_sum():
    before = Snapshot(0.0, {"gateway-0": Usage(1.0, 10.0), "gateway-1": Usage(1.0, 10.0)}, {})
    window = _window(before, Snapshot(10.0, {"gateway-0": Usage(1.5, 20.0)}, {}))
    assert window.cpu_us("gateway") is None
    assert window.rss_of("gateway") is None


def test_replicas_of_a_service_are_one():
    used = ({"metering": Usage(float(at), 1.0), "metering-2": Usage(float(at), 1.0)} for at in (0, 1))
    handled = ("ocpp_worker_calls_handled_total", "ocpp_worker_batch_calls_sum", "ocpp_worker_batch_calls_count")
    first, last = (
        {part: _reading(**dict(zip(handled, counts, strict=True))) for part in ("metering", "metering-2")}
        for counts in ((100.0, 100.0, 10.0), (600.0, 600.0, 60.0))
    )
    window = _window(Snapshot(0.0, next(used), first), Snapshot(10.0, next(used), last))
    assert window.handled == {"metering": 1000.0}
    assert window.batch == {"metering": 10.0}
    assert window.service_cpu_us("metering") == pytest.approx(2000.0)
    assert [stage.name for stage in window.stages] == ["worker metering", "generator"]


def test_the_stages_times_are_those_of_all_gateways_in_the_window():
    name = "ocpp_call_roundtrip_duration_seconds"
    before = _histogram(name, {"0.01": 1000.0, "0.1": 1000.0, "+Inf": 1000.0})  # slow or fast: before the window
    quick = _histogram(name, {"0.01": 1090.0, "0.1": 1090.0, "+Inf": 1090.0})
    slow = _histogram(name, {"0.01": 1000.0, "0.1": 1010.0, "+Inf": 1010.0})
    window = _window(
        Snapshot(0.0, {}, {"gateway-0": before, "gateway-1": before}),
        Snapshot(10.0, {}, {"gateway-0": quick, "gateway-1": slow}),
    )
    gateway = window.stages[0]
    assert gateway.p50_ms is not None
    assert gateway.p50_ms <= 10.0
    assert gateway.p99_ms is not None
    assert 10.0 < gateway.p99_ms <= 100.0


def test_queues_are_named_by_where_calls_wait():
    readings = {
        "gateway-0": _reading(ocpp_relay_window_calls=3.0),
        "gateway-1": _reading(ocpp_relay_window_calls=4.0),
        "metering-2": _reading(ocpp_worker_calls_waiting=5.0),
    }
    assert queues(Known(), Snapshot(0.0, {}, readings)) == {
        "Calls in the gateways' windows": 7.0,
        "waiting at metering": 5.0,
    }


@pytest.mark.parametrize(("part", "service"), [("metering", "metering"), ("metering-12", "metering")])
def test_a_replicas_name_tells_its_service(part, service):
    assert service_of(part) == service
