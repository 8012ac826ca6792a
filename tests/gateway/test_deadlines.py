"""Deadlines without a timer each."""

import json
from itertools import pairwise
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from contracts.envelope import ReplyEnvelope
from contracts.versions import Version
from gateway.deadlines import Delay, Rounds, SessionDeadlines
from gateway.effects import Relay
from gateway.session import Session
from gateway.session_rules import SessionRules
from gateway.throttle import Throttle


def heartbeat(unique_id: str) -> bytes:
    return json.dumps([2, unique_id, "Heartbeat", {}]).encode()


def test_a_session_answered_in_time_costs_one_entry_however_many_calls() -> None:
    deadlines: SessionDeadlines[str] = SessionDeadlines()
    session = Session("CP", Version.V16, "s", 1, SessionRules(call_timeout=30))
    for number in range(50):
        (relay,) = session.frame_received(heartbeat(str(number)), number * 0.1)
        assert isinstance(relay, Relay)
        deadlines.note(session, "owner")
        session.reply_received(relay.number, ReplyEnvelope(), number * 0.1)
    assert len(deadlines) == 1
    assert list(deadlines.due(29.9)) == []
    assert list(deadlines.due(30)) == [(session, "owner")]
    deadlines.note(session, "owner")
    assert (len(deadlines), session.scheduled) == (0, inf)


def test_a_session_is_due_at_its_present_deadline_not_before() -> None:
    deadlines: SessionDeadlines[str] = SessionDeadlines()
    session = Session("CP", Version.V16, "s", 1, SessionRules(call_timeout=30))
    (relay,) = session.frame_received(heartbeat("a"), 0)
    assert isinstance(relay, Relay)
    deadlines.note(session, "o")
    session.reply_received(relay.number, ReplyEnvelope(), 1)
    session.frame_received(heartbeat("b"), 20)
    deadlines.note(session, "o")
    for early, _ in deadlines.due(30):
        assert early.tick(30) == []
        deadlines.note(early, "o")
    assert [found for found, _ in deadlines.due(50)] == [session]
    assert session.tick(50) != []


def test_a_closed_session_is_not_due() -> None:
    deadlines: SessionDeadlines[str] = SessionDeadlines()
    session = Session("CP", Version.V16, "s", 1, SessionRules())
    session.frame_received(heartbeat("a"), 0)
    deadlines.note(session, "o")
    session.close(1)
    assert list(deadlines.due(100)) == []


def test_a_delay_gives_back_what_is_due_in_order_and_once() -> None:
    delay: Delay[str] = Delay(10)
    for now, item in enumerate("abc"):
        delay.add(item, now)
    delay.add("a", 3)
    delay.discard("b")
    assert delay.due(12) == ["c"]
    assert delay.due(13) == ["a"]
    assert len(delay) == 0


@given(st.lists(st.floats(0.01, 20), min_size=1, max_size=300))
def test_rounds_visit_each_item_once_per_interval(steps: list[float]) -> None:
    rounds: Rounds[str] = Rounds(64.0, 0.0)
    rounds.add("x")
    visits, now = [], 0.0
    for step in steps:
        now += step
        visits += [now for _ in rounds.visit(now)]
    assert abs(len(visits) - int(now // 64)) <= 1
    assert all(later - earlier >= 64 - 21 for earlier, later in pairwise(visits))


def test_rounds_forget_what_is_discarded() -> None:
    rounds: Rounds[str] = Rounds(1.0, 0.0)
    rounds.add("x")
    rounds.discard("x")
    rounds.discard("x")
    assert len(rounds) == 0
    assert list(rounds.visit(5.0)) == []


def test_a_throttle_counts_what_it_holds_back() -> None:
    throttle = Throttle(per_second=2)
    assert [throttle.passes(10.0) for _ in range(4)] == [True, True, False, False]
    assert throttle.passes(11.5)
    assert throttle.take_suppressed() == 2
    assert throttle.take_suppressed() == 0
