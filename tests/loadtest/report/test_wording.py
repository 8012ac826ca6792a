from dataclasses import replace

import pytest

from loadtest.report.model import Figure
from loadtest.report.wording import clock, duration, limit, measured, plain, said, summary
from tests.support.reports import steady, storm


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "ms", "not measured"),
        (0.0, "ms", "0 ms"),
        (41.72, "ms", "41.7 ms"),
        (0.004213, "ms", "0.00421 ms"),
        (1e-12, "ms", "0 ms"),
        (88.0, "ms", "88 ms"),
        (8431.4, "Calls/s", "8,431 Calls/s"),
        (18_000, "count", "18,000"),
        (1_234_567_890.0, "count", "1,234,567,890"),
        (2.5, "count", "2.50"),
        (0.873, "share", "87.3 %"),
        (1.62, "share", "162 %"),
        (2.41, "ratio", "2.41 \u00d7"),
        (24.9e9, "bytes", "24.9 GB"),
        (-3.2e6, "bytes", "-3.20 MB"),
        (12, "bytes", "12 bytes"),
        (float("nan"), "ms", "nan ms"),
        (3, "", "3"),
    ],
)
def test_values_are_said_with_their_units(value, unit, text):
    assert said(value, unit) == text


def test_a_limit_that_is_missed_by_little_does_not_look_kept():
    figure = Figure(name="p99_ms", value=100.04, unit="ms", at_most=100.0)
    assert measured(figure) == "100.04 ms"
    assert measured(replace(figure, value=100.0)) == "100 ms"
    assert limit(replace(figure, at_least=1.0)) == "at least 1 ms, at most 100 ms"


@pytest.mark.parametrize(
    ("seconds", "text"), [(9.34, "9.34 s"), (60, "1 min"), (92.4, "1 min 32 s"), (7215, "2 h"), (12_060, "3 h 21 min")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(("at", "text"), [(0, "0:00"), (98.4, "1:38"), (3601, "1:00:01"), (-5, "-0:05")])
def test_times_of_a_run(at, text):
    assert clock(at) == text


def test_the_summary_says_what_came_of_it():
    report = steady()
    assert summary(report) == "All 5 limits hold, and nothing went wrong."
    report.figures[2] = replace(report.figures[2], value=250.0)
    assert summary(report) == "1 of 5 limits missed."
    assert summary(storm()) == "1 thing went wrong, and 1 of 3 limits missed."
    report.figures.clear()
    assert summary(report) == "Nothing went wrong."


def test_text_from_outside_is_one_line_and_keeps_its_direction():
    assert plain("a\n\tb\x00\u202e\x1b[31m") == "a b\ufffd\ufffd\ufffd[31m"
    assert plain("\ud800").encode() == "\ufffd".encode()
