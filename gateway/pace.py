"""How fast one charge point may send: frames and bytes per second of a session. Pure, and on the hot path.

Every WebSocket frame is charged, pings and the pieces of messages too: each costs us time, whether a message or not.
"""

from enum import StrEnum

CRUMB_BYTES = 126
"""A shorter piece of a message costs as much as a whole one: it may be sent in pieces, but not in crumbs."""


class Limit(StrEnum):
    """Which rate was used up."""

    FRAMES = "frames"
    BYTES = "bytes"


class PaceRules:
    """The rates that all sessions of a gateway share; a rate of 0 is no limit."""

    __slots__ = ("bytes_ahead", "frames_ahead", "per_byte", "per_frame")

    FRAMES_BURST_S = 10.0
    BYTES_BURST_S = 16.0

    def __init__(self, frames_per_second: float, bytes_per_second: float) -> None:
        self.per_frame = 1 / frames_per_second if frames_per_second else 0.0
        self.per_byte = 1 / bytes_per_second if bytes_per_second else 0.0
        self.frames_ahead = self.FRAMES_BURST_S
        self.bytes_ahead = self.BYTES_BURST_S

    @property
    def off(self) -> bool:
        return not self.per_frame and not self.per_byte


class Pace:
    """What one session has used of its rates, as the times at which that will be paid for.

    A frame that was read is never refused: it is charged, and the session is left unread until that is paid.
    """

    __slots__ = ("_bytes_paid", "_frames_paid", "_rules")

    def __init__(self, rules: PaceRules) -> None:
        self._rules = rules
        self._frames_paid = self._bytes_paid = 0.0

    def charge(self, size: int, now: float, *, whole: bool = True) -> Limit | None:
        """A frame came: the limit that leaves no room for another one, if any. Pieces of messages cost their bytes."""
        rules = self._rules
        frames, octets = self._frames_paid, self._bytes_paid
        if whole or size < CRUMB_BYTES:
            self._frames_paid = frames = (frames if frames > now else now) + rules.per_frame  # noqa: FURB136 - max() is slow
        self._bytes_paid = octets = (octets if octets > now else now) + size * rules.per_byte  # noqa: FURB136
        if frames - now > rules.frames_ahead - rules.per_frame:
            return Limit.FRAMES
        return Limit.BYTES if octets - now > rules.bytes_ahead else None

    def has_room(self, now: float) -> bool:
        """Whether another frame may come at `now`."""
        rules = self._rules
        frames_left = rules.frames_ahead - rules.per_frame - (self._frames_paid - now)
        return frames_left >= 0 and self._bytes_paid - now <= rules.bytes_ahead
