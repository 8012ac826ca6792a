"""Commands to one charge point: one in flight, a bounded queue behind it, exactly one outcome each. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Any

import orjson

from contracts import actions, ocppj, schemas
from contracts.envelope import OutcomeKind
from contracts.schemas import Part
from contracts.versions import Version
from gateway.effects import Effect, Notice, Noticed, Outcome, Transmit

REMEMBERED = 32
"""Ended commands whose outcome a session can repeat when the command is delivered again."""

REMEMBERED_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Command:
    """A request for the charge point; `deadline` (monotonic seconds) is the last moment at which it may be sent."""

    command_id: str
    action: str
    payload: bytes
    deadline: float


class CommandLane:
    """The direction to the charge point. Every accepted command yields one Outcome; none is sent twice."""

    __slots__ = ("_answer_by", "_ended", "_limit", "_sent", "_sent_at", "_timeout", "_version", "_waiting")

    def __init__(self, version: Version, *, limit: int, timeout: float) -> None:
        self._version = version
        self._limit = limit
        self._timeout = timeout
        self._waiting: list[tuple[Command, bytes]] = []
        self._sent: Command | None = None
        self._sent_at = 0.0
        self._answer_by = inf
        self._ended: dict[str, Outcome] = {}

    @property
    def idle(self) -> bool:
        return self._sent is None and not self._waiting

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def deadline(self) -> float:
        """When `tick` has work to do, at the earliest."""
        return min(self._answer_by, min((command.deadline for command, _ in self._waiting), default=inf))

    def knows(self, command_id: str) -> bool:
        """Whether this command is open, or ended a short while ago."""
        return command_id in self._ended or command_id in self._open_ids()

    def offer(self, command: Command, now: float) -> list[Effect]:
        """Take a command: it is sent, waits, or ends at once. A known one is never sent again."""
        if command.command_id in self._ended:
            return [self._ended[command.command_id], Notice(Noticed.DUPLICATE_COMMAND)]
        if command.command_id in self._open_ids():
            return [Notice(Noticed.DUPLICATE_COMMAND)]
        frame = self._frame(command)
        if isinstance(frame, Outcome):
            return [self._end(frame)]
        if command.deadline <= now:
            return [self._end(_expired(command))]
        if len(self._waiting) >= self._limit:
            # Not remembered: asked again later it may well be sent.
            return [Outcome(command.command_id, OutcomeKind.REJECTED, error_code="queue_full")]
        self._waiting.append((command, frame))
        return self._send_next(now)

    def result(self, unique_id: str, payload: Any, now: float) -> list[Effect]:
        """A CALLRESULT came. Its payload is checked; OCPP 2.1 tells the charge point when it is invalid."""
        command = self._answered(unique_id)
        if command is None:
            return [Notice(Noticed.STRAY_RESULT)]
        if payload is None and self._version is Version.V16:
            payload = {}  # OCPP-J 1.6 4.2.1: null stands for "no payload"
        violation = schemas.inbound_violation(self._version, command.action, Part.RESPONSE, payload)
        effects: list[Effect] = []
        kind, code, description = OutcomeKind.RESULT, None, ""
        body = _encode(payload)
        if violation is not None:
            effects.append(Notice(Noticed.INVALID_RESULT, command.action))
            code, description = "invalid_result", violation.description
            if self._version is Version.V21:
                # The charge point learns that its answer does not count, so for the caller it must not count either.
                kind, code = OutcomeKind.CALL_ERROR, violation.kind.value
                effects.append(Transmit(ocppj.encode_call_result_error(unique_id, violation.kind, description)))
        if body is None:
            kind, body = OutcomeKind.CALL_ERROR, b"{}"
        outcome = Outcome(unique_id, kind, body, code, description, self._sent_at, now)
        return [*effects, self._end(outcome), *self._send_next(now)]

    def error(self, message: ocppj.CallError, now: float) -> list[Effect]:
        """A CALLERROR came."""
        if self._answered(message.unique_id) is None:
            return [Notice(Noticed.STRAY_RESULT)]
        outcome = Outcome(
            message.unique_id, OutcomeKind.CALL_ERROR, b"{}", message.code, message.description, self._sent_at, now
        )
        return [self._end(outcome), *self._send_next(now)]

    def tick(self, now: float) -> list[Effect]:
        """End what is overdue: TIMEOUT for the one sent, EXPIRED for those that wait."""
        effects: list[Effect] = []
        if self._sent is not None and self._answer_by <= now:
            timed_out = Outcome(self._sent.command_id, OutcomeKind.TIMEOUT, sent_at=self._sent_at)
            self._sent, self._answer_by = None, inf
            effects.append(self._end(timed_out))
        overdue = [command for command, _ in self._waiting if command.deadline <= now]
        if overdue:
            self._waiting = [entry for entry in self._waiting if entry[0].deadline > now]
            effects += [self._end(_expired(command)) for command in overdue]
        return [*effects, *self._send_next(now)]

    def withdraw(self, reason: str) -> list[Effect]:
        """End those that wait, unsent; `reason` is a machine word."""
        waiting, self._waiting = self._waiting, []
        return [
            self._end(Outcome(command.command_id, OutcomeKind.OFFLINE, error_code=reason)) for command, _ in waiting
        ]

    def close(self) -> list[Effect]:
        """The session is over: UNKNOWN for the one sent, OFFLINE for those that wait."""
        effects: list[Effect] = []
        if self._sent is not None:
            outcome = Outcome(
                self._sent.command_id, OutcomeKind.UNKNOWN, error_code="session_closed", sent_at=self._sent_at
            )
            self._sent, self._answer_by = None, inf
            effects.append(self._end(outcome))
        return effects + self.withdraw("session_closed")

    def _open_ids(self) -> Iterator[str]:
        if self._sent is not None:
            yield self._sent.command_id
        for command, _ in self._waiting:
            yield command.command_id

    def _frame(self, command: Command) -> bytes | Outcome:
        """The CALL frame, or why there will be none. What was checked is what is sent: hence encoded anew."""

        def rejected(code: str, description: str = "") -> Outcome:
            return Outcome(command.command_id, OutcomeKind.REJECTED, error_code=code, description=description)

        if not 0 < len(command.command_id) <= ocppj.MAX_UNIQUE_ID:
            return rejected("bad_command_id", f"a command id has 1 to {ocppj.MAX_UNIQUE_ID} characters")
        action = actions.find(self._version, command.action)
        if action is None or not action.to_charge_point:
            return rejected("unknown_action", f"OCPP {self._version} has no such request to a charge point")
        try:
            payload = orjson.loads(command.payload)
        except orjson.JSONDecodeError:
            return rejected("bad_payload", "the payload is not JSON")
        violation = schemas.outbound_violation(self._version, command.action, Part.REQUEST, payload)
        if violation is not None:
            return rejected(violation.kind.value, violation.description)
        body = _encode(payload)
        if body is None:
            return rejected("bad_payload", "the payload is nested too deeply")
        return ocppj.encode_call(command.command_id, command.action, body)

    def _send_next(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        while self._sent is None and self._waiting:
            command, frame = self._waiting.pop(0)
            if command.deadline <= now:
                effects.append(self._end(_expired(command)))
                continue
            self._sent, self._sent_at, self._answer_by = command, now, now + self._timeout
            effects.append(Transmit(frame))
        return effects

    def _answered(self, unique_id: str) -> Command | None:
        command = self._sent
        if command is None or command.command_id != unique_id:
            return None
        self._sent, self._answer_by = None, inf
        return command

    def _end(self, outcome: Outcome) -> Outcome:
        kept = outcome
        if len(outcome.payload) > REMEMBERED_BYTES:
            kept = Outcome(
                outcome.command_id, OutcomeKind.UNKNOWN, error_code="result_forgotten", sent_at=outcome.sent_at
            )
        self._ended[outcome.command_id] = kept
        if len(self._ended) > REMEMBERED:
            del self._ended[next(iter(self._ended))]
        return outcome


def _expired(command: Command) -> Outcome:
    return Outcome(command.command_id, OutcomeKind.EXPIRED, error_code="deadline")


def _encode(payload: Any) -> bytes | None:
    """JSON, or None when it is nested deeper than the encoder goes (it reads deeper than it writes)."""
    try:
        return orjson.dumps(payload)
    except orjson.JSONEncodeError:
        return None
