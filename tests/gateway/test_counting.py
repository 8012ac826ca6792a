"""What is counted and told of each Call and command, through real sockets and a broker in memory."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import structlog
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from contracts.envelope import CommandEnvelope, ReplyEnvelope
from contracts.versions import ErrorKind
from gateway import metrics
from gateway.effects import Ending
from tests.gateway.conftest import until
from tests.gateway.sessions import START
from tests.gateway.station import call, hear, plug_in, say


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


@contextmanager
def grows(name: str, **labels: str) -> Iterator[None]:
    before = value(name, **labels)
    yield
    assert value(name, **labels) - before == 1


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [(ReplyEnvelope(payload=b"{}"), "result"), (ReplyEnvelope(error_kind=ErrorKind.GENERIC), "call_error")],
)
async def test_an_answered_call_is_counted_by_action_and_outcome_and_timed_in_its_stages(edge_alone, reply, outcome):
    gateway, link = await edge_alone()
    station = await plug_in(gateway)
    stages = [value("ocpp_call_stage_duration_seconds_count", stage=stage) for stage in ("queued", "confirmed")]
    with (
        grows("ocpp_call_answered_total", action="Heartbeat", outcome=outcome),
        grows("ocpp_call_roundtrip_duration_seconds_count", action="Heartbeat"),
        grows("ocpp_call_stage_duration_seconds_count", stage="answered"),
    ):
        await say(station, 2, "1", "Heartbeat", {})
        await until(lambda: link.calls)
        link.confirm(link.calls[0])
        link.reply(link.calls[0], reply)
        await hear(station)
        gateway.edge.tick()
    assert [value("ocpp_call_stage_duration_seconds_count", stage=one) for one in ("queued", "confirmed")] == [
        many + 1 for many in stages
    ]
    for ending in Ending:  # those that have not come about are 0, so that the first one is a rise
        labels = {"action": "Heartbeat", "outcome": ending.value}
        assert REGISTRY.get_sample_value("ocpp_call_answered_total", labels) is not None


async def test_calls_that_no_worker_answered_are_counted_by_whose_fault_that_is(edge_alone):
    gateway, link = await edge_alone(call_timeout_seconds=0.05)
    station = await plug_in(gateway)
    with (
        grows("ocpp_call_answered_total", action="BootNotification", outcome="refused"),
        grows("ocpp_call_answered_total", action="other", outcome="refused"),
        grows("ocpp_call_answered_total", action="Heartbeat", outcome="timeout"),
        grows("ocpp_call_answered_total", action="StartTransaction", outcome="failed"),
        grows("ocpp_call_answered_total", action="Authorize", outcome="closed"),
    ):
        await call(station, "1", "BootNotification", {})
        await call(station, "2", "Make Coffee " + "x" * 60)
        assert (await call(station, "3", "Heartbeat"))[2] == "InternalError"
        await say(station, 2, "4", "StartTransaction", START)
        await until(lambda: len(link.calls) == 2)
        link.give_back(link.calls[1])
        await say(station, 2, "5", "Authorize", {"idTag": "T"})
        await until(lambda: len(link.calls) == 3)
        await station.close()
        await until(lambda: not gateway.edge.registry)
        gateway.edge.tick()


async def test_an_action_that_no_schema_knows_makes_no_label_of_its_own(edge_alone):
    gateway, _ = await edge_alone()
    station = await plug_in(gateway)
    await call(station, "1", "MakeCoffee!")
    gateway.edge.tick()
    actions = {
        sample.labels["action"]
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name.startswith("ocpp_call_answered")
    }
    assert "other" in actions
    assert not any("Coffee" in action for action in actions)


async def test_violations_are_counted_by_action_rule_and_verdict(edge_alone):
    gateway, link = await edge_alone()
    link.auto = True
    station = await plug_in(gateway)
    refused = {"direction": "in", "action": "Authorize", "rule": ErrorKind.OCCURRENCE.value, "verdict": "refused"}
    taken = {"direction": "in", "action": "StopTransaction", "rule": ErrorKind.TYPE.value, "verdict": "taken"}
    stop = {"transactionId": "x", "meterStop": 1, "timestamp": "2026-01-01T00:00:00Z"}
    with grows("ocpp_validation_failed_total", **refused), grows("ocpp_validation_failed_total", **taken):
        await call(station, "1", "Authorize", {})
        await call(station, "2", "StopTransaction", stop)


async def test_a_command_and_the_answer_to_it_are_counted_and_judged(edge_alone):
    gateway, link = await edge_alone()
    station = await plug_in(gateway)
    far = 2**52
    with (
        grows("ocpp_call_sent_total", action="Reset", outcome="rejected"),
        grows("ocpp_call_sent_total", action="ClearCache", outcome="result"),
        grows("ocpp_command_roundtrip_duration_seconds_count", action="ClearCache"),
        grows(
            "ocpp_validation_failed_total",
            direction="out",
            action="Reset",
            rule=ErrorKind.OCCURRENCE.value,
            verdict="refused",
        ),
        grows(
            "ocpp_validation_failed_total",
            direction="result",
            action="ClearCache",
            rule=ErrorKind.OCCURRENCE.value,
            verdict="refused",
        ),
    ):
        link.command(CommandEnvelope("c1", "CP-1", "Reset", b"{}", far))
        link.command(CommandEnvelope("c2", "CP-1", "ClearCache", b"{}", far))
        assert (await hear(station))[1] == "c2"
        await say(station, 3, "c2", {})
        await until(lambda: not gateway.edge.dispatch)


async def test_sessions_are_shown_by_version_and_profile(edge_alone):
    gateway, _ = await edge_alone()
    with grows("ocpp_ws_active_connections", version="2.0.1", profile="0"):
        await plug_in(gateway, "CP-9", "ocpp2.0.1")
        await until(lambda: len(gateway.edge.registry) == 1)


async def test_the_oldest_change_that_nobody_confirmed_is_the_lag_of_announcements(edge_alone):
    gateway, link = await edge_alone()
    station = await plug_in(gateway)
    await until(lambda: link.announced)
    edge = gateway.edge
    assert edge.announcements.lag_s(edge.clock.now() + 7) == pytest.approx(7, abs=2)
    await station.close()
    await until(lambda: len([one for one in link.announced if one.token]) >= 2)
    for message in link.announced:
        if message.token is not None:
            link.confirm(message)
    assert edge.announcements.lag_s(edge.clock.now() + 7) == 0


async def test_limits_and_the_drain_are_shown(edge_alone):
    gateway, _ = await edge_alone(max_connections=77, window_calls=99)
    assert (value("ocpp_ws_connections_limit"), value("ocpp_relay_window_limit_calls")) == (77, 99)
    try:
        gateway.edge.begin_drain()
        assert value("ocpp_gateway_draining") == 1
    finally:
        metrics.DRAINING.set(0)


async def test_at_debug_each_call_has_one_line_without_its_payload(edge_alone):
    gateway, link = await edge_alone()
    link.auto = True
    with capture_logs() as lines:
        station = await plug_in(gateway)
        await call(station, "u-1", "Authorize", {"idTag": "SECRET-TAG"})
    (line,) = [line for line in lines if line["event"] == "call.answered"]
    (connection,) = gateway.edge.registry
    assert {**line, "duration_s": None} == {
        "event": "call.answered",
        "log_level": "debug",
        "identity": "CP-1",
        "session": connection.session.session_id,
        "unique_id": "u-1",
        "action": "Authorize",
        "outcome": "result",
        "duration_s": None,
        "trace": None,  # which the log leaves out
    }
    assert line["duration_s"] >= 0
    assert "SECRET-TAG" not in str(lines)


async def test_at_info_no_call_has_a_line(edge_alone):
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(20))
    try:
        with capture_logs() as lines:
            gateway, link = await edge_alone()
            link.auto = True
            station = await plug_in(gateway)
            await call(station, "u-1", "Heartbeat")
    finally:
        structlog.reset_defaults()
    assert "session.opened" in [line["event"] for line in lines]
    assert "call.answered" not in [line["event"] for line in lines]
