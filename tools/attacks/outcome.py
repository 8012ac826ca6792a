"""What became of an attack."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tools.attacks.target import Effort, Target

OPEN = "still open"
CLOSED = "closed"
RESET = "reset"
SILENT = "no answer"
ADMITTED = "HTTP 101"
CUT = frozenset({CLOSED, RESET})
"""How a connection ends that is not even worth an answer: a bound on the address or on all handshakes."""

BUSY = frozenset({"HTTP 429", "HTTP 503"})
"""An answer that says: later."""


@dataclass(slots=True)
class Outcome:
    """How the tries of one attack ended, and what else it found wrong."""

    stated: str
    """How much was sent, how fast, from how many addresses: the attacker shares the victim's processors."""
    ends: Counter[str] = field(default_factory=Counter)
    mistakes: list[str] = field(default_factory=list)

    def note(self, end: str) -> None:
        self.ends[end] += 1


@dataclass(frozen=True, slots=True)
class Attack:
    """`wanted`: ends of which at least one must be seen; any other end must be in `tolerated`.

    `reasons` are values of the label of ocpp_ws_connection_rejected_total of which one must have been counted.
    """

    name: str
    run: Callable[[Target, Effort], Awaitable[Outcome]]
    wanted: frozenset[str]
    tolerated: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()

    def mistakes(self, outcome: Outcome, counted: dict[str, float]) -> list[str]:
        """What was not as it should be; `counted` are the refusals by reason that the gateway counted meanwhile."""
        found = list(outcome.mistakes)
        strange = {end: count for end, count in outcome.ends.items() if end not in self.wanted | self.tolerated}
        if strange:
            found.append(f"ended otherwise than they may: {strange}")
        if not any(outcome.ends[end] for end in self.wanted):
            found.append(f"none ended as {' or '.join(sorted(self.wanted))}: {dict(outcome.ends)}")
        if self.reasons and not any(counted.get(reason) for reason in self.reasons):
            found.append(f"no refusal was counted as {' or '.join(sorted(self.reasons))}: {counted}")
        return found
