"""What charge points ask for follows from the day mix."""

import pytest

from contracts.actions import Service
from loadtest.crowd.mix import Mix, calls_per_second
from loadtest.sizing.constants import shipped
from loadtest.sizing.demand import OWNERS, Options, demand
from loadtest.sizing.workers import call_us


def test_calls_are_those_of_the_mix_in_its_busiest_hour() -> None:
    asked = demand(1000, Options())
    assert asked.calls == calls_per_second(Mix(), 1000, at_peak=True)
    assert asked.calls_per_s == pytest.approx(sum(asked.calls.values()))


@pytest.mark.parametrize("share_201", [0.0, 0.3, 1.0])
def test_every_call_has_one_service_and_a_cost(share_201) -> None:
    asked = demand(1000, Options(share_201=share_201))
    of_services = [asked.calls_of(service) for service in Service]
    assert sum(sum(calls.values()) for calls in of_services) == pytest.approx(asked.calls_per_s)
    assert asked.calls.keys() <= OWNERS.keys()
    assert all(call_us(action, shipped()) > 0 for action in asked.calls)


def test_a_day_has_its_samples() -> None:
    mix = Mix(sessions_per_day=2, session_s=3600, sample_s=600)
    day = demand(10, Options(mix=mix, samples_per_message=4))
    assert day.samples_per_day == pytest.approx(10 * 2 * 5 * 4)
    newer = demand(10, Options(mix=mix, samples_per_message=4, share_201=1.0))
    assert newer.samples_per_day == pytest.approx(10 * 2 * (5 * 4 + 2))


@pytest.mark.parametrize("share_201", [0.0, 1.0])
def test_without_meter_events_only_the_others_are_written(share_201) -> None:
    options = {"share_201": share_201, "reconnects_per_day": 0.0}
    all_events = demand(1000, Options(**options)).events_per_day
    few = demand(1000, Options(**options, meter_events=False)).events_per_day
    mix = Mix()
    statuses = 2 if share_201 else 4
    boots = mix.boots_per_day * (1 + (1 if share_201 else 2))
    assert few == pytest.approx(1000 * (mix.sessions_per_day * (statuses + 2) + boots))
    messages = mix.samples_per_session + (2 if share_201 else 0)
    assert all_events - few == pytest.approx(1000 * mix.sessions_per_day * messages)


@pytest.mark.parametrize(
    "wrong",
    [{"share_201": 1.1}, {"head_room": 1.0}, {"zones": 0}, {"keep_days": 0}, {"commands_per_day": -1}],
)
def test_what_cannot_be_is_refused(wrong) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Options(**wrong)
