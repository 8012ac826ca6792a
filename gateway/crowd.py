"""How many connections may be opening at once: in all, and from one source. Pure."""


class Crowd:
    """Counts connections between their first moment and the end of their opening; a limit of 0 is none."""

    __slots__ = ("_by_source", "_most", "_most_per_source", "_opening")

    def __init__(self, most: int, most_per_source: int) -> None:
        self._most = most
        self._most_per_source = most_per_source
        self._opening = 0
        self._by_source: dict[str, int] = {}

    def __len__(self) -> int:
        return self._opening

    def arrived(self, source: str) -> str | None:
        """Count one more; or the reason (a machine word) why it may not come, and then it is not counted.

        A source without a name (the network is not told apart there) counts in the whole only.
        """
        if self._most and self._opening >= self._most:
            return "open_handshakes"
        from_there = self._by_source.get(source, 0)
        if source and self._most_per_source and from_there >= self._most_per_source:
            return "open_handshakes_of_address"
        self._opening += 1
        self._by_source[source] = from_there + 1
        return None

    def settled(self, source: str) -> None:
        """The opening of one that was counted is over, in whatever way."""
        self._opening -= 1
        left = self._by_source[source] - 1
        if left:
            self._by_source[source] = left
        else:
            del self._by_source[source]
