"""One charge point's session: a pure state machine over frames, replies, commands and time.

One Call per direction is in flight (OCPP-J 4.1.1); the two directions never wait for each other. Inputs return the
effects that the shell carries out, in order. Times are monotonic seconds given by the caller.
"""

from math import inf
from typing import NamedTuple, cast

from contracts import ocppj
from contracts.commands import Reason
from contracts.envelope import OutcomeKind, ReplyEnvelope
from contracts.ocppj import BadFrame, Call, CallError, CallResult, Send
from contracts.tracing import Span
from contracts.versions import ErrorKind, Version
from gateway.commands import Command, CommandLane
from gateway.effects import Abandon, Effect, Ending, Notice, Noticed, Outcome, Relay, Settled, Transmit
from gateway.inspection import Inspector, Refused
from gateway.pace import Pace
from gateway.session_rules import SessionRules
from gateway.signed_messages import Signatures, bare
from gateway.tolerances import NUL, Tolerance
from gateway.validation import Routes

PENDING_BYTES = 64 * 1024
"""Waiting frames of one session above which it is not read; one more of any size may be among them."""

_RESULT = Ending.RESULT  # to look up a member of an enumeration takes 0.1 us, and this one is of every Call


class _Open(NamedTuple):
    """What must be known of the Call in flight; its bytes are in the relay's window, and counted there."""

    unique_id: str
    action: str
    received: float


