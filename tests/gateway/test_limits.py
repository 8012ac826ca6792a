"""Rates, crowds, back-off and flapping, without sockets and with times of our own."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.buckets import Bucket, Buckets
from gateway.crowd import Crowd
from gateway.failures import MOST_KEYS, BackOff, Failures, Strikes
from gateway.flapping import Flapping
from gateway.pace import Limit, Pace, PaceRules
from gateway.sources import source_of

GAPS = st.lists(st.floats(0, 3), min_size=1, max_size=200)


@given(st.floats(0.5, 50), st.integers(1, 20), GAPS)
def test_a_bucket_lets_no_more_through_than_its_burst_and_its_rate(rate: float, burst: int, gaps: list[float]) -> None:
    bucket, now, passed = Bucket(rate, burst), 100.0, []
    keyed: Buckets[str] = Buckets(rate, burst, 10)
    for gap in gaps:
        now += gap
        passes = bucket.take(now)
        assert keyed.take("k", now) is passes
        if passes:
            passed.append(now)
    for first, began in enumerate(passed):
        for last in range(first, len(passed)):
            assert last - first + 1 <= burst + (passed[last] - began) * rate + 1e-3


@given(st.floats(0.5, 50), st.integers(1, 20))
def test_whoever_keeps_to_the_rate_always_passes(rate: float, burst: int) -> None:
    bucket = Bucket(rate, burst)
    assert all(bucket.take(5 + number * 1.0001 / rate) for number in range(200))


def test_a_bucket_with_a_rate_of_zero_is_no_limit() -> None:
    keyed: Buckets[str] = Buckets(0, 1, 10)
    bucket = Bucket(0, 1)
    assert all(bucket.take(1) and keyed.take("k", 1) for _ in range(1000))
    assert len(keyed) == 0


def test_buckets_by_key_are_apart_and_bounded() -> None:
    keyed: Buckets[int] = Buckets(1, 1, 100)
    assert keyed.take(0, 5)
    assert not keyed.take(0, 5)
    assert keyed.take(1, 5)
    for key in range(1000):
        keyed.take(key, 5)
    assert len(keyed) == 100


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", ""),
        ("x" * 100, "x" * 64),
    ],
)
def test_an_ipv6_source_is_its_whole_network(address: str, source: str) -> None:
    assert source_of(address) == source


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc")), max_size=100))
def test_a_crowd_is_bounded_in_all_and_by_source_and_forgets_who_has_settled(steps: list[tuple[bool, str]]) -> None:
    crowd = Crowd(5, 3)
    inside: list[str] = []
    for arrives, source in steps:
        if arrives:
            reason = crowd.arrived(source)
            if len(inside) >= 5:
                assert reason == "open_handshakes"
            elif inside.count(source) >= 3:
                assert reason == "open_handshakes_of_address"
            else:
                assert reason is None
                inside.append(source)
        elif source in inside:
            inside.remove(source)
            crowd.settled(source)
        assert len(crowd) == len(inside)
    for source in inside:
        crowd.settled(source)
    assert (len(crowd), crowd._by_source) == (0, {})


def test_a_source_without_a_name_counts_in_the_whole_only_and_zero_is_no_limit() -> None:
    crowd = Crowd(4, 1)
    assert [crowd.arrived("") for _ in range(5)] == [None] * 4 + ["open_handshakes"]
    boundless = Crowd(0, 0)
    assert not any(boundless.arrived("a") for _ in range(1000))


# wrong credentials


def test_the_wait_doubles_up_to_its_bound_and_is_forgotten_in_good_conduct() -> None:
    strikes: Strikes[str] = Strikes(BackOff())
    now, waits = 0.0, []
    for _ in range(12):
        strikes.strike("k", now)
        waits.append(strikes.wait("k", now))
        now += waits[-1]
    assert waits[:4] == [1, 2, 4, 8]
    assert waits[-1] == 300
    assert all(later >= earlier for earlier, later in pairwise(waits))
    now += 6000
    strikes.strike("k", now)
    assert strikes.wait("k", now) < 1.1


@given(st.lists(st.floats(0, 2000), max_size=100))
def test_no_wait_is_longer_than_the_bound_and_none_shorter_than_the_first(gaps: list[float]) -> None:
    strikes: Strikes[str] = Strikes(BackOff())
    now = 0.0
    for gap in gaps:
        now += gap
        strikes.strike("k", now)
        assert 0.999 < strikes.wait("k", now) < 300.001  # sums of floats


def test_strikes_are_bounded_and_can_be_switched_off() -> None:
    strikes: Strikes[int] = Strikes(BackOff(first=0), most_keys=10)
    for key in range(100):
        strikes.strike(key, 1)
        assert strikes.wait(key, 1) == 0
    assert len(strikes) == 10
    assert MOST_KEYS <= 100_000


def test_a_guess_is_held_up_for_its_identity_and_source_only() -> None:
    failures = Failures(BackOff())
    failures.failed("CP", "a", 0)
    assert failures.wait("CP", "a", 0) == 1
    assert failures.wait("CP", "b", 0) == failures.wait("DP", "a", 0) == 0
    assert failures.wait("CP", "a", 1) == 0


def test_a_guess_from_many_sources_makes_each_of_them_wait_long_and_the_charge_point_nowhere() -> None:
    failures = Failures(BackOff(per_identity=20))
    for number in range(25):
        failures.failed("CP", f"bot-{number}", 0)
    assert failures.wait("CP", "bot-24", 0) == 16
    assert failures.wait("CP", "bot-0", 0) == 1
    assert failures.wait("CP", "a new mobile address", 0) == 0
    assert failures.wait("DP", "bot-24", 0) == 0


def test_a_guess_at_many_identities_makes_each_wait_at_that_source_and_nobody_else() -> None:
    failures = Failures(BackOff(per_source=100))
    for number in range(105):
        failures.failed(f"x{number}", "carrier", 0)
    assert failures.wait("x104", "carrier", 0) == 16
    assert failures.wait("x104", "elsewhere", 0) == 0
    assert failures.wait("set up rightly", "carrier", 0) == 0


def test_one_that_was_set_up_wrongly_is_looked_at_again_in_time_whatever_the_others_do() -> None:
    failures = Failures(BackOff(per_identity=1, per_source=1))
    failures.failed("CP", "proxy", 0)
    for now in range(300):
        failures.failed(f"x{now}", "proxy", now)
        failures.failed("CP", f"bot-{now}", now)
    assert failures.wait("CP", "proxy", 300) == 0


def test_a_neighbour_that_guesses_behind_the_same_address_cannot_lock_a_charge_point_out() -> None:
    failures = Failures(BackOff())
    failures.succeeded("CP", "carrier")
    for _ in range(1000):
        failures.failed("CP", "carrier", 0)
    assert failures.wait("CP", "carrier", 0) == 0
    assert failures.wait("CP", "elsewhere", 0) == 0


def test_the_last_few_places_where_a_charge_point_was_let_in_are_remembered() -> None:
    failures = Failures(BackOff())
    for place in ("a", "b", "c", "d"):
        failures.failed("CP", place, 0)
        failures.succeeded("CP", place)
        assert failures.wait("CP", place, 0) == 0
    for place in ("a", "d"):
        failures.failed("CP", place, 0)
    assert failures.wait("CP", "a", 0) > 0
    assert failures.wait("CP", "d", 0) == 0


# flapping


def test_who_comes_in_too_often_is_held_and_the_newest_takes_over_the_wait() -> None:
    flapping: Flapping[str] = Flapping(per_minute=3, delay=5)
    assert [flapping.passes("CP", 0) for _ in range(4)] == [True, True, True, False]
    assert flapping.passes("DP", 0)
    assert flapping.hold("CP", "first", 0) is None
    assert flapping.hold("CP", "second", 4) == "first"
    assert (flapping.due(4.9), len(flapping)) == ([], 1)
    assert flapping.due(5) == ["second"]
    assert len(flapping) == 0


def test_nobody_overtakes_the_one_that_is_held_and_one_that_leaves_makes_room() -> None:
    flapping: Flapping[str] = Flapping(per_minute=60, delay=5)
    flapping.hold("CP", "held", 0)
    assert not flapping.passes("CP", 4)
    flapping.discard("held")
    flapping.discard("held")
    assert flapping.passes("CP", 4)
    assert flapping.due(100) == []


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 2), st.booleans()), max_size=100))
def test_each_held_one_comes_back_once_or_is_handed_back_or_leaves(steps: list[tuple[str, float, bool]]) -> None:
    flapping: Flapping[int] = Flapping(per_minute=1, delay=3)
    now = 0.0
    held: set[int | None] = set()
    last: dict[str, int] = {}
    for number, (identity, gap, leaves) in enumerate(steps):
        now += gap
        for item in flapping.due(now):
            held.remove(item)
        older = flapping.hold(identity, number, now)
        assert older == (last.get(identity) if last.get(identity) in held else None)
        held -= {older}
        held.add(number)
        last[identity] = number
        if leaves:
            flapping.discard(number)
            held.remove(number)
        assert len(flapping) == len(held)
    assert set(flapping.due(now + 3)) == held


# pace

RULES = PaceRules(20, 65536)


def test_the_largest_message_and_two_hundred_small_ones_pass_at_once() -> None:
    assert Pace(RULES).charge(1024 * 1024, 50.0) is None
    pace = Pace(RULES)
    assert not any(pace.charge(300, 50.0) for _ in range(199))
    assert pace.charge(300, 50.0) is Limit.FRAMES
    assert not pace.has_room(50.0)
    assert pace.has_room(50.06)


def test_bytes_are_a_limit_of_their_own() -> None:
    pace = Pace(RULES)
    assert pace.charge(1024 * 1024, 50.0) is None
    assert pace.charge(65536, 50.0) is Limit.BYTES
    assert not pace.has_room(50.9)
    assert pace.has_room(51.1)


@given(st.integers(100, 1500), st.floats(0.0, 0.2))
def test_an_offline_queue_in_lockstep_comes_through_at_the_rate(messages: int, roundtrip: float) -> None:
    pace, now = Pace(RULES), 50.0
    for _ in range(messages):
        now += roundtrip
        if pace.charge(1000, now) is not None:
            while not pace.has_room(now):
                now += 0.2  # the tick
    assert now - 50 <= messages * max(0.06, roundtrip + 0.05) + 1


def test_without_limits_nothing_is_charged_for() -> None:
    assert PaceRules(0, 0).off
    frames_only, bytes_only = Pace(PaceRules(20, 0)), Pace(PaceRules(0, 1000))
    assert frames_only.charge(10**9, 50.0) is None
    assert not any(bytes_only.charge(1, 50.0) for _ in range(10_000))


@pytest.mark.parametrize("rate", [0.05, 1, 1000])
def test_any_rate_gives_room_again_in_the_end(rate: float) -> None:
    pace = Pace(PaceRules(rate, rate))
    while pace.charge(1, 50.0) is None:
        pass
    assert not pace.has_room(50.0) or rate >= 1
    assert pace.has_room(50.0 + 2 / rate)
