"""What happens to each command on its way to a gateway and back: the decisions. Pure; time passed in.

Wall-clock times are milliseconds since 1970. Every command that is offered ends in exactly one `End`, unless the link
goes down first: then its delivery comes again.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from contracts.commands import Reason
from contracts.envelope import NOT_HERE, CommandEnvelope, OutcomeEnvelope, OutcomeKind
from contracts.tracing import Span
from workers.commands.admitting import Refusal, misfit
from workers.commands.directory import Directory, Place
from workers.commands.memory import Key, Memory, Remembered

PATIENCE_MS = 3000
"""After the deadline: the gateway's own grace for an answer, and the way back."""

MOST_TRIES = 3
"""Dispatches of one command that certainly was not sent, each to where the directory says the charge point is now."""

_ABSENT = frozenset({NOT_HERE, Reason.NOT_CONNECTED, Reason.SESSION_GONE})
"""A gateway's words for: I do not hold that session."""


@dataclass(slots=True, eq=False)
class Command:
    """A command under way. `pinned` and `again` say what may have happened to it before."""

    identity: str
    command_id: str
    action: str
    payload: bytes
    deadline_ms: int
    queued_ms: int
    session: str | None = None
    """The only session that its caller wants it to reach."""
    again: bool = False
    """It may have been dispatched by somebody who died."""
    pinned: tuple[str, str] | None = None
    """Gateway and session that we dispatched it to on an earlier connection."""
    callers: list[object] = field(default_factory=list)
    """Who waits for the outcome."""
    number: int = 0
    gateway: str | None = None
    to_session: str | None = None
    attempts: int = 0
    dispatched_ms: int | None = None
    spans: list[Span] = field(default_factory=list)
    """Of its deliveries, or of its attempt, where their traces are recorded; they end with it."""

    @property
    def span(self) -> Span | None:
        """The one that its dispatch and its outcome belong to."""
        return self.spans[0] if self.spans else None

    @property
    def key(self) -> Key:
        return self.identity, self.command_id

    @property
    def fresh(self) -> bool:
        """Whether, as long as no gateway has taken it, it certainly was not sent."""
        return not self.again and self.pinned is None

    @property
    def digest(self) -> bytes:
        """Of what `same_as` compares."""
        parts = (self.action.encode(), self.payload, b"" if self.session is None else b"=" + self.session.encode())
        whole = hashlib.blake2b(digest_size=12)
        for part in parts:
            whole.update(b"%d:" % len(part) + part)
        return whole.digest()

    def remembered(self, ended: OutcomeEnvelope | None = None) -> Remembered:
        """What is to be known when it comes again."""
        gateway, session = self.pinned or (self.gateway, self.to_session)
        return Remembered(self.digest, gateway, session, ended, again=self.again)

    def same_as(self, other: "Command") -> bool:
        return (self.action, self.payload, self.session) == (other.action, other.payload, other.session)


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Publish this to the gateway."""

    gateway: str
    number: int
    envelope: CommandEnvelope
    span: Span | None = None
    """The command's, when its trace is recorded."""


@dataclass(frozen=True, slots=True)
class End:
    """Tell the command's callers, and remember it in case its delivery comes again."""

    command: Command
    outcome: OutcomeEnvelope
    remember: bool = True
    """Not what would be found out again, nor what is about another command of the same id."""


Step = Dispatch | End


@dataclass(slots=True)
class _Line:
    """The commands of one charge point that have not ended: how many, and the number of the newest dispatch."""

    open: int = 0
    newest: int = 0


