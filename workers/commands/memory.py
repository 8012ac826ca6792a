"""What became of commands that may come again: the last so many, oldest forgotten first. Pure."""

from collections import OrderedDict
from dataclasses import dataclass, replace

from contracts.commands import Reason
from contracts.envelope import OutcomeEnvelope, OutcomeKind
from workers.runtime.commands import ASK_AGAIN

MOST_REMEMBERED = 20_000
MOST_KEPT_BYTES = 1024
"""An outcome with a longer payload is not kept: its gateway can repeat it."""

Key = tuple[str, str]
"""Identity and command id."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """Where a command went last (nowhere: it certainly has not been sent), and how it ended, if it has."""

    request: bytes
    """Digest of what was asked: another request with the same id is not this command."""
    gateway: str | None = None
    session: str | None = None
    ended: OutcomeEnvelope | None = None
    again: bool = False
    """Somebody else may have dispatched it before us."""

    @property
    def place(self) -> tuple[str, str] | None:
        """The only gateway and session that it may have been sent by; none when it was not sent by us."""
        if self.gateway is None or self.session is None or self._crowded_out:
            return None
        return self.gateway, self.session

    @property
    def final(self) -> bool:
        """Whether who asks again can learn nothing but how it ended."""
        if self.ended is None or self._crowded_out:
            return False
        return self.ended.kind is not OutcomeKind.UNKNOWN or self.ended.error_code not in ASK_AGAIN

    @property
    def _crowded_out(self) -> bool:
        """Its session had no room for it and does not know it: asked again, it may well be sent."""
        ended = self.ended
        return ended is not None and ended.kind is OutcomeKind.REJECTED and ended.error_code == Reason.QUEUE_FULL


class Memory:
    """Commands that this process has seen."""

    def __init__(self, most: int = MOST_REMEMBERED) -> None:
        self._most = most
        self._known: OrderedDict[Key, Remembered] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def find(self, key: Key) -> Remembered | None:
        """What is known about a command that comes again, delivered or published."""
        return self._known.get(key)

    def keep(self, key: Key, what: Remembered, *, told: bool = True) -> None:
        """Remember; the whole of an outcome only until it is told, or when it is small."""
        if told and what.ended is not None and what.gateway and len(what.ended.payload) > MOST_KEPT_BYTES:
            what = replace(what, ended=None)
        self._known[key] = what
        self._known.move_to_end(key)
        if len(self._known) > self._most:
            self._known.popitem(last=False)
