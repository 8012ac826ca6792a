"""Exit codes: what a script may rely on."""

from enum import IntEnum

from contracts.commands import CommandOutcome, Reason
from contracts.envelope import OutcomeKind
from contracts.operator import OperatorAnswer


class Exit(IntEnum):
    DONE = 0
    UNREACHABLE = 1
    """Broker or service."""
    USAGE = 2
    REFUSED = 3
    NOT_DONE = 4
    """The charge point did not do it, or nobody knows."""
    INTERRUPTED = 130


EXPLAINED = """\
exit codes:
  0  done; for send: the charge point answered, with whatever status
  1  the broker or the commands service is unreachable
  2  wrong usage or settings
  3  refused, or not found
  4  the charge point did not do it: call_error, offline, expired, timeout, unknown
"""


def of_outcome(outcome: CommandOutcome) -> Exit:
    """What the end of a command means to a script."""
    if outcome.outcome is OutcomeKind.RESULT:
        return Exit.DONE
    if outcome.outcome is OutcomeKind.REJECTED:
        return Exit.UNREACHABLE if outcome.reason == Reason.UNROUTABLE else Exit.REFUSED
    return Exit.NOT_DONE


def of_answer(answer: OperatorAnswer) -> Exit:
    """What an answer of the commands service means to a script."""
    if answer.ok:
        return Exit.DONE
    return Exit.UNREACHABLE if answer.error == "unavailable" else Exit.REFUSED
