"""Storms on paper keep their sums, and agree with what can be said without them."""

from dataclasses import replace
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.sizing.storm import Storm, recovery

CALM = Storm(away=1000, gateways=2, opening_us=500.0, workers=2.0, look_up_us=100.0, boot_us=1000.0)


def test_a_few_are_back_as_soon_as_they_try() -> None:
    back = recovery(CALM)
    assert back.connected_s == back.registered_s == 2
    assert (back.refused, back.dropped, back.boots_again) == (0, 0, 0)


def test_the_limit_of_a_carriers_address_takes_2_to_5_minutes_for_20000() -> None:
    """The same is said of the setting OCPP_GATEWAY_HANDSHAKES_PER_SECOND_PER_ADDRESS."""
    back = recovery(replace(CALM, away=20_000, gateways=1, limit_per_s=200.0, opening_at_once=2000))
    assert 100 <= back.connected_s <= 300
    assert back.refused > 0
    assert back.dropped > 0


def test_cpu_alone_bounds_where_there_is_no_limit() -> None:
    back = recovery(replace(CALM, away=20_000, opening_us=2000.0, workers=inf))
    assert 20_000 * 2000e-6 / 2 <= back.connected_s <= 20_000 * 2000e-6 / 2 + 3
    assert back.busiest_share == pytest.approx(1.0)


def test_calls_of_those_connected_go_first() -> None:
    idle, busy = (
        recovery(replace(CALM, away=20_000, opening_us=1000.0, connected=10_000, work_per_point=work)).connected_s
        for work in (0.0, 1.2e-4)
    )
    assert busy > idle * 1.5


def test_boots_take_what_the_workers_have() -> None:
    back = recovery(replace(CALM, away=50_000, boots=True, spread_s=60.0))
    assert back.registered_s >= 50_000 * (1000.0 + 100.0) * 1e-6 / 2
    assert back.connected_s < back.registered_s
    assert recovery(replace(CALM, away=50_000, boots=True, spread_s=60.0, workers=20.0)).registered_s < 70


def test_boots_that_wait_longer_than_the_gateway_are_repeated() -> None:
    assert recovery(replace(CALM, away=100_000, gateways=9, boots=True, workers=1.0)).boots_again > 0


def test_look_ups_that_wait_too_long_are_refused_and_come_again() -> None:
    back = recovery(replace(CALM, away=50_000, gateways=50, look_up_us=2000.0))
    assert back.refused > 0
    assert back.connected_s < inf


@pytest.mark.parametrize("never", [{"workers": 0.0}, {"connected": 10_000.0, "work_per_point": 1e-3}])
def test_where_nothing_is_left_nobody_comes_back(never) -> None:
    back = recovery(replace(CALM, **never))
    assert (back.half_s, back.connected_s, back.registered_s) == (inf, inf, inf)


STORMS = st.builds(
    Storm,
    away=st.floats(1, 30_000),
    gateways=st.integers(1, 8),
    opening_us=st.floats(50, 3000),
    limit_per_s=st.floats(100, 1000),
    opening_at_once=st.floats(500, 5000),
    boots=st.booleans(),
    boot_relay_us=st.floats(0, 300),
    workers=st.floats(1, 8),
    look_up_us=st.floats(10, 500),
    boot_us=st.floats(100, 4000),
    spread_s=st.floats(0, 60),
)


@given(storm=STORMS)
@settings(max_examples=30, deadline=None)
def test_all_come_back_nobody_twice_and_nobody_leaves_again(storm) -> None:
    back = recovery(storm)
    connected = [moment.connected for moment in back.moments]
    registered = [moment.registered for moment in back.moments]
    assert back.half_s <= back.connected_s <= back.registered_s < inf
    assert connected == sorted(connected)
    assert registered == sorted(registered)
    assert all(low <= high + 1e-6 for low, high in zip(registered, connected, strict=True))
    assert storm.away - 0.5 < registered[-1] <= storm.away * (1 + 1e-9)
    assert 0 <= back.busiest_share <= 1 + 1e-9
