"""Commands to one charge point: one in flight, a bounded queue behind it, exactly one outcome each. Pure."""

from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from math import inf
from typing import Any

import orjson

from contracts import ocppj
from contracts.commands import Reason
from contracts.envelope import OutcomeKind
from contracts.schemas import Violation
from contracts.versions import ErrorKind, Version
from gateway.command_memory import CommandMemory
from gateway.effects import Effect, Notice, Noticed, Outcome, Transmit
from gateway.inspection import Inspector, Refused

ANSWER_AT_LEAST_S = 1.0
"""A charge point has this long to answer even a command that was sent at its deadline."""

MOST_DETAILS_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Command:
    """A request for the charge point; `deadline` (monotonic seconds) is the last moment at which it may be sent.

    `again`: it may have been sent before by somebody who cannot tell; only one that is known here is safe.
    """

    command_id: str
    action: str
    payload: bytes
    deadline: float
    again: bool = False


@dataclass(frozen=True, slots=True)
class _Accepted:
    """A command that waits or is on the wire, with its frame and the digest of what it asks."""

    command: Command
    frame: bytes
    digest: bytes


class CommandLane:
    """The direction to the charge point. Every accepted command yields one Outcome; none is sent twice.

    A command that is not answered by its deadline is told as TIMEOUT then, but keeps the slot until its late answer
    comes or the command timeout is over: the charge point has a Call in flight as long (OCPP-J 4.1.1).
    """

    __slots__ = (
        "_digests", "_ended", "_free_by", "_inspector", "_limit", "_sent", "_sent_at", "_tell_by",
        "_timeout", "_told", "_version", "_waiting",
    )  # fmt: skip

    def __init__(self, inspector: Inspector, *, limit: int, timeout: float) -> None:
        self._inspector = inspector
        self._version = inspector.version
        self._limit = limit
        self._timeout = timeout
        self._waiting: list[_Accepted] = []
        self._sent: _Accepted | None = None
        self._sent_at = 0.0
        self._told = False
        self._tell_by = self._free_by = inf
        self._digests: dict[str, bytes] = {}
        """Of the commands that have no outcome yet."""
        self._ended = CommandMemory()

    @property
    def idle(self) -> bool:
        """No outcome is owed."""
        return not self._digests

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def deadline(self) -> float:
        """When `tick` has work to do, at the earliest."""
        slot = self._free_by if self._told else self._tell_by
        return min(slot, min((entry.command.deadline for entry in self._waiting), default=inf))

    def knows(self, command_id: str) -> bool:
        """Whether this command is open, or ended a while ago."""
        return command_id in self._digests or command_id in self._ended

    def reuses(self, command: Command) -> bool:
        """Whether another request has had this command's id."""
        known = self._digests.get(command.command_id) or self._ended.digest(command.command_id)
        return known is not None and known != _digest(command)

    def offer(self, command: Command, now: float) -> list[Effect]:
        """Take a command: it is sent, waits, or ends at once. A known one is never sent again."""
        command_id = command.command_id
        if self.knows(command_id):
            duplicate = Notice(Noticed.DUPLICATE_COMMAND)
            if self.reuses(command):
                # Not remembered: the outcome of the one that is known stays what it is.
                return [_rejected(command, Reason.COMMAND_ID_REUSED, "another command has had this id"), duplicate]
            repeated = self._ended.outcome(command_id)
            return [duplicate] if repeated is None else [repeated, duplicate]
        digest = _digest(command)
        self._digests[command_id] = digest
        if command.again:
            return [self._end(Outcome(command_id, OutcomeKind.UNKNOWN, error_code=Reason.REDELIVERED))]
        effects: list[Effect] = []
        frame = self._frame(command, effects)
        if isinstance(frame, Outcome):
            return [*effects, self._end(frame)]
        if command.deadline <= now:
            return [*effects, self._end(_expired(command))]
        if len(self._waiting) >= self._limit:
            # Not remembered: asked again later it may well be sent.
            del self._digests[command_id]
            return [*effects, _rejected(command, Reason.QUEUE_FULL)]
        self._waiting.append(_Accepted(command, frame, digest))
        return [*effects, *self._send_next(now)]

    def result(self, unique_id: str, payload: Any, now: float) -> list[Effect]:
        """A CALLRESULT came. Its payload is checked; OCPP 2.1 tells the charge point when it is invalid."""
        command = self._sent
        if command is None or command.command.command_id != unique_id:
            return [Notice(Noticed.STRAY_RESULT)]
        if self._told:
            return self._late(now)
        action = command.command.action
        self._free_slot()
        if payload is None and self._version is Version.V16:
            payload = {}  # OCPP-J 1.6 4.2.1: null stands for "no payload"
        effects: list[Effect] = []
        seen = self._inspector.result(unique_id, action, payload, effects)
        kind, code, description, details = OutcomeKind.RESULT, None, "", b"{}"
        body = _encode(seen.payload)
        if seen.refused is not None:
            code, description = Reason.INVALID_RESULT, _named(seen.refused)
            if seen.refused.kind is ErrorKind.SECURITY:
                kind = OutcomeKind.CALL_ERROR  # whatever it says, nobody knows who says it
            if self._version is Version.V21:
                # The charge point learns that its answer does not count, so for the caller it must not count either.
                kind = OutcomeKind.CALL_ERROR
                answer = ocppj.encode_call_result_error(unique_id, seen.refused.kind, seen.refused.description)
                effects.append(Transmit(answer))
        elif seen.violation is not None:
            description = _named(seen.violation)
            details = orjson.dumps({"violation": description})
        if body is None:
            kind, body, code = OutcomeKind.CALL_ERROR, b"{}", Reason.INVALID_RESULT
        outcome = Outcome(unique_id, kind, body, code, description, self._sent_at, now, details)
        return [*effects, self._end(outcome), *self._send_next(now)]

    def error(self, message: ocppj.CallError, now: float) -> list[Effect]:
        """A CALLERROR came."""
        command = self._sent
        if command is None or command.command.command_id != message.unique_id:
            return [Notice(Noticed.STRAY_RESULT)]
        if self._told:
            return self._late(now)
        self._free_slot()
        outcome = Outcome(
            message.unique_id,
            OutcomeKind.CALL_ERROR,
            error_code=message.code,
            description=message.description,
            sent_at=self._sent_at,
            answered_at=now,
            details=_details(message.details),
        )
        return [self._end(outcome), *self._send_next(now)]

    def tick(self, now: float) -> list[Effect]:
        """End what is overdue: TIMEOUT for the one sent, EXPIRED for those that wait."""
        effects: list[Effect] = []
        if self._sent is not None:
            if not self._told and self._tell_by <= now:
                self._told = True
                command_id = self._sent.command.command_id
                no_answer = Outcome(command_id, OutcomeKind.TIMEOUT, error_code=Reason.NO_ANSWER, sent_at=self._sent_at)
                effects.append(self._end(no_answer))
            if self._free_by <= now:
                self._free_slot()
        overdue = [entry.command for entry in self._waiting if entry.command.deadline <= now]
        if overdue:
            self._waiting = [entry for entry in self._waiting if entry.command.deadline > now]
            effects += [self._end(_expired(command)) for command in overdue]
        return [*effects, *self._send_next(now)]

    def withdraw(self, reason: Reason) -> list[Effect]:
        """End those that wait, unsent."""
        waiting, self._waiting = self._waiting, []
        return [
            self._end(Outcome(entry.command.command_id, OutcomeKind.OFFLINE, error_code=reason)) for entry in waiting
        ]

    def close(self) -> list[Effect]:
        """The session is over: UNKNOWN for the one sent, OFFLINE for those that wait."""
        effects: list[Effect] = []
        if self._sent is not None and not self._told:
            command_id, reason = self._sent.command.command_id, Reason.SESSION_CLOSED
            effects.append(
                self._end(Outcome(command_id, OutcomeKind.UNKNOWN, error_code=reason, sent_at=self._sent_at))
            )
        self._free_slot()
        return effects + self.withdraw(Reason.SESSION_CLOSED)

    def _frame(self, command: Command, effects: list[Effect]) -> bytes | Outcome:
        """The CALL frame, or why there will be none. What was checked is what is sent: hence encoded anew."""
        if not 0 < len(command.command_id) <= ocppj.MAX_UNIQUE_ID:
            return _rejected(command, Reason.BAD_COMMAND_ID, f"a command id has 1 to {ocppj.MAX_UNIQUE_ID} characters")
        route = self._inspector.policy.find(command.action)
        if route is None or not route.to_charge_point:
            return _rejected(
                command, Reason.UNKNOWN_ACTION, f"OCPP {self._version} has no such request to a charge point"
            )
        try:
            payload = orjson.loads(command.payload)
        except orjson.JSONDecodeError:
            return _rejected(command, Reason.BAD_PAYLOAD, "the payload is not JSON")
        if not isinstance(payload, dict):
            return _rejected(command, Reason.BAD_PAYLOAD, "the payload is no object")
        refused = self._inspector.command(command.action, payload, effects)
        if refused is not None:
            return _rejected(command, Reason.BAD_PAYLOAD, _named(refused))
        body = _encode(payload)
        if body is None:
            return _rejected(command, Reason.BAD_PAYLOAD, "the payload is nested too deeply")
        return ocppj.encode_call(command.command_id, command.action, body)

    def _send_next(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        while self._sent is None and self._waiting:
            entry = self._waiting.pop(0)
            deadline = entry.command.deadline
            if deadline <= now:
                effects.append(self._end(_expired(entry.command)))
                continue
            self._sent, self._sent_at, self._told = entry, now, False
            self._free_by = now + self._timeout
            self._tell_by = min(max(deadline, now + ANSWER_AT_LEAST_S), self._free_by)
            effects.append(Transmit(entry.frame))
        return effects

    def _late(self, now: float) -> list[Effect]:
        """The answer to a command whose timeout was told: it only frees the slot."""
        self._free_slot()
        return [Notice(Noticed.LATE_RESULT), *self._send_next(now)]

    def _free_slot(self) -> None:
        self._sent, self._told = None, False
        self._tell_by = self._free_by = inf

    def _end(self, outcome: Outcome) -> Outcome:
        self._ended.keep(outcome, self._digests.pop(outcome.command_id))
        return outcome


def _digest(command: Command) -> bytes:
    """The same for the same action and payload, however that is spaced and ordered."""
    payload = command.payload
    with suppress(orjson.JSONDecodeError, orjson.JSONEncodeError):  # which are refused; their bytes are as good
        payload = orjson.dumps(orjson.loads(payload), option=orjson.OPT_SORT_KEYS)
    return blake2b(b"%b\0%b" % (command.action.encode("utf-8", "replace"), payload), digest_size=16).digest()


def _rejected(command: Command, reason: Reason, description: str = "") -> Outcome:
    return Outcome(command.command_id, OutcomeKind.REJECTED, error_code=reason, description=description)


def _named(violation: Violation | Refused) -> str:
    return f"{violation.kind.value}: {violation.description}"


def _details(details: Any) -> bytes:
    """A CALLERROR's details as JSON; none when they are no object, or too much of one."""
    body = _encode(details) if isinstance(details, dict) else None
    return b"{}" if body is None or len(body) > MOST_DETAILS_BYTES else body


def _expired(command: Command) -> Outcome:
    return Outcome(command.command_id, OutcomeKind.EXPIRED, error_code=Reason.DEADLINE)


def _encode(payload: Any) -> bytes | None:
    """JSON, or None when it is nested deeper than those can write it who pass it on in bodies of their own."""
    try:
        # Outcomes and events hold it a little deeper, and their readers leave room for as much again.
        return orjson.dumps([[[[[[[[[[[[payload]]]]]]]]]]]])[12:-12]
    except orjson.JSONEncodeError:
        return None
