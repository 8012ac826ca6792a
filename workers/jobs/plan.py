"""What to do next about a job's request to the charge point, decided from what is stored and what came back. Pure.

The rule is that a request is never sent twice blindly. It goes out under a command id derived from the job, pinned to
the one session that it is stored with beforehand. After a crash or a lost outcome the same command id goes to the same
session again: the gateway then repeats the outcome, or sends what it never got. When that session is gone nobody can
tell whether the charge point has the request: the job is Uncertain, and the statuses that follow decide.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from contracts.commands import Reason
from contracts.envelope import OutcomeEnvelope, OutcomeKind
from workers.jobs.lifecycle import EXPIRED, PENDING, UNCERTAIN, UNRESOLVED
from workers.runtime.backoff import pause
from workers.store.jobs import Job

UNCERTAIN_HOLD = timedelta(days=7)
"""How long after its deadline an uncertain job waits for a status: updates may be scheduled days ahead."""

_NOT_EVEN_TAKEN = frozenset({"broker_unavailable", "not_taken"})


@dataclass(frozen=True, slots=True)
class Send:
    """Send the request to this session; `fresh` when it certainly has not reached the charge point yet."""

    session: str
    fresh: bool


@dataclass(frozen=True, slots=True)
class Wait:
    """The charge point is not connected: try again then."""

    until: datetime


@dataclass(frozen=True, slots=True)
class End:
    """The job ends in this state."""

    state: str


@dataclass(frozen=True, slots=True)
class BecomeUncertain:
    """Only the charge point's statuses can tell now; give up hope `until` then."""

    until: datetime


class Settled(Enum):
    """The request needs nothing any more."""

    SETTLED = auto()


Plan = Send | Wait | End | BecomeUncertain | Settled


class Ending(Enum):
    """What an outcome means for the job."""

    ANSWERED = auto()
    FAILED = auto()
    NOT_SENT = auto()
    """It certainly did not reach the charge point: begin anew, on whatever session there is."""
    ASK_AGAIN = auto()
    """Nothing is known: the same command to the same session again."""
    UNCERTAIN = auto()


def next_step(job: Job, session: str | None, now: datetime) -> Plan:
    """What to do about a due job, given the charge point's newest session."""
    if job.state == UNCERTAIN:
        return End(UNRESOLVED)
    if job.state != PENDING:
        return Settled.SETTLED
    if now >= job.deadline_at:
        return End(EXPIRED) if job.session is None else BecomeUncertain(hold_until(job, now))
    if job.session is not None:
        return Send(job.session, fresh=False)
    return Wait(now + pause(job.attempts, job.job_id)) if session is None else Send(session, fresh=True)


def meaning(outcome: OutcomeEnvelope, *, fresh: bool) -> Ending:
    """What an outcome says about the request. Timeouts and unknowns without a gateway are no gateway's word."""
    from_gateway = bool(outcome.gateway)
    match outcome.kind:
        case OutcomeKind.RESULT:
            return Ending.ANSWERED
        case OutcomeKind.CALL_ERROR:
            return Ending.FAILED
        case OutcomeKind.REJECTED:
            if outcome.error_code != Reason.QUEUE_FULL:
                return Ending.FAILED
            return Ending.NOT_SENT if fresh else Ending.ASK_AGAIN
        case OutcomeKind.OFFLINE if fresh:
            return Ending.NOT_SENT
        case OutcomeKind.OFFLINE:
            return Ending.ASK_AGAIN if outcome.error_code in _NOT_EVEN_TAKEN else Ending.UNCERTAIN
        case OutcomeKind.EXPIRED:
            return Ending.NOT_SENT if fresh or from_gateway else Ending.ASK_AGAIN
        case OutcomeKind.TIMEOUT | OutcomeKind.UNKNOWN:
            return Ending.UNCERTAIN if from_gateway else Ending.ASK_AGAIN


def hold_until(job: Job, now: datetime) -> datetime:
    """When an uncertain job is given up."""
    return max(job.deadline_at, now) + UNCERTAIN_HOLD
