"""The commands of a session, input by input."""

from dataclasses import replace
from typing import Any

import pytest

from contracts.envelope import OutcomeKind
from contracts.versions import Version
from gateway.command_memory import REMEMBERED
from gateway.commands import Command
from gateway.effects import Notice, Noticed, Outcome
from tests.gateway.sessions import V16, V21, V201, frame, heartbeat, noticed, outcomes, reset, sent, session


def test_a_command_is_sent_and_its_result_is_the_outcome() -> None:
    one = session()
    assert sent(one.command_received(reset(), 5)) == [[2, "c1", "Reset", {"type": "Soft"}]]
    (outcome,) = one.frame_received(frame(3, "c1", {"status": "Accepted"}), 7)
    assert outcome == Outcome("c1", OutcomeKind.RESULT, b'{"status":"Accepted"}', sent_at=5, answered_at=7)


def test_commands_wait_for_each_other_but_not_for_calls() -> None:
    one = session()
    one.frame_received(heartbeat(), 0)
    assert len(sent(one.command_received(reset("c1"), 0))) == 1
    assert one.command_received(reset("c2"), 0) == []
    effects = one.frame_received(frame(4, "c1", "NotSupported", "no", {}), 1)
    assert outcomes(effects) == [("c1", OutcomeKind.CALL_ERROR, "NotSupported")]
    assert sent(effects)[0][1] == "c2"


def test_commands_are_sent_in_the_order_they_came() -> None:
    one = session()
    wire = [message[1] for number in range(4) for message in sent(one.command_received(reset(f"c{number}"), 0))]
    for number in range(4):
        wire += [message[1] for message in sent(one.frame_received(frame(3, f"c{number}", {"status": "Accepted"}), 1))]
    assert wire == ["c0", "c1", "c2", "c3"]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (Command("c", "Heartbeat", b"{}", 9), "unknown_action"),
        (Command("c", "Nothing", b"{}", 9), "unknown_action"),
        (Command("c", "Reset", b"{", 9), "bad_payload"),
        (Command("c", "Reset", b"[]", 9), "bad_payload"),
        (Command("c", "Reset", b"{}", 9), "bad_payload"),
        (Command("c", "Reset", b'{"type":"Tomorrow"}', 9), "bad_payload"),
        (Command("", "Reset", b'{"type":"Soft"}', 9), "bad_command_id"),
        (Command("c" * 37, "Reset", b'{"type":"Soft"}', 9), "bad_command_id"),
    ],
)
def test_what_is_rejected_is_not_sent(command: Command, code: str) -> None:
    effects = session().command_received(command, 0)
    assert outcomes(effects) == [(command.command_id, OutcomeKind.REJECTED, code)]
    assert sent(effects) == []


def test_a_full_queue_rejects() -> None:
    one = session(waiting_commands=1)
    one.command_received(reset("c1"), 0)
    one.command_received(reset("c2"), 0)
    assert outcomes(one.command_received(reset("c3"), 0)) == [("c3", OutcomeKind.REJECTED, "queue_full")]


def test_a_passed_deadline_means_expired_and_unsent() -> None:
    one = session()
    assert outcomes(one.command_received(reset("c0", deadline=5), 5)) == [("c0", OutcomeKind.EXPIRED, "deadline")]
    one.command_received(reset("c1"), 5)
    one.command_received(reset("c2", deadline=8), 5)
    assert one.deadline() == 8
    effects = one.tick(8)
    assert outcomes(effects) == [("c2", OutcomeKind.EXPIRED, "deadline")]
    assert sent(effects) == []


def test_an_unanswered_command_times_out_and_a_late_result_is_stray() -> None:
    one = session(command_timeout=30)
    one.command_received(reset("c1"), 0)
    one.command_received(reset("c2"), 0)
    effects = one.tick(30)
    assert outcomes(effects) == [("c1", OutcomeKind.TIMEOUT, "no_answer")]
    assert sent(effects)[0][1] == "c2"
    assert noticed(one.frame_received(frame(3, "c1", {"status": "Accepted"}), 31)) == [Noticed.STRAY_RESULT]


