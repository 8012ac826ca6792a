"""Silence means something only while our own marks come back."""

from contracts.announcements import Heartbeat
from workers.commands.directory import Directory
from workers.commands.hearing import LATE_AFTER_S, MARK_INTERVAL_S, Hearing


def test_marks_are_sent_at_intervals_one_at_a_time():
    hearing = Hearing()
    assert not hearing.reliable(0.0)
    assert hearing.next_mark(0.0) == b"1"
    assert hearing.next_mark(5.0) is None
    assert not hearing.came_back(b"1", 0.1)
    assert hearing.next_mark(0.2) is None
    assert hearing.next_mark(MARK_INTERVAL_S) == b"2"


def test_silence_means_nothing_while_a_mark_is_overdue_and_a_late_one_tells_that_nobody_was_heard():
    hearing = Hearing()
    hearing.next_mark(0.0)
    assert hearing.reliable(LATE_AFTER_S)
    assert not hearing.reliable(LATE_AFTER_S + 0.1)
    assert hearing.came_back(b"1", 30.0)
    assert hearing.reliable(30.0)


def test_marks_of_an_earlier_connection_are_none():
    hearing = Hearing()
    hearing.next_mark(0.0)
    hearing.restart()
    assert not hearing.came_back(b"1", 5.0)
    assert hearing.next_mark(5.0) == b"2"


def test_a_directory_that_was_deaf_calls_nobody_silent():
    directory = Directory()
    directory.asked(0.0)
    directory.heartbeat(Heartbeat("gw-1", 0, 1, 2000), 0.0)
    assert directory.silent(60.0) == ["gw-1"]
    directory.deaf_until(60.0)
    assert directory.silent(61.0) == []
