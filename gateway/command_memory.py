"""What a session remembers of ended commands: none is sent twice, and its outcome can be repeated. Pure."""

from contracts.commands import Reason
from contracts.envelope import OutcomeKind
from gateway.effects import Outcome

REMEMBERED = 32
"""Ended commands whose outcome a session can repeat when the command is delivered again."""

REMEMBERED_BYTES = 16 * 1024
REMEMBERED_IDS = 512
"""Older ones that were sent: of them only that is known."""


class CommandMemory:
    """Ended commands by id, with the digest of what was asked. Bounded: the oldest are forgotten."""

    __slots__ = ("_outcomes", "_sent")

    def __init__(self) -> None:
        self._outcomes: dict[str, tuple[bytes, Outcome]] = {}
        self._sent: dict[str, bytes] = {}

    def __contains__(self, command_id: str) -> bool:
        return command_id in self._outcomes or command_id in self._sent

    def digest(self, command_id: str) -> bytes | None:
        """The digest of a remembered command."""
        known = self._outcomes.get(command_id)
        return self._sent.get(command_id) if known is None else known[0]

    def outcome(self, command_id: str) -> Outcome | None:
        """What to tell when a remembered command is delivered again."""
        known = self._outcomes.get(command_id)
        if known is not None:
            return known[1]
        return _forgotten(command_id) if command_id in self._sent else None

    def keep(self, outcome: Outcome, digest: bytes) -> None:
        """Remember how a command ended, without an answer of more bytes than a session should hold."""
        if len(outcome.payload) + len(outcome.details) > REMEMBERED_BYTES:
            outcome = _forgotten(outcome.command_id, outcome.sent_at)
        self._outcomes[outcome.command_id] = (digest, outcome)
        if len(self._outcomes) <= REMEMBERED:
            return
        oldest = next(iter(self._outcomes))
        digest, outcome = self._outcomes.pop(oldest)
        # What was certainly never sent may be judged anew.
        if outcome.sent_at is not None or outcome.kind is OutcomeKind.UNKNOWN:
            self._sent[oldest] = digest
            if len(self._sent) > REMEMBERED_IDS:
                del self._sent[next(iter(self._sent))]


def _forgotten(command_id: str, sent_at: float | None = None) -> Outcome:
    return Outcome(command_id, OutcomeKind.UNKNOWN, error_code=Reason.RESULT_FORGOTTEN, sent_at=sent_at)
