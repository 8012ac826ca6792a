"""What a crowd's ticks say about a stretch."""

from loadtest.crowd.conductor import CrowdTick
from loadtest.roundtrips import bucket_of
from loadtest.scenarios.counting import Gathering, together, unanswered
from loadtest.scenarios.verdicts import about_answers, about_transactions


def _tick(at: float, sent: int, answered: int, **more) -> CrowdTick:
    return CrowdTick(at=at, calls={"Heartbeat": sent}, answers={"Heartbeat": answered}, connected=10, booted=10, **more)


def _gathered(*ticks: CrowdTick) -> Gathering:
    gathering = Gathering(ticks[0])
    for tick in ticks[1:]:
        gathering.add(tick)
    return gathering


def test_counts_what_came_after_the_first_tick():
    gathering = _gathered(
        _tick(10.0, 100, 90, latency={"Heartbeat": {bucket_of(9.0): 90}}),
        _tick(11.0, 200, 195, latency={"Heartbeat": {bucket_of(0.010): 105}}),
        _tick(12.0, 300, 290, latency={"Heartbeat": {bucket_of(0.010): 94, bucket_of(1.0): 1}}, cut_off=2),
    )
    counts = gathering.counts()
    assert (counts.seconds, counts.calls, counts.answers, counts.cut_off) == (
        2.0, {"Heartbeat": 200}, {"Heartbeat": 200}, 2,
    )  # fmt: skip
    assert counts.per_second == 100.0
    p50, p999 = counts.quantile_ms(0.5), counts.quantile_ms(0.999)
    assert p50 is not None
    assert 9.5 <= p50 <= 10.5
    assert p999 is not None
    assert 950 <= p999 <= 1050
    assert counts.quantile_ms(0.5, "Authorize") is None


def test_a_call_is_unanswered_until_something_ends_it():
    tick = _tick(1.0, 100, 90, errors={"timeout": 3, "InternalError": 2, "refused StartTransaction": 7}, cut_off=1)
    assert unanswered(tick) == 4


def test_several_crowds_add_up_and_the_busiest_generator_counts():
    one = _gathered(_tick(0.0, 0, 0), _tick(1.0, 50, 50, busiest_cpu_share=0.2, lag_s=0.001)).counts()
    other = _gathered(_tick(0.0, 0, 0), _tick(1.0, 30, 20, busiest_cpu_share=0.9, lag_s=0.002)).counts()
    both = together([one, other])
    assert (both.answered, both.in_flight, both.least_connected, both.seconds) == (70, 10, 20, 1.0)
    assert "90%" in both.generator_limited


def test_late_timers_limit_only_when_they_are_often_late():
    on_time = [_tick(float(second), 0, 0, lag_s=0.001) for second in range(101)]
    assert not _gathered(*on_time, _tick(101.0, 0, 0, lag_s=2.0)).counts().generator_limited
    late = [_tick(float(second), 0, 0, lag_s=0.2) for second in range(101)]
    assert "200 ms late" in _gathered(*late).counts().generator_limited


def test_calls_that_pile_up_unsent_are_the_generators_fault_only_when_few_wait_for_answers():
    slow_generator = _gathered(_tick(0.0, 0, 0), _tick(1.0, 1000, 999, waiting=500)).counts()
    assert "due and not sent" in slow_generator.generator_limited
    slow_system = _gathered(_tick(0.0, 0, 0), _tick(1.0, 1000, 990, waiting=500)).counts()
    assert not slow_system.generator_limited


def test_errors_lost_sockets_and_open_calls_are_failures():
    fine = _tick(1.0, 10, 10)
    assert about_answers([fine]) == []
    assert about_answers([_tick(1.0, 10, 10, ended={"1000": 3})])  # politely, but what was due meanwhile is not sent
    bad = _tick(1.0, 10, 7, errors={"timeout": 1}, ended={"1006": 2}, cut_off=1)
    said = "\n".join(about_answers([fine, bad]))
    assert "1 Calls ended in errors: timeout 1" in said
    assert "1 Calls have no answer" in said
    assert "1006 2" in said
    assert "1 Calls were cut off" in said


def test_the_store_has_to_hold_what_was_confirmed_once():
    tick = _tick(1.0, 0, 0, started=5, start_confirmed=5, stop_confirmed=5)
    before = {"open": 1, "ended": 100, "double": 0}
    assert about_transactions([tick], before, {"open": 1, "ended": 105, "double": 0}) == []
    assert about_transactions([tick], None, None) == []
    assert "did not answer" in about_transactions([tick], before, None)[0]
    lost = about_transactions([tick], before, {"open": 2, "ended": 104, "double": 1})
    assert len(lost) == 3
    assert about_transactions([_tick(1.0, 0, 0, unconfirmed=2)], None, None) == [
        "2 transaction messages were never confirmed"
    ]
