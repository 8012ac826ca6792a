"""When something happened, if the charge point's clock cannot always be believed."""

from datetime import datetime, timedelta

from workers.runtime.reading import EARLIEST_PLAUSIBLE

FUTURE_TOLERANCE = timedelta(minutes=5)


def believed_time(reported: datetime, received: datetime) -> datetime | None:
    """The reported time, or the arrival for a clock that is a little ahead; None where it means nothing.

    The past is plausible (offline queues). The future is not, and taken at its word it would make every later report
    look late.
    """
    if not EARLIEST_PLAUSIBLE <= reported <= received + FUTURE_TOLERANCE:
        return None
    return min(reported, received)
