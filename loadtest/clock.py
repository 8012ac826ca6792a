"""The time a simulated charge point lives in."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Clock:
    """Runs a charging session faster than the wall, without ever stamping a message with the future.

    A clock of speed S starts `horizon_s * (S - 1)` seconds in the past, so that it meets the wall after `horizon_s`
    real seconds; past that, its stamps are those of the wall. Protocol timers (retry, back-off, heartbeat) run at
    `protocol_speed`, since the server they are agreed with lives in real time; tests raise it.
    """

    def __init__(
        self,
        speed: float = 1.0,
        *,
        horizon_s: float = 900.0,
        protocol_speed: float = 1.0,
        wall: Callable[[], datetime] = _utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if speed <= 0 or protocol_speed <= 0 or horizon_s < 0:
            raise ValueError("speeds must be positive and the horizon not negative")
        self.speed = speed
        self.protocol_speed = protocol_speed
        self._monotonic = monotonic
        self._started = monotonic()
        self._wall_start = wall()
        self._start = self._wall_start - timedelta(seconds=horizon_s * max(0.0, speed - 1.0))

    def now(self) -> datetime:
        """Tell the charge point's time, in UTC."""
        elapsed = self._monotonic() - self._started
        simulated = self._start + timedelta(seconds=elapsed * self.speed)
        return min(simulated, self._wall_start + timedelta(seconds=elapsed))

    def stamp(self) -> str:
        """Tell the time as OCPP writes it."""
        return utc_text(self.now())

    def session_delay(self, seconds: float) -> float:
        """Give the real seconds that so many seconds of a charging session take."""
        return max(0.0, seconds) / self.speed

    def protocol_delay(self, seconds: float) -> float:
        """Give the real seconds that a protocol timer of so many seconds takes."""
        return max(0.0, seconds) / self.protocol_speed


def utc_text(moment: datetime) -> str:
    """Write a moment as RFC 3339 in UTC with `Z` and three decimals (the most that OCPP 2.x allows)."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
