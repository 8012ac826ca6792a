"""What is done next about a tracked command, case by case, and in whatever order things may happen."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from contracts.commands import CommandOutcome, Reason, TrackedState
from contracts.envelope import OutcomeKind
from workers.commands import tracking_rules as rules
from workers.commands.tracking_rules import AskAgain, Dispatch, End, HoldAgain, Repeat, Wait
from workers.store.commands import TrackedCommand

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
DEADLINE = NOW + timedelta(hours=1)
ONCE, REPEATABLE = "RemoteStartTransaction", "GetConfiguration"


def command(**changes: Any) -> TrackedCommand:
    values: dict[str, Any] = {
        "number": 1,
        "command_id": "c-1",
        "identity": "CP-1",
        "shard": "ocpp.commands.0",
        "action": ONCE,
        "payload": {},
        "request_digest": "",
        "only_session": None,
        "state": "held",
        "session": None,
        "attempts": 0,
        "next_attempt_at": NOW,
        "created_at": NOW,
        "deadline_at": DEADLINE,
        "uncertain": None,
        "outcome": None,
        "outcome_kind": None,
        "reason": None,
        "ended_at": None,
    }
    return TrackedCommand(**{**values, **changes})


def under_way(**changes: Any) -> TrackedCommand:
    return command(**{"state": "under_way", "session": "s1", "attempts": 1, **changes})


def outcome(kind: OutcomeKind, reason: str | None = None, gateway: str | None = "g-1") -> CommandOutcome:
    return CommandOutcome(command_id="c-1", identity="CP-1", outcome=kind, reason=reason, gateway=gateway)


def ended(step: Any) -> tuple[OutcomeKind, str | None]:
    assert isinstance(step, End)
    assert (step.outcome.tracked, step.outcome.command_id) == (True, "c-1")
    return step.outcome.outcome, step.outcome.reason


def test_the_first_attempt_has_the_commands_own_id():
    assert rules.next_step(command(), "s1", NOW) == Dispatch("s1", "c-1", 1, fresh=True)


def test_a_later_attempt_has_an_id_of_its_own_always_the_same():
    step = rules.next_step(command(attempts=1), "s1", NOW)
    assert isinstance(step, Dispatch)
    assert step.ocpp_id != "c-1"
    assert len(step.ocpp_id) == 36
    assert step == rules.next_step(command(attempts=1), "s1", NOW)


def test_while_the_charge_point_is_away_a_command_is_held_until_its_deadline():
    assert rules.next_step(command(), None, NOW) == Wait(DEADLINE)
    assert ended(rules.next_step(command(), None, DEADLINE)) == (OutcomeKind.EXPIRED, Reason.DEADLINE)
    assert ended(rules.next_step(command(), "s1", DEADLINE)) == (OutcomeKind.EXPIRED, Reason.DEADLINE)


def test_a_charge_point_that_is_connected_by_the_stores_word_is_looked_for_again_soon():
    step = rules.next_step(command(), None, NOW, expected=True)
    assert step == Wait(NOW + rules.EXPECTED_PAUSE)


def test_what_waited_for_a_session_goes_to_the_first_one_there_is():
    assert isinstance(rules.next_step(command(next_attempt_at=DEADLINE), "s1", NOW), Dispatch)


def test_a_pause_is_kept_for_the_session_that_took_it_not_and_for_no_other():
    later = NOW + timedelta(seconds=10)
    paused = command(next_attempt_at=later, session="s1", attempts=1)
    assert rules.next_step(paused, "s1", NOW) == Wait(later)
    assert isinstance(rules.next_step(paused, "s2", NOW), Dispatch)


def test_what_may_have_been_sent_keeps_its_pause_through_a_new_session():
    later = NOW + timedelta(seconds=10)
    paused = command(next_attempt_at=later, uncertain=outcome(OutcomeKind.TIMEOUT).model_dump(mode="json"))
    assert rules.next_step(paused, None, NOW) == Wait(later)
    assert rules.next_step(paused, "s2", NOW) == Wait(later)


def test_a_command_for_one_session_ends_when_there_is_another():
    held = command(only_session="s1")
    assert isinstance(rules.next_step(held, "s1", NOW), Dispatch)
    assert ended(rules.next_step(held, "s2", NOW)) == (OutcomeKind.OFFLINE, Reason.SESSION_GONE)


def test_a_command_under_way_goes_to_the_same_session_under_the_same_id():
    assert rules.next_step(under_way(), "s2", NOW) == Dispatch("s1", "c-1", 1, fresh=False)


def test_after_its_deadline_a_command_under_way_is_only_asked_for_and_then_given_up():
    step = rules.next_step(under_way(), "s1", DEADLINE)
    assert step == Dispatch("s1", "c-1", 1, fresh=False, ask_only=True)
    late = rules.next_step(under_way(), "s1", DEADLINE + rules.GRACE)
    assert ended(late) == (OutcomeKind.UNKNOWN, Reason.NO_OUTCOME)


def test_at_its_deadline_a_command_that_may_have_been_sent_does_not_say_expired():
    told = outcome(OutcomeKind.TIMEOUT, Reason.NO_ANSWER).model_copy(update={"tracked": True, "attempts": 1})
    held = command(attempts=3, uncertain=told.model_dump(mode="json"))
    step = rules.next_step(held, None, DEADLINE)
    assert ended(step) == (OutcomeKind.TIMEOUT, Reason.NO_ANSWER)
    assert isinstance(step, End)
    assert step.outcome.attempts == 3


@pytest.mark.parametrize(
    ("kind", "reason", "gateway", "fresh", "meaning"),
    [
        (OutcomeKind.RESULT, None, "g", True, End),
        (OutcomeKind.RESULT, None, "g", False, End),
        (OutcomeKind.CALL_ERROR, None, "g", True, End),
        (OutcomeKind.REJECTED, "bad_payload", None, True, End),
        (OutcomeKind.REJECTED, "queue_full", "g", True, HoldAgain),
        (OutcomeKind.REJECTED, "queue_full", "g", False, AskAgain),
        (OutcomeKind.OFFLINE, "not_connected", None, True, HoldAgain),
        (OutcomeKind.OFFLINE, "gateway_lost", "g", True, HoldAgain),
        (OutcomeKind.OFFLINE, "session_gone", "g", False, End),
        (OutcomeKind.EXPIRED, "deadline", "g", True, HoldAgain),
        (OutcomeKind.EXPIRED, "deadline", "g", False, HoldAgain),
        (OutcomeKind.EXPIRED, "deadline", None, False, End),
        (OutcomeKind.TIMEOUT, "no_answer", "g", True, End),
        (OutcomeKind.UNKNOWN, "session_closed", "g", True, End),
        (OutcomeKind.UNKNOWN, "redelivered", "g", False, End),
    ],
)
def test_what_an_outcome_means_for_an_action_that_is_sent_once(kind, reason, gateway, fresh, meaning):
    assert isinstance(rules.meaning(under_way(), outcome(kind, reason, gateway), NOW, fresh=fresh), meaning)


@pytest.mark.parametrize("kind", [OutcomeKind.TIMEOUT, OutcomeKind.UNKNOWN])
@pytest.mark.parametrize("fresh", [True, False])
def test_what_may_be_repeated_is_repeated_later(kind, fresh):
    told = rules.meaning(under_way(action=REPEATABLE), outcome(kind), NOW, fresh=fresh)
    assert isinstance(told, Repeat)
    assert NOW < told.at < DEADLINE


def test_a_repetition_that_would_come_too_late_is_not_waited_for():
    late = under_way(action=REPEATABLE, deadline_at=NOW + timedelta(seconds=1))
    assert ended(rules.meaning(late, outcome(OutcomeKind.TIMEOUT), NOW, fresh=True))[0] is OutcomeKind.TIMEOUT


def test_a_lost_session_leaves_open_what_became_of_an_earlier_dispatch():
    told = rules.meaning(under_way(), outcome(OutcomeKind.OFFLINE, Reason.SESSION_GONE), NOW, fresh=False)
    assert ended(told) == (OutcomeKind.UNKNOWN, Reason.SESSION_GONE)


def test_after_an_attempt_that_may_have_arrived_a_refusal_is_not_the_last_word():
    told = outcome(OutcomeKind.UNKNOWN, Reason.SESSION_CLOSED).model_copy(update={"tracked": True})
    again = under_way(action=REPEATABLE, attempts=2, uncertain=told.model_dump(mode="json"))
    answer = rules.meaning(again, outcome(OutcomeKind.REJECTED, Reason.BAD_PAYLOAD), NOW, fresh=True)
    assert ended(answer) == (OutcomeKind.UNKNOWN, Reason.SESSION_CLOSED)


@dataclass
class Session:
    """What a gateway remembers of a session: what it sent, and what it told of each."""

    name: str
    told: dict[str, CommandOutcome | None] = field(default_factory=dict)


@dataclass
class Flight:
    """A dispatch on its way; `heard` while the process that made it lives."""

    number: int
    step: Dispatch
    deadline: datetime
    heard: bool = True
    arrived: bool = False


class OneChargePoint(RuleBasedStateMachine):
    """Three commands of a charge point, its sessions, the process that looks after them, and what may befall all."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.rows: dict[int, TrackedCommand] = {}
        self.sessions: list[Session] = []
        self.session: Session | None = None
        self.flights: list[Flight] = []
        self.wire: list[tuple[int, str]] = []
        self.outcomes: list[tuple[int, CommandOutcome]] = []

    @initialize(actions=st.lists(st.sampled_from([ONCE, REPEATABLE]), min_size=1, max_size=3))
    def submitted(self, actions):
        for number, action in enumerate(actions, start=1):
            deadline = NOW + timedelta(minutes=10 * number)
            self.rows[number] = command(
                number=number, command_id=f"c-{number}", action=action, deadline_at=deadline, next_attempt_at=NOW
            )

    def _front(self) -> TrackedCommand | None:
        return next((row for row in self.rows.values() if row.ended_at is None), None)

    def _end(self, row: TrackedCommand, told: CommandOutcome) -> None:
        assert told.command_id == row.command_id
        assert self.rows[row.number].ended_at is None
        self.rows[row.number] = replace(row, state="ended", ended_at=self.now)
        self.outcomes.append((row.number, told))

    def _look(self) -> None:
        for late in list(self.rows.values()):
            if late.ended_at is None and late.state == TrackedState.HELD and late.deadline_at <= self.now:
                step = rules.next_step(late, None, self.now)
                assert isinstance(step, End)
                self._end(late, step.outcome)
        row = self._front()
        if row is None:
            return
        step = rules.next_step(row, self.session.name if self.session else None, self.now)
        if isinstance(step, End):
            self._end(row, step.outcome)
        elif isinstance(step, Wait):
            self.rows[row.number] = replace(row, next_attempt_at=step.until)
        else:
            lease = self.now + timedelta(seconds=50)
            self.rows[row.number] = replace(
                row, state="under_way", session=step.session, attempts=step.attempt, next_attempt_at=lease
            )
            deadline = self.now + timedelta(seconds=5) if step.ask_only else row.deadline_at
            self.flights.append(Flight(row.number, step, deadline))

    @precondition(lambda self: not any(flight.heard for flight in self.flights))
    @rule()
    def the_process_looks(self):
        self._look()

    @rule()
    def a_new_session_opens(self):
        self.session = Session(f"s{len(self.sessions)}")
        self.sessions.append(self.session)
        front = self._front()
        if front is not None and front.state == "held" and front.uncertain is None:
            self.rows[front.number] = replace(front, next_attempt_at=self.now)
        self._look_if_idle()

    def _look_if_idle(self) -> None:
        if not any(flight.heard for flight in self.flights):
            self._look()

    @rule()
    def the_session_ends(self):
        self.session = None

    @rule()
    def the_process_dies(self):
        for flight in self.flights:
            flight.heard = False

    @rule(seconds=st.sampled_from([1, 1, 5, 5, 20, 300]))
    def time_passes(self, seconds):
        self.now += timedelta(seconds=seconds)
        self._look_if_idle()

    @precondition(lambda self: any(not flight.arrived for flight in self.flights))
    @rule(data=st.data(), full=st.sampled_from([False, False, False, True]))
    def a_dispatch_arrives(self, data, full):
        flight = data.draw(st.sampled_from([flight for flight in self.flights if not flight.arrived]))
        flight.arrived = True
        here = self.session
        if here is None or here.name != flight.step.session:
            self._told(flight, OutcomeKind.OFFLINE, Reason.SESSION_GONE)
        elif flight.step.ocpp_id in here.told:
            known = here.told[flight.step.ocpp_id]
            if known is not None:
                self._told(flight, known.outcome, Reason(known.reason) if known.reason else None)
        elif flight.step.ask_only:
            self._told(flight, OutcomeKind.UNKNOWN, Reason.REDELIVERED)
        elif self.now > flight.deadline:
            self._told(flight, OutcomeKind.EXPIRED, Reason.DEADLINE)
        elif full:
            self._told(flight, OutcomeKind.REJECTED, Reason.QUEUE_FULL)
        else:
            here.told[flight.step.ocpp_id] = None
            self.wire.append((flight.number, flight.step.ocpp_id))

    @precondition(lambda self: any(flight.arrived for flight in self.flights))
    @rule(data=st.data(), kind=st.sampled_from([OutcomeKind.RESULT, OutcomeKind.CALL_ERROR, OutcomeKind.TIMEOUT]))
    def a_sent_command_ends(self, data, kind):
        flight = data.draw(st.sampled_from([flight for flight in self.flights if flight.arrived]))
        session = next(one for one in self.sessions if one.name == flight.step.session)
        if session is not self.session:
            self._told(flight, OutcomeKind.UNKNOWN, Reason.SESSION_CLOSED)
            return
        told = session.told.get(flight.step.ocpp_id) or outcome(kind)
        session.told[flight.step.ocpp_id] = told
        self._told(flight, told.outcome, None)

    @precondition(lambda self: any(flight.heard for flight in self.flights))
    @rule(data=st.data())
    def an_outcome_is_lost(self, data):
        flight = data.draw(st.sampled_from([flight for flight in self.flights if flight.heard]))
        self._told(flight, OutcomeKind.UNKNOWN, Reason.NO_OUTCOME)

    def _told(self, flight: Flight, kind: OutcomeKind, reason: Reason | None) -> None:
        if flight.arrived:
            self.flights.remove(flight)
        if not flight.heard:
            return
        flight.heard = False
        row = self.rows[flight.number]
        if row.ended_at is not None or row.state != "under_way" or row.attempts != flight.step.attempt:
            return
        told = rules.meaning(row, outcome(kind, reason), self.now, fresh=flight.step.fresh)
        if isinstance(told, End):
            self._end(row, told.outcome)
        elif isinstance(told, AskAgain):
            self.rows[row.number] = replace(row, next_attempt_at=told.at)
        elif isinstance(told, Repeat):
            held = replace(row, state="held", next_attempt_at=told.at)
            self.rows[row.number] = replace(held, uncertain=told.outcome.model_dump(mode="json"))
        else:
            self.rows[row.number] = replace(row, state="held", next_attempt_at=told.until)

    @invariant()
    def what_is_sent_once_is_on_the_wire_once(self):
        for number, row in self.rows.items():
            sent = [ocpp_id for which, ocpp_id in self.wire if which == number]
            assert len(sent) == len(set(sent))
            if row.action == ONCE:
                assert len(sent) <= 1

    @invariant()
    def nobody_overtakes(self):
        for index, (number, _) in enumerate(self.wire):
            for earlier in range(1, number):
                assert (earlier, "") not in [(which, "") for which, _ in self.wire[index:]] or self._was_late(earlier)

    def _was_late(self, number: int) -> bool:
        """A dispatch whose maker has died, or given up on it, may arrive after the next command."""
        return any(which == number and told.outcome is OutcomeKind.UNKNOWN for which, told in self.outcomes)

    @invariant()
    def no_outcome_is_a_lie(self):
        for number, told in self.outcomes:
            sent = any(which == number for which, _ in self.wire)
            if told.outcome in {OutcomeKind.EXPIRED, OutcomeKind.OFFLINE, OutcomeKind.REJECTED}:
                assert not sent
            if told.outcome is OutcomeKind.RESULT:
                assert sent

    def teardown(self):
        self.the_process_dies()
        self.session = None
        self.now += timedelta(hours=1)
        for _ in range(len(self.rows)):
            self._look()
        assert sorted(number for number, _ in self.outcomes) == sorted(self.rows)


OneChargePoint.TestCase.settings = settings(max_examples=300, stateful_step_count=30, deadline=None)
TestOneChargePoint = OneChargePoint.TestCase