class Session:
    """A charge point's session from accepted handshake to closed socket."""

    __slots__ = (
        "_answer_by", "_call", "_call_number", "_commands", "_draining", "_inspector", "_number", "_pending",
        "_pending_bytes", "_rules", "_transaction", "_unconfirmed_sends", "calls", "certificate_name", "closed",
        "epoch", "identity", "key_id", "logged", "opened_at", "pace", "profile", "scheduled", "session_id", "span",
        "version",
    )  # fmt: skip

    def __init__(
        self,
        identity: str,
        version: Version,
        session_id: str,
        epoch: int,
        rules: SessionRules,
        *,
        vendor: str = "",
        model: str = "",
        signatures: Signatures | None = None,
    ) -> None:
        """Open it; `vendor`, `model` and `signatures` are what is on record of the charge point."""
        self.identity = identity
        self.version = version
        self.session_id = session_id
        self.epoch = epoch
        self.calls = 0
        """Calls and SENDs taken so far."""
        self.closed = False
        self.opened_at = 0.0
        """For the shell: when it was opened, and whether its frames go to the frame log."""
        self.logged = False
        self.profile = 0
        """The security profile that it was let in with, and the common name of its client certificate, if that did."""
        self.certificate_name: str | None = None
        self.key_id: str | None = None
        """The name of the password that it was let in with, if that did."""
        self.pace: Pace | None = None
        """For the shell: what it has used of its rates, if there are any."""
        self.scheduled = inf
        """For the shell: when it has arranged to call `tick`."""
        self.span: Span | None = None
        """For the shell: that of the Call in flight, if it is recorded."""
        self._rules = rules
        self._inspector = Inspector(rules.rulebook.routes(version, vendor, model), rules.tolerances, signatures)
        self._call: _Open | None = None
        self._call_number = 0
        self._number = 0
        self._transaction = False
        self._answer_by = inf
        # Frames and when they came: decoded, a payload can take fifty times as much memory.
        self._pending: list[tuple[bytes, float]] = []
        self._pending_bytes = 0
        self._commands: CommandLane | None = None  # most sessions never see one: made at the first
        self._unconfirmed_sends = 0
        self._draining = False

    def __repr__(self) -> str:
        return (
            f"<Session {self.identity!r} {self.version} {self.session_id} call={self._call is not None} "
            f"pending={len(self._pending)} closed={self.closed}>"
        )

    @property
    def wants_reading(self) -> bool:
        """Whether the next frame may be handed in; when not, leave the socket unread."""
        waiting = len(self._pending) + self._unconfirmed_sends
        return waiting < self._rules.pending_calls and self._pending_bytes < PENDING_BYTES

    @property
    def idle(self) -> bool:
        """Nothing in flight or waiting, in either direction."""
        return self._call is None and not self._pending and (self._commands is None or self._commands.idle)

    def deadline(self) -> float:
        """When `tick` has work to do, at the earliest; infinity when never."""
        return self._answer_by if self._commands is None else min(self._answer_by, self._commands.deadline())

    # what is known of the charge point

    @property
    def policy(self) -> Routes:
        """How its payloads are judged; to be set when somebody learns who made it."""
        return self._inspector.policy

    @policy.setter
    def policy(self, policy: Routes) -> None:
        self._inspector.policy = policy

    # from the charge point

    def frame_received(self, frame: bytes, now: float) -> list[Effect]:
        """A text frame came."""
        if self.closed:
            return []
        message = ocppj.decode(frame, self.version)
        if isinstance(message, Call):
            return self._call_received(message, now)
        if isinstance(message, CallResult):
            lane = self._commands
            return (
                [Notice(Noticed.STRAY_RESULT)] if lane is None else lane.result(message.unique_id, message.payload, now)
            )
        if isinstance(message, CallError):
            return self._error_received(message, now)
        if isinstance(message, Send):
            return self._send_received(message, now)
        if isinstance(message, BadFrame):
            notice = Notice(Noticed.MALFORMED, message.reason)
            return [notice] if message.answer is None else [notice, Transmit(message.answer)]
        return [Notice(Noticed.RESULT_REFUSED, message.code)]

    def _call_received(self, call: Call, now: float) -> list[Effect]:
        if self._draining:
            return [Notice(Noticed.CALL_WHILE_DRAINING)]  # unanswered: the charge point sends it again elsewhere
        effects: list[Effect] = []
        if not call.unique_id and not self._inspector.bears(Tolerance.EMPTY_UNIQUE_ID, effects):
            broken = ocppj.no_unique_id(self.version)
            effects.append(Notice(Noticed.MALFORMED, broken.reason))
            return effects if broken.answer is None else [*effects, Transmit(broken.answer)]
        if self._call is None:
            self._start(call, now, now, effects)
            return effects
        if not self.wants_reading:
            return [Notice(Noticed.CALL_OVER_BOUND, call.action[:50], call.unique_id)]
        if (
            call.unique_id == self._call.unique_id
            and not self._inspector.bears(Tolerance.DUPLICATE_UNIQUE_ID, effects)
            and not self._inspector.route(bare(call.action) or call.action).transaction
        ):
            effects.append(Notice(Noticed.MALFORMED, "duplicate unique id"))
            return [*effects, self._refusal(call, ErrorKind.PROTOCOL, "a message of this id is being handled")]
        self._pending.append((call.frame, now))
        self._pending_bytes += len(call.frame)
        return effects

    def _start(self, call: Call, received: float, now: float, effects: list[Effect]) -> None:
        """Relay the Call and take the slot, or answer it at once and leave the slot free."""
        self.calls += 1
        self._number += 1
        inspector, violation, signed_by = self._inspector, None, None
        policy = inspector.policy
        route = policy.find(call.action) or policy.of(call.action)
        # here and not there: this is all that most Calls see of it
        if inspector.signatures or route.boots or not route.valid(call.payload) or NUL in call.frame:
            taken = inspector.request(ocppj.CALL, call, effects)
            if isinstance(taken, Refused):
                effects.append(self._refusal(call, taken.kind, taken.description))
                effects.append(Settled(call.unique_id, call.action, received, Ending.REFUSED))
                return
            call, route, violation, signed_by = taken
        name = call.action
        transaction = route.transaction
        if route.key is None:
            effects += self._nobody_serves(_Open(call.unique_id, name, received), transaction=transaction)
            return
        self._call = _Open(call.unique_id, name, received)
        self._call_number = self._number
        self._transaction = transaction
        self._answer_by = deadline = now + self._rules.call_timeout
        effects.append(
            Relay(
                number=self._number,
                unique_id=call.unique_id,
                action=name,
                key=route.key,
                frame=call.frame,
                received=received,
                deadline=deadline,
                expires=route.expires,
                transaction=transaction,
                is_send=False,
                violation=violation,
                signed_by=signed_by,
            )
        )

    def _send_received(self, send: Send, now: float) -> list[Effect]:
        """OCPP 2.1 SEND: relayed beside the slot, never answered, not even with an error (part 4, 4.2.4)."""
        if self._draining:
            return [Notice(Noticed.CALL_WHILE_DRAINING)]
        effects: list[Effect] = []
        inner = bare(send.action) if self._inspector.signatures else None
        route = self._inspector.policy.find(inner or send.action)
        if route is None or not route.is_send or route.key is None:
            return [Notice(Noticed.REFUSED_SEND, "not an action to send")]
        call = Call(send.unique_id, send.action, send.payload, send.frame)
        taken = self._inspector.request(ocppj.SEND, call, effects)
        if isinstance(taken, Refused):
            return [*effects, Notice(Noticed.REFUSED_SEND, taken.description)]
        if not self.wants_reading:
            return [Notice(Noticed.CALL_OVER_BOUND, send.action, send.unique_id)]
        self.calls += 1
        self._number += 1
        self._unconfirmed_sends += 1
        effects.append(
            Relay(
                number=self._number,
                unique_id=send.unique_id,
                action=taken.call.action,
                key=route.key,
                frame=taken.call.frame,
                received=now,
                deadline=now + self._rules.call_timeout,
                expires=route.expires,
                transaction=False,
                is_send=True,
                violation=taken.violation,
                signed_by=taken.signed_by,
            )
        )
        return effects

    def _error_received(self, error: CallError, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for deviation in error.deviations:
            if not self._inspector.bears(Tolerance(deviation), effects):
                return [Notice(Noticed.MALFORMED, deviation)]
        lane = self._commands
        return [Notice(Noticed.STRAY_RESULT)] if lane is None else [*effects, *lane.error(error, now)]

    # from the worker and the relay

    def reply_received(self, number: int, reply: ReplyEnvelope, now: float) -> list[Effect]:
        """A worker answered Call `number`."""
        call = self._call
        if call is None or number != self._call_number:
            return [Notice(Noticed.LATE_REPLY)]
        error = reply.error
        if error is None:
            answer, ending = ocppj.encode_call_result(call.unique_id, reply.payload), _RESULT
        else:
            answer = ocppj.encode_call_error(call.unique_id, error, self.version, reply.description)
            ending = Ending.CALL_ERROR
        return self._answered([Transmit(answer), Settled(*call, ending)], now)

    def unroutable(self, number: int, now: float) -> list[Effect]:
        """No worker serves Call `number`."""
        call = self._call
        if call is None or number != self._call_number:
            return [Notice(Noticed.LATE_REPLY)]
        return self._answered(self._nobody_serves(call, transaction=self._transaction), now)

    def relay_failed(self, number: int, now: float) -> list[Effect]:
        """Call `number` cannot get an answer: our failure, so silence for billing data, else InternalError."""
        if self._call is None or number != self._call_number:
            return [Notice(Noticed.LATE_REPLY)]
        return self._answered(self._our_failure(Ending.FAILED), now)

    def send_settled(self) -> None:
        """The broker has one more SEND of ours (or will never have it)."""
        self._unconfirmed_sends = max(0, self._unconfirmed_sends - 1)

    # to the charge point

    def command_received(self, command: Command, now: float) -> list[Effect]:
        """A command for this charge point came."""
        if self._draining and not command.again and not self._knows(command.command_id):
            return [Outcome(command.command_id, OutcomeKind.OFFLINE, error_code=Reason.DRAINING)]
        if self._commands is None:
            rules = self._rules
            self._commands = CommandLane(self._inspector, limit=rules.waiting_commands, timeout=rules.command_timeout)
        return self._commands.offer(command, now)

    def reuses(self, command: Command) -> bool:
        """Whether another request has had this command's id on this session."""
        return self._commands is not None and self._commands.reuses(command)

    # from time and the shell

    def tick(self, now: float) -> list[Effect]:
        """Act on what is overdue at `now`."""
        effects: list[Effect] = []
        if self._call is not None and self._answer_by <= now:
            late = [
                Abandon(self._call_number),
                Notice(Noticed.CALL_TIMEOUT, self._call.action[:50], self._call.unique_id),
                *self._our_failure(Ending.TIMEOUT),
            ]
            effects = self._answered(late, now)
        if self._commands is not None:
            effects += self._commands.tick(now)
        return effects

    def drain(self) -> list[Effect]:
        """Take no new Calls or commands; what is in flight is finished."""
        self._draining = True
        return [] if self._commands is None else self._commands.withdraw(Reason.DRAINING)

    @property
    def draining(self) -> bool:
        return self._draining

    def close(self, now: float) -> list[Effect]:
        """The socket is gone, or a newer session took over: nothing is answered any more.

        Billing data that waited behind another Call is relayed all the same: it was read, so it is ours.
        """
        if self.closed:
            return []
        self.closed = True
        effects = self._let_go()
        pending, self._pending = self._pending, []
        for frame, received in pending:
            call = self._waiting_call(frame)
            if self._inspector.route(bare(call.action) or call.action).transaction:
                self._start(call, received, now, effects)
                effects += self._let_go()
        self._answer_by = inf
        if self._commands is not None:
            effects += self._commands.close()
        return [effect for effect in effects if not isinstance(effect, Transmit)]

    # inner workings

    def _knows(self, command_id: str) -> bool:
        return self._commands is not None and self._commands.knows(command_id)

    def _refusal(self, call: Call, kind: ErrorKind, description: str) -> Transmit:
        return Transmit(ocppj.encode_call_error(call.unique_id, kind, self.version, description))

    def _answered(self, effects: list[Effect], now: float) -> list[Effect]:
        """Free the slot, and go on with the next Call."""
        self._call = None
        self._answer_by = inf
        while self._pending and self._call is None:
            frame, received = self._pending.pop(0)
            self._pending_bytes -= len(frame)
            self._start(self._waiting_call(frame), received, now, effects)
        return effects

    def _let_go(self) -> list[Effect]:
        """Free the slot: nobody waits for the answer any more."""
        if self._call is None:
            return []
        settled, self._call = Settled(*self._call, Ending.CLOSED), None
        return [Abandon(self._call_number), settled]

    def _waiting_call(self, frame: bytes) -> Call:
        return cast("Call", ocppj.decode(frame, self.version))

    def _nobody_serves(self, call: _Open, *, transaction: bool) -> list[Effect]:
        notice = Notice(Noticed.UNROUTABLE, call.action[:50], call.unique_id)
        if transaction:
            return [notice, Settled(*call, Ending.FAILED)]
        kind = ErrorKind.NOT_SUPPORTED if call.action in self._inspector.policy else ErrorKind.NOT_IMPLEMENTED
        error = ocppj.encode_call_error(call.unique_id, kind, self.version)
        return [notice, Transmit(error), Settled(*call, Ending.REFUSED)]

    def _our_failure(self, ending: Ending) -> list[Effect]:
        """A CALLERROR would use up the charge point's attempts, and it would drop billing data: stay silent there."""
        if self._call is None:
            return []
        settled = Settled(*self._call, ending)
        if self._transaction:
            return [settled]
        text = "no answer in time"
        error = ocppj.encode_call_error(self._call.unique_id, ErrorKind.INTERNAL, self.version, text)
        return [Transmit(error), settled]
