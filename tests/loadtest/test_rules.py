"""The pure parts: back-off, queue, clock, meter, frames, histogram, configuration."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest import frames
from loadtest.backoff import full_jitter, retry_back_off
from loadtest.clock import Clock, utc_text
from loadtest.connector import Connector, IllegalTransition, State
from loadtest.ledger import Ledger, SampleRecord
from loadtest.meter import Car, Meter
from loadtest.roundtrips import RoundTrips
from loadtest.settings import LinkSettings
from loadtest.transaction_queue import Queued, TransactionQueue
from loadtest.transport import charge_point_url
from loadtest.v201 import _meter_value

ATTEMPTS = st.integers(0, 100_000)
SECONDS = st.floats(0, 1e6)
SEEDS = st.integers(0, 2**32).map(Random)


@settings(deadline=None)
@given(ATTEMPTS, SECONDS, SECONDS, SEEDS)
def test_full_jitter_stays_between_nothing_and_the_doubled_base_or_the_cap(attempt, base, cap, rng):
    wait = full_jitter(attempt, base, cap, rng)
    assert 0 <= wait <= cap
    assert wait <= base * 2.0 ** min(attempt, 60)


@settings(deadline=None)
@given(ATTEMPTS, SECONDS, SECONDS, st.integers(0, 20), SEEDS)
def test_the_201_back_off_doubles_the_minimum_only_so_often_and_adds_at_most_the_range(
    attempt, minimum, random_range, repeats, rng
):
    wait = retry_back_off(attempt, minimum, random_range, repeats, rng)
    lowest = minimum * 2.0 ** min(attempt, repeats)
    assert lowest <= wait <= lowest + random_range


class Told:
    def __init__(self, name: str, *, sample: bool = False) -> None:
        self.name = name
        self.outcome: str | None = None
        self.message = Queued(name, dict, self._confirmed, self._dropped, sample=sample)

    def _confirmed(self, _reply: dict[str, Any]) -> None:
        self.outcome = "confirmed"

    def _dropped(self, why: str) -> None:
        self.outcome = why


@settings(deadline=None)
@given(st.lists(st.booleans(), max_size=60), st.integers(1, 20))
def test_a_full_queue_keeps_order_and_gives_up_samples_first(samples, limit):
    queue, told = TransactionQueue(limit), []
    for number, sample in enumerate(samples):
        one = Told(str(number), sample=sample)
        told.append(one)
        queue.put(one.message)
    assert len(queue) == min(limit, len(samples))
    order = []
    while (head := queue.head()) is not None:
        order.append(int(head.action))
        queue.confirm({})
    assert order == sorted(order)
    outcomes = [one.outcome for one in told]
    assert set(outcomes) <= {"confirmed", "full"}
    assert outcomes.count("confirmed") == len(order)
    lost_essential = any(o == "full" and not s for o, s in zip(outcomes, samples, strict=True))
    kept_samples = sum(1 for o, s in zip(outcomes, samples, strict=True) if o == "confirmed" and s)
    assert not lost_essential or kept_samples <= limit


def test_an_essential_message_displaces_a_sample_but_never_the_one_being_sent():
    queue = TransactionQueue(3)
    told = [Told("a", sample=True), Told("b", sample=True), Told("c"), Told("d"), Told("e")]
    for one in told:
        queue.put(one.message)
    assert [one.outcome for one in told] == [None, "full", None, None, "full"]


def test_the_wait_grows_with_each_failure_until_the_message_is_given_up():
    queue, one = TransactionQueue(5), Told("a")
    queue.put(one.message)
    assert queue.fail(3, 10.0, counts=True) == 10.0
    assert queue.fail(3, 10.0, counts=True) == 20.0
    assert queue.fail(3, 10.0, counts=True) is None
    assert one.outcome == "attempts"
    assert len(queue) == 0


def test_a_failure_that_does_not_count_never_gives_a_message_up():
    queue, one = TransactionQueue(5), Told("a")
    queue.put(one.message)
    assert [queue.fail(1, 1.0, counts=False) for _ in range(50)][-1] == 50.0
    assert one.outcome is None


def test_a_failure_that_does_not_count_makes_the_wait_longer_and_uses_up_no_attempt():
    queue, one = TransactionQueue(5), Told("a")
    queue.put(one.message)
    waits = [queue.fail(2, 10.0, counts=counts) for counts in (False, False, False, True, True)]
    assert waits == [10.0, 20.0, 30.0, 40.0, None]
    assert one.outcome == "attempts"


@settings(deadline=None)
@given(st.floats(0.1, 10_000), st.floats(0, 5_000), st.lists(st.floats(0, 10_000), max_size=20))
def test_a_fast_clock_is_monotonous_and_never_ahead_of_the_wall(speed, horizon, waits):
    start = datetime(2024, 5, 1, tzinfo=UTC)
    now = [0.0]
    clock = Clock(speed, horizon_s=horizon, wall=lambda: start, monotonic=lambda: now[0])
    stamps = []
    for wait in waits:
        now[0] += wait
        stamps.append(clock.now())
        assert stamps[-1] <= start + timedelta(seconds=now[0])
    assert stamps == sorted(stamps)


def test_a_clock_inside_its_horizon_runs_at_its_speed():
    start, now = datetime(2024, 5, 1, tzinfo=UTC), [0.0]
    clock = Clock(60, horizon_s=100, wall=lambda: start, monotonic=lambda: now[0])
    before = clock.now()
    now[0] = 60.0
    assert clock.now() - before == timedelta(hours=1)
    assert clock.session_delay(3600) == 60.0
    assert clock.protocol_delay(30) == 30.0


def test_a_time_is_written_in_utc_with_three_decimals():
    assert utc_text(datetime.fromisoformat("2024-05-01T14:00:00.123456+02:00")) == "2024-05-01T12:00:00.123Z"


@settings(deadline=None)
@given(SEEDS, st.lists(st.tuples(st.floats(0, 600), st.floats(0, 22_000)), max_size=50), st.integers(1, 3))
def test_a_meter_never_runs_backwards_and_a_car_takes_no_more_than_offered(rng, steps, phases):
    meter, car = Meter(phases, rng, 5.0), Car(40_000, 0.5, 11_000)
    for seconds, offered in steps:
        before = meter.register_wh
        car.elapsed_s += seconds
        power = car.power_w(offered)
        car.take(meter.advance(seconds, power))
        assert 0 <= power <= min(offered, 11_000)
        assert before <= meter.register_wh
        assert car.soc <= 1.0


def test_a_201_reading_carries_number_and_unit():
    reading = Meter(1, Random(1), 1234.9).readings(0.5)[0]
    assert _meter_value("t", "Sample.Periodic", [reading])["sampledValue"][0] == {
        "value": 1234.0,
        "context": "Sample.Periodic",
        "measurand": "Energy.Active.Import.Register",
        "location": "Outlet",
        "unitOfMeasure": {"unit": "Wh"},
    }


@settings(deadline=None)
@given(st.one_of(st.text(), st.binary()))
def test_whatever_arrives_is_a_frame_or_a_flaw(data):
    assert isinstance(frames.decode(data, "1.6"), frames.Call | frames.CallResult | frames.CallError | frames.Malformed)


def test_frames_are_read_as_they_are_written():
    assert frames.decode(frames.encode_call("1", "Reset", {"type": "Hard"}), "1.6") == frames.Call(
        "1", "Reset", {"type": "Hard"}
    )
    assert frames.decode(frames.encode_result("1", {}), "1.6") == frames.CallResult("1", {})
    assert frames.decode(frames.encode_error("1", "NotImplemented", ""), "1.6") == frames.CallError(
        "1", "NotImplemented", "", {}
    )


@settings(deadline=None)
@given(st.lists(st.floats(0.0001, 100.0), min_size=1, max_size=200), st.floats(0.01, 1.0))
def test_a_quantile_is_at_most_five_percent_off(durations, share):
    trips = RoundTrips()
    for duration in durations:
        trips.add(duration)
    exact = sorted(durations)[max(0, -int(-share * len(durations) // 1) - 1)]
    assert exact / 1.0001 <= trips.quantile(share) <= exact * 1.0501


def test_the_ledger_stays_within_its_bound():
    ledger = Ledger("A", "1.6", most_records=2, keep_readings=False)
    ledger.confirm_samples([SampleRecord(1, 1, "t", "c", 0.0, "MeterValues", (("a", None, "1"),)) for _ in range(5)])
    assert (len(ledger.samples), ledger.records_left_out) == (2, 3)
    assert ledger.samples[0].readings == ()


def test_a_connector_refuses_an_impossible_change():
    connector = Connector(1, Meter(1, Random(1)))
    with pytest.raises(IllegalTransition):
        connector.move(State.CHARGING)


def test_an_identity_is_percent_encoded_once_and_secrets_are_not_shown():
    assert charge_point_url("ws://h/ocpp/", "RDAM 1/2%") == "ws://h/ocpp/RDAM%201%2F2%25"
    assert "secret" not in repr(LinkSettings(url="ws://h", password=b"secret"))