def test_a_command_delivered_again_is_never_sent_again() -> None:
    one = session()
    one.command_received(reset(), 0)
    assert one.command_received(reset(), 0) == [Notice(Noticed.DUPLICATE_COMMAND)]
    one.frame_received(frame(3, "c1", {"status": "Accepted"}), 1)
    effects = one.command_received(reset(), 2)
    assert sent(effects) == []
    assert outcomes(effects) == [("c1", OutcomeKind.RESULT, None)]


def test_a_timeout_is_told_at_the_deadline_while_the_slot_stays_taken() -> None:
    one = session(command_timeout=30)
    one.command_received(reset("c1", deadline=5), 0)
    one.command_received(reset("c2"), 0)
    assert one.deadline() == 5
    effects = one.tick(5)
    assert outcomes(effects) == [("c1", OutcomeKind.TIMEOUT, "no_answer")]
    assert sent(effects) == []
    assert one.deadline() == 30
    assert sent(one.tick(29)) == []
    assert sent(one.tick(30))[0][1] == "c2"


def test_a_late_answer_frees_the_slot_and_changes_no_outcome() -> None:
    for answer in (frame(3, "c1", {"status": "Accepted"}), frame(4, "c1", "InternalError", "", {})):
        one = session(command_timeout=30)
        one.command_received(reset("c1", deadline=5), 0)
        one.command_received(reset("c2"), 0)
        one.tick(5)
        effects = one.frame_received(answer, 6)
        assert (noticed(effects), outcomes(effects)) == ([Noticed.LATE_RESULT], [])
        assert sent(effects)[0][1] == "c2"
        assert outcomes(one.command_received(reset("c1", deadline=5), 7)) == [("c1", OutcomeKind.TIMEOUT, "no_answer")]


def test_a_command_sent_at_its_deadline_is_given_a_second() -> None:
    one = session(command_timeout=30)
    one.command_received(reset("c1", deadline=5), 4.9)
    assert one.tick(5.8) == []
    assert outcomes(one.tick(5.9)) == [("c1", OutcomeKind.TIMEOUT, "no_answer")]
    assert one.idle  # nothing is owed: a drain need not wait for it


def test_a_closed_session_says_nothing_more_of_a_command_whose_timeout_was_told() -> None:
    one = session()
    one.command_received(reset("c1", deadline=5), 0)
    one.tick(5)
    assert outcomes(one.close(6)) == []


def test_one_that_may_have_been_sent_before_is_only_taken_when_it_is_known() -> None:
    one = session()
    unknown = replace(reset("c1"), again=True)
    assert outcomes(one.command_received(unknown, 0)) == [("c1", OutcomeKind.UNKNOWN, "redelivered")]
    assert outcomes(one.command_received(reset("c1"), 0)) == [("c1", OutcomeKind.UNKNOWN, "redelivered")]
    one.command_received(reset("c2"), 0)
    assert one.command_received(replace(reset("c2"), again=True), 0) == [Notice(Noticed.DUPLICATE_COMMAND)]
    one.frame_received(frame(3, "c2", {"status": "Accepted"}), 1)
    known = one.command_received(replace(reset("c2"), again=True), 2)
    assert outcomes(known) == [("c2", OutcomeKind.RESULT, None)]
    one.drain()
    drained = one.command_received(replace(reset("c3"), again=True), 3)
    assert outcomes(drained) == [("c3", OutcomeKind.UNKNOWN, "redelivered")]


def test_another_request_under_a_known_id_is_rejected_and_leaves_the_first_alone() -> None:
    one = session()
    hard = Command("c1", "Reset", b'{"type":"Hard"}', 100)
    one.command_received(reset("c1"), 0)
    assert outcomes(one.command_received(hard, 1)) == [("c1", OutcomeKind.REJECTED, "command_id_reused")]
    (first,) = outcomes(one.frame_received(frame(3, "c1", {"status": "Accepted"}), 2))
    assert first == ("c1", OutcomeKind.RESULT, None)
    for other in (hard, Command("c1", "ClearCache", b"{}", 100)):
        assert outcomes(one.command_received(other, 3)) == [("c1", OutcomeKind.REJECTED, "command_id_reused")]
    spaced = Command("c1", "Reset", b'{ "type": "Soft" }', 200)
    assert outcomes(one.command_received(spaced, 3)) == [("c1", OutcomeKind.RESULT, None)]


