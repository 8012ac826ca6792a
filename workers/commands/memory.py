"""What became of commands whose deliveries may come again: the last so many, oldest forgotten first. Pure."""

from collections import OrderedDict
from dataclasses import dataclass

from contracts.envelope import OutcomeEnvelope

MOST_REMEMBERED = 20_000
MOST_KEPT_BYTES = 1024
"""An outcome with a longer payload is not kept: its gateway can repeat it."""

Key = tuple[str, str]
"""Identity and command id."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """Where a command went last (nowhere: it certainly has not been sent), and how it ended, if it has."""

    gateway: str | None = None
    session: str | None = None
    ended: OutcomeEnvelope | None = None
    again: bool = False
    """Somebody else may have dispatched it before us."""


class Memory:
    """Commands that this process has seen."""

    def __init__(self, most: int = MOST_REMEMBERED) -> None:
        self._most = most
        self._known: OrderedDict[Key, Remembered] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def find(self, key: Key) -> Remembered | None:
        """What is known about a delivery that comes again."""
        return self._known.get(key)

    def keep(self, key: Key, what: Remembered, *, told: bool = True) -> None:
        """Remember; the whole of an outcome only until it is told, or when it is small."""
        if told and what.ended is not None and what.gateway and len(what.ended.payload) > MOST_KEPT_BYTES:
            what = Remembered(what.gateway, what.session, again=what.again)
        self._known[key] = what
        self._known.move_to_end(key)
        if len(self._known) > self._most:
            self._known.popitem(last=False)
