"""What operators type is read, or refused in words."""

import argparse
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ocppctl import arguments


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("90s", timedelta(seconds=90)), ("15m", timedelta(minutes=15)), ("2h", timedelta(hours=2)),
        ("7d", timedelta(days=7)), ("1h30m", timedelta(minutes=90)), ("0.5h", timedelta(minutes=30)),
    ],
)  # fmt: skip
def test_spans_are_read(text: str, wanted: timedelta) -> None:
    assert arguments.span(text) == wanted


@pytest.mark.parametrize("text", ["", "2", "h", "-2h", "2 h", "2w", "0s", "nan", "99999999d", "2h junk"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        arguments.span(text)


def test_seconds_may_be_a_span() -> None:
    assert (arguments.seconds("2.5"), arguments.seconds("2m")) == (2.5, 120)
    for wrong in ("nan", "inf", "-1", "0", "soon"):
        with pytest.raises(argparse.ArgumentTypeError):
            arguments.seconds(wrong)


def test_moments_are_utc() -> None:
    assert arguments.moment("2030-01-31T12:00:00+02:00") == "2030-01-31T10:00:00+00:00"
    assert arguments.moment("2030-01-31") == "2030-01-31T00:00:00+00:00"
    soon = datetime.fromisoformat(arguments.moment("2h"))
    assert timedelta(minutes=119) < soon - datetime.now(UTC) <= timedelta(hours=2)
    for wrong in ("tomorrow", "0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00"):
        with pytest.raises(argparse.ArgumentTypeError):
            arguments.moment(wrong)


def test_payloads_come_from_the_argument_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "payload.json"
    file.write_text('{"b": 2}')
    assert arguments.payload('{"a": 1}') == {"a": 1}
    assert arguments.payload(f"@{file}") == {"b": 2}
    for wrong in ("[1]", "{", "null", f"@{tmp_path / 'nothing'}", ""):
        with pytest.raises(argparse.ArgumentTypeError):
            arguments.payload(wrong)