def test_one_that_was_perhaps_sent_before_is_never_sent_however_late_it_comes_again() -> None:
    one = session()
    one.command_received(replace(reset("c0"), again=True), 0)
    for number in range(1, REMEMBERED + 5):
        one.command_received(reset(f"c{number}"), 0)
        one.frame_received(frame(3, f"c{number}", {"status": "Accepted"}), 1)
    effects = one.command_received(reset("c0"), 2)
    assert (sent(effects), outcomes(effects)) == ([], [("c0", OutcomeKind.UNKNOWN, "result_forgotten")])


def test_an_id_that_was_sent_is_known_long_after_its_outcome_is_forgotten() -> None:
    one = session()
    for number in range(REMEMBERED + 5):
        one.command_received(reset(f"c{number}"), 0)
        one.frame_received(frame(3, f"c{number}", {"status": "Accepted"}), 1)
    effects = one.command_received(reset("c0"), 2)
    assert (sent(effects), outcomes(effects)) == ([], [("c0", OutcomeKind.UNKNOWN, "result_forgotten")])


@pytest.mark.parametrize(
    ("details", "kept"),
    [
        ({"why": "busy"}, b'{"why":"busy"}'),
        ([1], b"{}"),
        ({"x": "y" * 5000}, b"{}"),
    ],
)
def test_the_details_of_a_call_error_are_kept_when_they_are_a_small_object(details: Any, kept: bytes) -> None:
    one = session()
    one.command_received(reset("c1"), 0)
    *_, outcome = one.frame_received(frame(4, "c1", "GenericError", "no", details), 1)
    assert isinstance(outcome, Outcome)
    assert (outcome.details, outcome.payload) == (kept, b"{}")


def test_a_close_ends_sent_commands_unknown_and_waiting_ones_offline() -> None:
    one = session()
    one.command_received(reset("c1"), 0)
    one.command_received(reset("c2"), 0)
    assert outcomes(one.close(1)) == [
        ("c1", OutcomeKind.UNKNOWN, "session_closed"),
        ("c2", OutcomeKind.OFFLINE, "session_closed"),
    ]
    assert one.close(2) == []


def test_an_invalid_result_is_named_and_2_1_tells_the_charge_point() -> None:
    for version in (V16, V201):
        one = session(version)
        one.command_received(Command("c1", "ClearCache", b"{}", 9), 0)
        effects = one.frame_received(frame(3, "c1", {"status": 5}), 1)
        assert outcomes(effects) == [("c1", OutcomeKind.RESULT, "invalid_result")]
        assert sent(effects) == []
    one = session(V21)
    one.command_received(Command("c1", "ClearCache", b"{}", 9), 0)
    effects = one.frame_received(frame(3, "c1", {"status": 5}), 1)
    assert outcomes(effects) == [("c1", OutcomeKind.CALL_ERROR, "invalid_result")]
    assert sent(effects)[0][:3] == [5, "c1", "TypeConstraintViolation"]


@pytest.mark.parametrize("levels", [245, 250, 254, 600])  # what our JSON encoder can just write, and what it cannot
def test_nesting_that_cannot_be_passed_on_is_refused_both_ways(levels: int) -> None:
    deep = '{"a":' * levels + "1" + "}" * levels
    for version in Version:
        one = session(version)
        one.command_received(Command("c1", "ClearCache", b"{}", 9), 0)
        ((_, kind, code),) = outcomes(one.frame_received(f'[3,"c1",{deep}]'.encode(), 1))
        assert kind is OutcomeKind.CALL_ERROR
        assert code == "invalid_result"
        data = f'{{"vendorId":"v","customData":{{"vendorId":"v","x":{deep}}}}}'.encode()
        ((_, kind, _),) = outcomes(one.command_received(Command("c2", "DataTransfer", data, 9), 2))
        assert kind is OutcomeKind.REJECTED
