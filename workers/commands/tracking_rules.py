"""What to do next about a tracked command, decided from what is stored and what came back. Pure.

A command is never sent twice blindly. Each attempt has an OCPP id of its own and is pinned to the one session that it
is stored with beforehand. Who finds a command under way after a crash dispatches the same id to the same session: the
gateway repeats the outcome, or sends what it never got. Only what nobody can tell any more counts as uncertain; then
an action is begun anew if a second one does no harm (`contracts.actions.REPEATABLE`), and else ends as uncertain.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.actions import REPEATABLE
from contracts.commands import CommandOutcome, Reason, TrackedState
from contracts.envelope import OutcomeKind
from workers.runtime.backoff import pause
from workers.store.commands import TrackedCommand

MOST_UNSENT_PAUSE_S = 30.0
"""What certainly was not sent is tried again at least so often while the charge point is connected."""

GRACE = timedelta(seconds=60)
"""So long after its deadline a command under way is given up, whatever keeps its outcome from being known."""

EXPECTED_PAUSE = timedelta(seconds=1)

_ATTEMPTS = uuid.UUID("0d6bb6f5-7d4e-5d7c-8f0a-1f7a4f5b3c11")


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Dispatch the command to this session under this OCPP id.

    `fresh` when this attempt certainly has not been dispatched before. `ask_only`: it must not be sent any more, only
    what became of it is of interest.
    """

    session: str
    ocpp_id: str
    attempt: int
    fresh: bool
    ask_only: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be done before then, unless the charge point connects. Until the deadline: for a session."""

    until: datetime


@dataclass(frozen=True, slots=True)
class End:
    """The command ends with this outcome."""

    outcome: CommandOutcome


Step = Dispatch | Wait | End


@dataclass(frozen=True, slots=True)
class HoldAgain:
    """It did not reach the charge point: hold it, and look again then."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Repeat:
    """It may have reached the charge point, and a second one does no harm: begin anew then."""

    at: datetime
    outcome: CommandOutcome


@dataclass(frozen=True, slots=True)
class AskAgain:
    """Nothing is known of this attempt: the same id to the same session, after a pause."""

    at: datetime


Meaning = End | HoldAgain | Repeat | AskAgain


def ocpp_id(command_id: str, attempt: int) -> str:
    """The OCPP id of an attempt: the same whoever makes it, so that no gateway sends it twice on a session."""
    return command_id if attempt == 1 else str(uuid.uuid5(_ATTEMPTS, f"{attempt}/{command_id}"))


def next_step(command: TrackedCommand, session: str | None, now: datetime, *, expected: bool = False) -> Step:
    """What to do about an open command, given the charge point's present session.

    `expected`: it is connected by the store's word, and where will be known soon.
    """
    if command.state == TrackedState.UNDER_WAY and command.session is not None:
        if now >= command.deadline_at + GRACE:
            return End(_concluded(command, _ended(command, OutcomeKind.UNKNOWN, Reason.NO_OUTCOME)))
        ask_only = now >= command.deadline_at
        same = ocpp_id(command.command_id, command.attempts)
        return Dispatch(command.session, same, command.attempts, fresh=False, ask_only=ask_only)
    if now >= command.deadline_at:
        return End(_concluded(command, _ended(command, OutcomeKind.EXPIRED, Reason.DEADLINE)))
    pausing = command.next_attempt_at is not None and now < command.next_attempt_at < command.deadline_at
    # What may have been sent pauses whatever connects meanwhile; what was not, only for the session that refused it.
    if command.next_attempt_at is not None and pausing and command.uncertain is not None:
        return Wait(command.next_attempt_at)
    if session is None:
        return Wait(min(now + EXPECTED_PAUSE, command.deadline_at) if expected else command.deadline_at)
    if command.next_attempt_at is not None and pausing and session == command.session:
        return Wait(command.next_attempt_at)
    if command.only_session not in {None, session}:
        return End(_concluded(command, _ended(command, OutcomeKind.OFFLINE, Reason.SESSION_GONE)))
    attempt = command.attempts + 1
    return Dispatch(session, ocpp_id(command.command_id, attempt), attempt, fresh=True)


def meaning(command: TrackedCommand, outcome: CommandOutcome, now: datetime, *, fresh: bool) -> Meaning:
    """What the outcome of a dispatch says about a command under way; `fresh` as it was dispatched."""
    match outcome.outcome:
        case OutcomeKind.RESULT | OutcomeKind.CALL_ERROR:
            return End(_of(command, outcome))
        case OutcomeKind.REJECTED if outcome.reason != Reason.QUEUE_FULL:
            return End(_concluded(command, outcome))
        case OutcomeKind.REJECTED if not fresh:
            return AskAgain(now + _short_pause(command))
        case OutcomeKind.OFFLINE | OutcomeKind.EXPIRED | OutcomeKind.REJECTED if fresh:
            return _not_sent(command, now)
        case OutcomeKind.EXPIRED if outcome.gateway:
            return _not_sent(command, now)  # the gateway of that session says so
        case OutcomeKind.TIMEOUT | OutcomeKind.UNKNOWN:
            return _uncertain(command, outcome, now)
        case _:
            # Its session is gone, and with it whoever could tell what became of the dispatch before this one.
            unknown = outcome.model_copy(update={"outcome": OutcomeKind.UNKNOWN})
            return _uncertain(command, unknown, now)


def _not_sent(command: TrackedCommand, now: datetime) -> Meaning:
    if now >= command.deadline_at:
        return End(_concluded(command, _ended(command, OutcomeKind.EXPIRED, Reason.DEADLINE)))
    return HoldAgain(min(now + _short_pause(command), command.deadline_at))


def _uncertain(command: TrackedCommand, outcome: CommandOutcome, now: datetime) -> Meaning:
    ended = _of(command, outcome)
    at = now + pause(command.attempts, command.command_id)
    if command.action not in REPEATABLE or at >= command.deadline_at:
        return End(ended)
    return Repeat(at, ended)


def _short_pause(command: TrackedCommand) -> timedelta:
    return pause(command.attempts, command.command_id, most_s=MOST_UNSENT_PAUSE_S)


def _concluded(command: TrackedCommand, outcome: CommandOutcome) -> CommandOutcome:
    """What to tell when this attempt did not reach the charge point: an earlier one may have."""
    if command.uncertain is None:
        return _of(command, outcome)
    return CommandOutcome.model_validate({**command.uncertain, "attempts": command.attempts})


def _ended(command: TrackedCommand, kind: OutcomeKind, reason: Reason) -> CommandOutcome:
    return CommandOutcome(
        command_id=command.command_id,
        identity=command.identity,
        outcome=kind,
        reason=reason.value,
        session=command.session if command.state == TrackedState.UNDER_WAY else None,
    )


def _of(command: TrackedCommand, outcome: CommandOutcome) -> CommandOutcome:
    """The outcome of an attempt as that of the command."""
    return outcome.model_copy(
        update={
            "command_id": command.command_id,
            "identity": command.identity,
            "action": command.action,
            "tracked": True,
            "attempts": command.attempts,
            "queued_ms": int(command.created_at.timestamp() * 1000),
        }
    )
