"""When something happened, if the charge point's clock cannot always be believed."""

from datetime import UTC, datetime, timedelta

EARLIEST_PLAUSIBLE = datetime(2010, 1, 1, tzinfo=UTC)
"""Before OCPP existed: a clock that was never set (1970, 0001)."""

FUTURE_TOLERANCE = timedelta(minutes=5)


def effective_time(reported: datetime | None, received: datetime) -> datetime:
    """The reported time where it is plausible, else the time of arrival.

    The past is plausible (offline queues), the future is not: it would make every later report look late.
    """
    if reported is None or reported < EARLIEST_PLAUSIBLE or reported > received + FUTURE_TOLERANCE:
        return received
    return reported