class Dispatching:
    """All commands under way, and those that wait for the directory to become complete."""

    def __init__(self, directory: Directory, memory: Memory) -> None:
        self._directory = directory
        self._memory = memory
        self._numbers = 0
        self._open: dict[Key, Command] = {}
        self._dispatched: dict[int, Command] = {}
        self._waiting: dict[str, list[Command]] = {}
        self._lines: dict[str, _Line] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, key: Key) -> bool:
        return key in self._open

    def offer(self, command: Command, now_ms: int) -> list[Step]:
        """Take a command, in the order of arrival; one that is under way already is joined to it."""
        known = self._open.get(command.key)
        if known is not None:
            if not known.same_as(command):
                return [refused(command, Refusal(Reason.COMMAND_ID_REUSED, "another command has this id"))]
            known.callers += command.callers
            known.spans += command.spans
            return []
        self._open[command.key] = command
        self._lines.setdefault(command.identity, _Line()).open += 1
        return self._go(command, now_ms)

    def answered(self, number: int, outcome: OutcomeEnvelope, now_ms: int) -> list[Step]:
        """A gateway told what became of a command; a number that is not under way any more is none of ours."""
        command = self._dispatched.get(number)
        if command is None or command.gateway is None or command.to_session is None:
            return []
        if outcome.kind is OutcomeKind.OFFLINE and outcome.error_code in _ABSENT:
            self._directory.not_here(command.identity, command.gateway, command.to_session)
            return self._missed(command, now_ms)
        if outcome.kind is OutcomeKind.OFFLINE and outcome.error_code == Reason.DRAINING and not command.fresh:
            return [self._end(command, OutcomeKind.UNKNOWN, Reason.REDELIVERED)]
        return [self._close(command, outcome)]

    def returned(self, number: int) -> list[Step]:
        """No queue took it: its gateway is gone, or has just lost its broker connection."""
        command = self._dispatched.get(number)
        if command is None or command.gateway is None:
            return []
        self._directory.returned(command.gateway)
        if not self._directory.complete:
            # Perhaps the broker was restarted, and we are the first to be back.
            self._undispatched(command)
            self._waiting.setdefault(command.identity, []).append(command)
            return []
        kind = OutcomeKind.OFFLINE if command.fresh else OutcomeKind.UNKNOWN
        return [self._end(command, kind, Reason.GATEWAY_LOST)]

    def gateway_lost(self, gateway: str) -> list[Step]:
        """It has been silent for too long: what was dispatched to it may or may not have been sent."""
        self._directory.lost(gateway)
        lost = [command for command in self._dispatched.values() if command.gateway == gateway]
        return [self._end(command, OutcomeKind.UNKNOWN, Reason.GATEWAY_LOST) for command in lost]

    def opened(self, identities: Iterable[str], now_ms: int) -> list[Step]:
        """Sessions were announced: what waited for one of them goes on."""
        if not self._waiting:
            return []
        return [step for identity in identities for step in self._release(identity, now_ms)]

    def directory_complete(self, now_ms: int) -> list[Step]:
        """Nothing needs to wait for the directory any more."""
        return [step for identity in list(self._waiting) for step in self._release(identity, now_ms)]

    def tick(self, now_ms: int) -> list[Step]:
        """End what is overdue."""
        waiting = [command for commands in self._waiting.values() for command in commands]
        late = [command for command in waiting if command.fresh and command.deadline_ms <= now_ms]
        steps: list[Step] = [self._end(command, OutcomeKind.EXPIRED, Reason.DEADLINE) for command in late]
        overdue = [
            command
            for command in self._open.values()
            if now_ms >= max(command.deadline_ms, command.dispatched_ms or command.queued_ms) + PATIENCE_MS
        ]
        return [*steps, *(self._end(command, OutcomeKind.UNKNOWN, Reason.NO_OUTCOME) for command in overdue)]

    def link_down(self) -> list[Command]:
        """Forget all commands, and remember what became of them; their deliveries come again."""
        commands = list(self._open.values())
        for command in commands:
            self._memory.keep(command.key, command.remembered(), told=False)
        self._open.clear()
        self._dispatched.clear()
        self._waiting.clear()
        self._lines.clear()
        return commands

    def _release(self, identity: str, now_ms: int) -> list[Step]:
        return [step for command in self._waiting.pop(identity, ()) for step in self._go(command, now_ms)]

    def _go(self, command: Command, now_ms: int) -> list[Step]:
        if command.fresh and command.deadline_ms <= now_ms:
            return [self._end(command, OutcomeKind.EXPIRED, Reason.DEADLINE)]
        if command.fresh and command.number < self._lines[command.identity].newest and command.attempts:
            # It missed a session that ended, and a later command has gone to the next one: it must not come after that.
            return [self._end(command, OutcomeKind.OFFLINE, Reason.SESSION_CLOSED)]
        if command.pinned is not None:
            # Whatever the directory says: only that gateway can tell what became of it.
            return [self._dispatch(command, *command.pinned, now_ms)]
        place = self._directory.find(command.identity)
        if place is None or (command.session is not None and command.session != place.session):
            if not self._directory.complete:
                self._waiting.setdefault(command.identity, []).append(command)
                return []
            return [self._absent(command, place)]
        refusal = misfit(place.version, command.action, command.payload) if command.fresh else None
        if refusal is not None:
            return [self._end(command, refusal.kind, refusal.reason, refusal.description)]
        return [self._dispatch(command, place.gateway, place.session, now_ms)]

    def _absent(self, command: Command, place: Place | None) -> End:
        if not command.fresh:
            return self._end(command, OutcomeKind.UNKNOWN, Reason.REDELIVERED)
        return self._end(command, OutcomeKind.OFFLINE, Reason.NOT_CONNECTED if place is None else Reason.SESSION_GONE)

    def _missed(self, command: Command, now_ms: int) -> list[Step]:
        """The gateway holds the session no more, and a fresh command was not sent: try where it is now, if anywhere."""
        place = self._directory.find(command.identity)
        moved = place is not None and command.session is None and command.attempts < MOST_TRIES
        if command.fresh and moved:
            self._undispatched(command)
            return self._go(command, now_ms)
        return [self._absent(command, None if command.session is None else place)]

    def _dispatch(self, command: Command, gateway: str, session: str, now_ms: int) -> Dispatch:
        self._numbers += 1
        command.number = self._numbers
        command.gateway, command.to_session, command.dispatched_ms = gateway, session, now_ms
        command.attempts += 1
        self._dispatched[command.number] = command
        self._lines[command.identity].newest = command.number
        envelope = CommandEnvelope(
            command_id=command.command_id,
            identity=command.identity,
            action=command.action,
            payload=command.payload,
            deadline_ms=command.deadline_ms,
            session=session,
            # Sent to the one session that it is for, or not at all: that session's memory of commands tells which.
            again=command.again and command.session is None,
        )
        return Dispatch(gateway, command.number, envelope, command.span)

    def _undispatched(self, command: Command) -> None:
        """It went nowhere, and is as it was before."""
        self._dispatched.pop(command.number, None)
        command.gateway = command.to_session = None

    def _end(self, command: Command, kind: OutcomeKind, reason: Reason, description: str = "") -> End:
        return self._close(command, _outcome(command, kind, reason, description))

    def _close(self, command: Command, outcome: OutcomeEnvelope) -> End:
        if self._open.pop(command.key, None) is not None:
            line = self._lines[command.identity]
            line.open -= 1
            if not line.open:
                del self._lines[command.identity]
        self._dispatched.pop(command.number, None)
        waiting = self._waiting.get(command.identity)
        if waiting is not None and command in waiting:
            waiting.remove(command)
            if not waiting:
                del self._waiting[command.identity]
        return End(command, outcome)


def refused(command: Command, refusal: Refusal) -> End:
    """The end of a command that was never offered."""
    outcome = _outcome(command, refusal.kind, refusal.reason, refusal.description)
    return End(command, outcome, remember=refusal.kind is not OutcomeKind.REJECTED)


def _outcome(command: Command, kind: OutcomeKind, reason: Reason, description: str = "") -> OutcomeEnvelope:
    return OutcomeEnvelope(
        command_id=command.command_id,
        identity=command.identity,
        kind=kind,
        gateway=command.gateway or "",
        session=command.to_session,
        error_code=reason,
        description=description,
    )
