"""Lenient readers take what can be taken, and say what was odd."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.runtime.reading import read_int, read_number, read_text, read_time, write_time

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment", "flag"),
    [
        ("2026-05-01T11:00:00Z", NOW - timedelta(hours=1), None),
        ("2026-05-01T13:00:00+02:00", NOW - timedelta(hours=1), None),
        ("2026-05-01T14:00:00+03", NOW - timedelta(hours=1), None),
        ("2026-05-01T11:00:00.123456789Z", NOW - timedelta(hours=1) + timedelta(microseconds=123456), None),
        ("2026-05-01T11:00:00", NOW - timedelta(hours=1), "timestamp_zoneless"),
        ("2026-05-01t12:00:00z", NOW, None),
        ("2026-05-01T11:59:60Z", NOW - timedelta(seconds=1), None),
        ("2026-04-30T24:00:00Z", NOW - timedelta(hours=12), None),
        ("2026-04-30T24:00:01Z", NOW, "timestamp_unreadable"),
        ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC), "timestamp_implausible"),
        ("2026-05-03T12:00:00Z", NOW + timedelta(days=2), "timestamp_implausible"),
        ("0001-01-01T00:00:00+03", NOW, "timestamp_unreadable"),
        ("10000-01-01T00:00:00Z", NOW, "timestamp_unreadable"),
        ("noon", NOW, "timestamp_unreadable"),
        (1777636740, NOW, "timestamp_unreadable"),
        ("", NOW, "timestamp_missing"),
        (None, NOW, "timestamp_missing"),
    ],
)
def test_a_time_is_read_or_replaced_by_the_arrival(text, moment, flag):
    assert read_time(text, NOW) == (moment, flag)


ZONES = st.integers(-720, 840).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@settings(deadline=None)  # another process may take the processor meanwhile
@given(st.integers(1_262_400_000_000, 1_777_000_000_000), ZONES)
def test_what_we_write_can_be_read_to_the_millisecond(milliseconds, zone):
    moment = datetime.fromtimestamp(milliseconds / 1000, zone)
    read, flag = read_time(write_time(moment), NOW)
    assert flag is None
    assert abs(read - moment) < timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("value", "read"),
    [(7, (7, None)), ("7", (7, "type")), (7.0, (7, "type")), (7.5, (None, "type")), (True, (None, "type"))],
)
def test_an_integer_may_be_written_in_other_ways(value, read):
    assert read_int(value) == read


def test_an_integer_out_of_range_is_none():
    assert read_int(2**31, high=2**31 - 1) == (None, "range")
    assert read_int(1e300) == (None, "range")
    assert read_int("9" * 25) == (None, "type")


@pytest.mark.parametrize("value", ["NaN", "inf", "1,5", "", None, True, [], {}, "1e999"])
def test_what_is_no_finite_number_is_none(value):
    assert read_number(value)[0] is None


def test_numbers_are_taken_for_text_but_nothing_else_is():
    assert read_text(12) == ("12", "type")
    assert read_text(True) == read_text(["x"]) == (None, "type")
