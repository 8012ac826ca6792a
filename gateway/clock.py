"""Two clocks in one: monotonic seconds to reckon with, and the wall time that envelopes carry."""

import time


class Clock:
    """Monotonic time, and its translation to milliseconds since 1970; `synchronise` follows steps of the wall clock."""

    __slots__ = ("_offset",)

    def __init__(self) -> None:
        self._offset = 0.0
        self.synchronise()

    def synchronise(self) -> None:
        """Take the wall clock's present offset."""
        self._offset = time.time() - time.monotonic()

    now = staticmethod(time.monotonic)
    """Monotonic seconds."""

    def wall_ms(self, now: float) -> int:
        """Milliseconds since 1970 (UTC) of a monotonic time."""
        return int((now + self._offset) * 1000)

    def monotonic(self, wall_ms: int) -> float:
        """The monotonic time of milliseconds since 1970."""
        return wall_ms / 1000 - self._offset
