from datetime import UTC, datetime, timedelta

import pytest

from workers.diagnostics.occurrence import effective_time

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("reported", [NOW, NOW - timedelta(days=30), NOW + timedelta(minutes=4)])
def test_a_plausible_time_is_believed(reported):
    assert effective_time(reported, NOW) == reported


@pytest.mark.parametrize(
    "reported", [None, datetime(1970, 1, 1, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC), NOW + timedelta(hours=2)]
)
def test_an_implausible_time_gives_way_to_the_arrival(reported):
    assert effective_time(reported, NOW) == NOW
