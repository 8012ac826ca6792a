"""Log lines that a peer can provoke at will, held to a few per second. Pure."""


class Throttle:
    """Lets `per_second` through each second and counts the rest."""

    __slots__ = ("_left", "_per_second", "_until", "suppressed")

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._left = per_second
        self._until = 0.0
        self.suppressed = 0

    def passes(self, now: float) -> bool:
        """Whether this one may be logged."""
        if now >= self._until:
            self._until = now + 1.0
            self._left = self._per_second
        if self._left > 0:
            self._left -= 1
            return True
        self.suppressed += 1
        return False

    def take_suppressed(self) -> int:
        """How many were held back since the last time this was asked."""
        suppressed, self.suppressed = self.suppressed, 0
        return suppressed
