from datetime import UTC, datetime, timedelta

import pytest

from workers.diagnostics.occurrence import believed_time

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("reported", [NOW, NOW - timedelta(days=30)])
def test_a_plausible_time_is_believed(reported):
    assert believed_time(reported, NOW) == reported


def test_nothing_arrives_before_it_happened():
    assert believed_time(NOW + timedelta(minutes=4), NOW) == NOW


@pytest.mark.parametrize(
    "reported", [datetime(1970, 1, 1, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC), NOW + timedelta(hours=2)]
)
def test_an_implausible_time_means_nothing(reported):
    assert believed_time(reported, NOW) is None
