"""Arbitrary interleavings of everything that can happen to a session."""

import json
from collections import Counter
from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from contracts.envelope import MessagePolicy, OutcomeKind, ReplyEnvelope
from contracts.versions import Version
from gateway.commands import Command
from gateway.effects import Abandon, Effect, Notice, Noticed, Outcome, Relay, Settled, Transmit
from gateway.routes import Policy
from gateway.session import Session
from gateway.session_rules import SessionRules
from gateway.signed_messages import Signatures
from gateway.tolerances import ALL, HARMLESS, STRICT, Tolerance
from gateway.validation import Direction, Rulebook, ValidationRule
from tests.gateway.signing import signer

BOOK = Rulebook(Policy.ENFORCE, [ValidationRule("odd", "*", "*", Direction.BOTH, Policy.WARN)])
RULES = SessionRules(call_timeout=10, command_timeout=7, pending_calls=3, waiting_commands=2, rulebook=BOOK)
START = {"connectorId": 1, "idTag": "T", "meterStart": 0, "timestamp": "2026-01-01T00:00:00Z"}
CALLS: list[tuple[str, dict[str, Any], bool]] = [
    ("Heartbeat", {}, False),
    ("BootNotification", {}, False),  # invalid: refused at once
    ("BootNotification", {"chargePointVendor": "Odd", "chargePointModel": None}, False),  # from then on judged mildly
    ("Authorize", {"idTag": None}, False),
    ("DataTransfer", {"vendorId": "a\0b", "more": 1}, False),
    ("Heartbeat-Signed", {}, False),
    ("StartTransaction-Signed", START, True),
    ("MakeCoffee", {}, False),
    ("no key!", {}, False),
    ("Reset", {}, False),
    ("StartTransaction", START, True),
    ("StopTransaction", {"transactionId": "x"}, True),  # invalid, relayed all the same
]
JUNK = [b"", b"[", b"{}", b"[9]", b"[2]", b"[3]", b"[4,1]", b'[7,"x"]', b"[2,1,2,3]", b"[" * 2000, b'[3,"?",{}]']


