"""Whether the silence of others means anything: only while what we publish ourselves comes back in time. Pure.

A broker in a memory or disk alarm takes nothing from anybody, and may not even say so to those who only listen.
"""

MARK_TYPE = "mark"
MARK_INTERVAL_S = 1.0
LATE_AFTER_S = 1.0


class Hearing:
    """Marks that are sent to ourselves; times are monotonic seconds."""

    def __init__(self) -> None:
        self._number = 0
        self._sent_at: float | None = None
        self._waiting = False

    def restart(self) -> None:
        """A new connection: what was on its way is lost."""
        self._waiting = False
        self._sent_at = None

    def next_mark(self, now: float) -> bytes | None:
        """The mark to send now, if it is time for one."""
        if self._waiting or (self._sent_at is not None and now - self._sent_at < MARK_INTERVAL_S):
            return None
        self._number += 1
        self._sent_at, self._waiting = now, True
        return str(self._number).encode()

    def came_back(self, mark: bytes, now: float) -> bool:
        """Take a mark; whether it was late, so that nobody could be heard meanwhile."""
        if not self._waiting or mark != str(self._number).encode() or self._sent_at is None:
            return False
        self._waiting = False
        return now - self._sent_at > LATE_AFTER_S

    def reliable(self, now: float) -> bool:
        """Whether the silence of others would mean something now."""
        return self._sent_at is not None and not (self._waiting and now - self._sent_at > LATE_AFTER_S)
