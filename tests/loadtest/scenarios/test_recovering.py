"""Curves of recovery, by ticks as a crowd tells them."""

from loadtest.crowd.conductor import CrowdTick
from loadtest.scenarios.recovering import Answers, Return
from loadtest.scenarios.slow_worker import backlog


def _tick(at: float, *, there: int = 100, opened: int = 100, answers: int = 0, away_s: float = 0.0) -> CrowdTick:
    return CrowdTick(
        at=at, connected=there, booted=there, opened=opened, charge_points=100, answers={"Heartbeat": answers},
        longest_away_s=away_s,
    )  # fmt: skip


def test_who_has_not_noticed_yet_is_not_back():
    curve = Return(_tick(10))
    assert not curve.add(_tick(11), 1.0)
    assert curve.reached == {}


def test_a_share_is_back_in_the_first_second_in_which_it_is():
    curve = Return(_tick(10))
    assert not curve.add(_tick(11, there=0, away_s=0.5), 1.0)
    assert not curve.add(_tick(12, there=60, opened=160, away_s=1.5), 2.0)
    assert not curve.add(_tick(13, there=99, opened=199, away_s=2.5), 3.0)
    assert curve.add(_tick(14, opened=200), 4.0)
    assert curve.reached == {0.5: 2.0, 0.9: 3.0, 0.99: 3.0, 1.0: 4.0}
    assert (curve.most_per_s, curve.longest_away_s) == (60.0, 2.5)


def test_who_was_back_and_is_away_again_is_waited_for():
    curve = Return(_tick(10))
    assert curve.add(_tick(11, opened=200), 1.0)
    assert not curve.add(_tick(12, there=70, opened=200), 2.0)
    assert curve.reached[1.0] == 1.0


def test_silence_counts_from_the_begin_and_its_end_only_after_the_harm():
    curve = Answers(_tick(10), 100.0)
    assert not curve.add(_tick(11, answers=100), -1.0)
    assert not curve.add(_tick(14, answers=105), -1.0)
    assert not curve.add(_tick(15, answers=155), 1.0)
    assert not curve.add(_tick(16, answers=900, there=99), 2.0)
    assert curve.add(_tick(17, answers=1000), 3.0)
    assert (curve.silent_s, curve.seconds) == (3.0, 3.0)


def test_a_backlog_is_what_is_due_and_what_is_sent_without_an_answer():
    tick = CrowdTick(waiting=7, calls={"MeterValues": 10}, answers={"MeterValues": 4}, errors={"timeout": 1}, cut_off=2)
    assert backlog(tick) == 10