class SessionMachine(RuleBasedStateMachine):
    """Plays charge point, worker, backend and clock at once, and keeps its own books."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.sent_calls: list[tuple[str, bool]] = []
        self.answers: Counter[str] = Counter()
        self.answer_order: list[str] = []
        self.relayed: list[Relay] = []
        self.settled: Counter[str] = Counter()
        self.in_flight: Relay | None = None
        self.commands: list[str] = []
        self.frames_of: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.offers: Counter[str] = Counter()
        self.on_wire: str | None = None
        self.offered: list[str] = []
        self.last_sent = -1
        self.deadlines: dict[str, float] = {}
        self.asked: dict[str, bool] = {}
        self.sent_at = 0.0
        self.lingering: tuple[str, float] | None = None
        self.silent: set[str] = set()

    @initialize(
        version=st.sampled_from(list(Version)),
        allowed=st.sampled_from([STRICT, HARMLESS, ALL]),
        messages=st.sampled_from(list(MessagePolicy)),
    )
    def open(self, version: Version, allowed: frozenset[Tolerance], messages: MessagePolicy) -> None:
        signatures = Signatures.of(messages, [signer().certificate_pem])
        self.session = Session("CP", version, "s", 1, replace(RULES, tolerances=allowed), signatures=signatures)

    def carry_out(self, effects: list[Effect]) -> None:
        closed = self.session.closed
        for effect in effects:
            if isinstance(effect, Transmit):
                assert not closed, "a closed session sends nothing"
                self.note_frame(json.loads(effect.frame))
            elif isinstance(effect, Relay):
                if not closed:
                    assert self.in_flight is None, "one Call in flight at most"
                    self.in_flight = effect
                self.relayed.append(effect)
            elif isinstance(effect, Abandon):
                if self.in_flight is not None and self.in_flight.number == effect.number:
                    if self.in_flight.transaction:
                        self.silent.add(self.in_flight.unique_id)
                    self.in_flight = None
            elif isinstance(effect, Settled):
                self.settled[effect.unique_id] += 1
            elif isinstance(effect, Outcome):
                if effect.error_code == "command_id_reused":
                    continue  # told aside, of another request
                self.outcomes[effect.command_id] += 1
                if self.on_wire == effect.command_id:
                    if effect.kind is OutcomeKind.TIMEOUT:
                        free = self.sent_at + RULES.command_timeout
                        due = min(max(self.deadlines[effect.command_id], self.sent_at + 1), free)
                        assert self.now >= due, "a timeout is told at the deadline"
                        self.lingering = (effect.command_id, free)
                    self.on_wire = None
                if effect.kind in {OutcomeKind.OFFLINE, OutcomeKind.EXPIRED, OutcomeKind.REJECTED}:
                    assert self.frames_of[effect.command_id] == 0, "such an outcome says: never sent"
            elif isinstance(effect, Notice):
                assert effect.kind is not Noticed.CALL_OVER_BOUND, "the shell respects wants_reading"

    def note_frame(self, message: list[Any]) -> None:
        if message[0] == 2:
            assert self.on_wire is None, "one command in flight at most"
            assert self.lingering is None or self.now >= self.lingering[1], "the slot stays taken after a timeout"
            self.on_wire, self.sent_at, self.lingering = message[1], self.now, None
            self.frames_of[message[1]] += 1
            position = max(at for at, command_id in enumerate(self.offered) if command_id == message[1])
            assert position > self.last_sent, "commands are sent in the order they came"
            self.last_sent = position
        elif message[0] in {3, 4}:
            self.answers[message[1]] += 1
            if message[1] != "-1":
                self.answer_order.append(message[1])
        else:
            raise AssertionError(message)

    # the charge point

    @precondition(lambda self: self.session.wants_reading and not self.session.closed)
    @rule(kind=st.sampled_from(CALLS))
    def charge_point_calls(self, kind: tuple[str, dict[str, Any], bool]) -> None:
        action, payload, transaction = kind
        if self.session.version is not Version.V16 and action in {"StartTransaction", "StopTransaction"}:
            action, transaction = "TransactionEvent", True
        if action.endswith("-Signed"):
            if self.session.version is not Version.V16 and transaction:
                action = "TransactionEvent-Signed"
            payload = signer().jws(2, action.removesuffix("-Signed"), payload)
        unique_id = f"u{len(self.sent_calls)}"
        if not self.session.draining:
            self.sent_calls.append((unique_id, transaction))
        self.carry_out(self.session.frame_received(json.dumps([2, unique_id, action, payload]).encode(), self.now))

    @rule(junk=st.sampled_from(JUNK))
    def charge_point_babbles(self, junk: bytes) -> None:
        before = self.answers.copy()
        self.carry_out(self.session.frame_received(junk, self.now))
        new = self.answers - before
        assert set(new) <= {"-1"}, "only an unreadable id may be answered"

    @rule(kind=st.sampled_from([3, 4, 5]), which=st.integers(0, 30))
    def charge_point_replies(self, kind: int, which: int) -> None:
        command_id = f"c{which % 12}"
        message = [3, command_id, {"status": "Accepted"}] if kind == 3 else [kind, command_id, "InternalError", "", {}]
        frames = sum(self.frames_of.values())
        answers = self.answers.total()
        if kind != 5 and self.lingering is not None and self.lingering[0] == command_id:
            self.lingering = None
        self.carry_out(self.session.frame_received(json.dumps(message).encode(), self.now))
        assert self.answers.total() == answers, "a reply is never answered"
        assert sum(self.frames_of.values()) <= frames + 1

    @precondition(lambda self: self.on_wire is not None)
    @rule()
    def charge_point_answers(self) -> None:
        assert self.on_wire is not None
        message = [3, self.on_wire, {"status": "Accepted"}]
        self.carry_out(self.session.frame_received(json.dumps(message).encode(), self.now))

    # the worker and the broker

    @precondition(lambda self: self.in_flight is not None)
    @rule(how=st.sampled_from(["reply", "error", "unroutable", "failed"]))
    def call_ends(self, how: str) -> None:
        relay, self.in_flight = self.in_flight, None
        assert relay is not None
        if how in {"unroutable", "failed"} and relay.transaction:
            self.silent.add(relay.unique_id)
        if how == "reply":
            effects = self.session.reply_received(relay.number, ReplyEnvelope(), self.now)
        elif how == "error":
            effects = self.session.reply_received(relay.number, ReplyEnvelope(error_kind="GenericError"), self.now)
        elif how == "unroutable":
            effects = self.session.unroutable(relay.number, self.now)
        else:
            effects = self.session.relay_failed(relay.number, self.now)
        self.carry_out(effects)

    @rule(number=st.integers(0, 40))
    def stale_reply(self, number: int) -> None:
        if self.in_flight is None or self.in_flight.number != number:
            effects = self.session.reply_received(number, ReplyEnvelope(), self.now)
            assert effects == [Notice(Noticed.LATE_REPLY)]

    # the backend

    @precondition(lambda self: not self.session.closed)
    @rule(
        which=st.integers(0, 11),
        good=st.sampled_from([True, True, False]),
        again=st.sampled_from([False, False, True]),
        lasts=st.sampled_from([30.0, 3.0, -1.0]),
    )
    def command(self, which: int, good: bool, again: bool, lasts: float) -> None:
        command_id = f"c{which}"
        lane = self.session._commands
        known = lane is not None and lane.knows(command_id)
        action, payload = ("ClearCache", b"{}") if good else ("Reset", b"{}")
        command = Command(command_id, action, payload, self.now + lasts, again)
        frames, wire, told = self.frames_of[command_id], self.on_wire, self.outcomes.copy()
        reused = known and self.asked[command_id] != good
        assert self.session.reuses(command) == reused
        if not reused:
            open_now = self.offers[command_id] > self.outcomes[command_id]
            if not open_now:
                self.offers[command_id] += 1
                self.offered.append(command_id)
            if not known:
                self.deadlines[command_id], self.asked[command_id] = command.deadline, good
        self.carry_out(self.session.command_received(command, self.now))
        if reused:
            assert self.outcomes == told, "the first one's outcome is not touched"
        if frames or reused:
            assert self.frames_of[command_id] == frames, "never sent twice"
            assert self.on_wire == wire
        if again and not known:
            assert self.frames_of[command_id] == frames, "what may have been sent before is not sent"

    # time

    @rule(seconds=st.sampled_from([0.5, 3.0, 8.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.carry_out(self.session.tick(self.now))
        assert self.session.closed or self.session.deadline() > self.now

    @precondition(lambda self: len(self.sent_calls) > 4)
    @rule()
    def drains(self) -> None:
        if not self.session.closed:
            self.carry_out(self.session.drain())

    @precondition(lambda self: not self.session.closed)
    @rule()
    def closes(self) -> None:
        self.carry_out(self.session.close(self.now))
        self.in_flight = None

    # the books

    @invariant()
    def books_balance(self) -> None:
        if not hasattr(self, "session"):
            return
        ids = [unique_id for unique_id, _ in self.sent_calls]
        assert all(self.answers[unique_id] <= 1 for unique_id in ids), "one answer per Call at most"
        answered = [unique_id for unique_id in self.answer_order if unique_id in set(ids)]
        assert answered == sorted(answered, key=ids.index), "answers come in the Calls' order"
        relayed = [relay.unique_id for relay in self.relayed]
        assert relayed == sorted(relayed, key=ids.index), "Calls are relayed in order"
        assert len(set(relayed)) == len(relayed)
        in_flight = {self.in_flight.unique_id} if self.in_flight is not None else set()
        assert self.settled == Counter((set(relayed) | set(answered)) - in_flight), "each Call taken ends once"
        assert len(self.session._pending) <= RULES.pending_calls
        assert self.session._commands is None or self.session._commands.waiting <= RULES.waiting_commands
        assert all(self.outcomes[command_id] <= self.offers[command_id] for command_id in self.outcomes)
        assert all(count <= 1 for count in self.frames_of.values())

    def teardown(self) -> None:
        if not hasattr(self, "session"):
            return
        if not self.session.closed and len(self.sent_calls) % 2 == 0:
            self.carry_out(self.session.close(self.now))  # in the middle of everything
        elif not self.session.closed:
            # give every Call its time, then every one that may be answered has been
            for _ in range(len(self.sent_calls) + len(self.offers) + 2):
                self.now += 11
                self.carry_out(self.session.tick(self.now))
            for unique_id, transaction in self.sent_calls:
                assert self.answers[unique_id] == 1 or transaction, f"{unique_id} was left without an answer"
                if transaction and self.answers[unique_id] == 0:
                    assert unique_id in self.silent
            assert self.session.idle
            self.carry_out(self.session.close(self.now))
        assert self.outcomes == self.offers, "every command has exactly one outcome"


TestSession = SessionMachine.TestCase
TestSession.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
