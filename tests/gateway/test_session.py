"""The session state machine, input by input."""

import tracemalloc
from typing import Any

import pytest

from contracts.envelope import OutcomeKind
from contracts.versions import Version
from gateway.effects import Abandon, Ending, Notice, Noticed, Relay, Settled, Transmit
from gateway.routes import Policy
from gateway.session import PENDING_BYTES
from gateway.validation import Rulebook
from tests.gateway.sessions import (
    OK,
    START,
    V16,
    V21,
    V201,
    frame,
    heartbeat,
    noticed,
    outcomes,
    reads,
    relays,
    reset,
    sent,
    session,
)

# Calls


def test_a_call_is_relayed_as_it_came_and_answered_with_the_workers_bytes() -> None:
    one = session()
    (relay,) = one.frame_received(heartbeat("u"), now=10.0)
    assert isinstance(relay, Relay)
    assert (relay.key, relay.unique_id, relay.frame) == ("ocpp16.Heartbeat", "u", heartbeat("u"))
    assert (relay.deadline, relay.expires, relay.transaction, relay.violation) == (40.0, True, False, None)
    settled = Settled("u", "Heartbeat", 10.0, Ending.RESULT)
    assert one.reply_received(relay.number, OK, 11.0) == [Transmit(b'[3,"u",{"ok":1}]'), settled]
    assert one.idle


def test_the_next_call_goes_only_after_the_answer_and_in_order() -> None:
    one = session(pending_calls=2)
    (first,) = relays(one.frame_received(heartbeat("a"), 0))
    assert one.frame_received(heartbeat("b"), 0) == []
    assert reads(one)
    assert one.frame_received(heartbeat("c"), 0) == []
    assert not reads(one)
    effects = one.reply_received(first.number, OK, 0)
    assert sent(effects) == [[3, "a", {"ok": 1}]]
    (second,) = relays(effects)
    assert second.unique_id == "b"
    assert reads(one)
    assert relays(one.reply_received(second.number, OK, 0))[0].unique_id == "c"


def test_a_call_that_waited_says_when_it_came() -> None:
    one = session()
    (first,) = relays(one.frame_received(heartbeat("a"), 10))
    one.frame_received(heartbeat("b"), 11)
    (second,) = relays(one.reply_received(first.number, OK, 25))
    assert (first.received, second.received, second.deadline) == (10, 11, 55)


def test_a_session_whose_waiting_calls_are_large_is_not_read() -> None:
    one = session()
    (first,) = relays(one.frame_received(heartbeat("a"), 0))
    one.frame_received(b'[2,"b","DataTransfer",{"vendorId":"v","data":"%s"}]' % (b"x" * PENDING_BYTES), 0)
    assert not reads(one)
    one.reply_received(first.number, OK, 0)
    assert reads(one)


def test_a_call_beyond_the_bound_is_not_kept() -> None:
    one = session(pending_calls=1)
    one.frame_received(heartbeat("a"), 0)
    one.frame_received(heartbeat("b"), 0)
    assert noticed(one.frame_received(heartbeat("c"), 0)) == [Noticed.CALL_OVER_BOUND]


def test_a_call_in_flight_or_waiting_costs_no_more_memory_than_its_bytes() -> None:
    one = session(rulebook=Rulebook(Policy.WARN))
    bulky = b'[2,"%d","Heartbeat",{"x":[' + b",".join([b"[]"] * 100_000) + b"]}]"
    tracemalloc.start()
    try:
        for number in range(5):
            one.frame_received(bulky % number, 0)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used < 6 * len(bulky)


def test_equal_unique_ids_get_an_answer_each() -> None:
    one = session()
    (first,) = relays(one.frame_received(heartbeat("same"), 0))
    one.frame_received(heartbeat("same"), 0)
    effects = one.reply_received(first.number, OK, 0)
    (second,) = relays(effects)
    assert second.number != first.number
    assert sent(one.reply_received(second.number, OK, 0)) == [[3, "same", {"ok": 1}]]


def test_late_second_and_unknown_replies_are_dropped_and_named() -> None:
    one = session()
    assert noticed(one.reply_received(7, OK, 0)) == [Noticed.LATE_REPLY]
    (relay,) = relays(one.frame_received(heartbeat(), 0))
    one.reply_received(relay.number, OK, 0)
    assert one.reply_received(relay.number, OK, 0) == [Notice(Noticed.LATE_REPLY)]


def test_an_overdue_call_gets_internal_error_and_frees_the_slot() -> None:
    one = session(call_timeout=30)
    (relay,) = relays(one.frame_received(heartbeat("a"), 0))
    one.frame_received(heartbeat("b"), 0)
    assert one.deadline() == 30
    assert one.tick(29.9) == []
    effects = one.tick(30)
    assert sent(effects)[0][:3] == [4, "a", "InternalError"]
    assert Abandon(relay.number) in effects
    assert relays(effects)[0].unique_id == "b"
    assert noticed(one.reply_received(relay.number, OK, 31)) == [Noticed.LATE_REPLY]


@pytest.mark.parametrize(
    ("version", "action", "payload"),
    [
        (V16, "StartTransaction", START),
        (V16, "StopTransaction", {"transactionId": 1, "meterStop": 1, "timestamp": "2026-01-01T00:00:00Z"}),
        (V16, "MeterValues", {"connectorId": 1, "meterValue": []}),
        (V201, "TransactionEvent", {}),
    ],
)
def test_billing_data_gets_no_error_from_us_whatever_fails(version: Version, action: str, payload: Any) -> None:
    for fail in ("tick", "relay_failed", "unroutable"):
        one = session(version)
        (relay,) = relays(one.frame_received(frame(2, "t", action, payload), 0))
        assert relay.transaction
        assert not relay.expires
        effects = one.tick(30) if fail == "tick" else getattr(one, fail)(relay.number, 1)
        assert sent(effects) == []
        assert one.idle


def test_an_invalid_payload_is_answered_in_the_versions_own_spelling() -> None:
    for version, code in ((V16, "OccurenceConstraintViolation"), (V201, "OccurrenceConstraintViolation")):
        one = session(version)
        effects = one.frame_received(frame(2, "b", "BootNotification", {}), 0)
        assert sent(effects)[0][:3] == [4, "b", code]
        assert relays(effects) == []
        assert one.idle


def test_a_violation_is_relayed_by_policy_and_always_for_billing_data() -> None:
    (relay,) = relays(session(rulebook=Rulebook(Policy.WARN)).frame_received(frame(2, "b", "BootNotification", {}), 0))
    assert relay.violation is not None
    (relay,) = relays(session().frame_received(frame(2, "b", "StartTransaction", {"connectorId": "one"}), 0))
    assert relay.violation is not None


def test_refused_calls_do_not_hold_up_those_behind_them() -> None:
    one = session()
    (first,) = relays(one.frame_received(heartbeat("a"), 0))
    one.frame_received(frame(2, "bad", "BootNotification", {}), 0)
    one.frame_received(heartbeat("c"), 0)
    effects = one.reply_received(first.number, OK, 0)
    assert [message[1] for message in sent(effects)] == ["a", "bad"]
    assert relays(effects)[0].unique_id == "c"


@pytest.mark.parametrize(
    ("action", "code"), [("MakeCoffee", "NotImplemented"), ("heartbeat", "NotImplemented"), ("Reset", "NotSupported")]
)
def test_unroutable_calls(action: str, code: str) -> None:
    one = session()
    (relay,) = relays(one.frame_received(frame(2, "x", action, {}), 0))
    assert sent(one.unroutable(relay.number, 0))[0][:3] == [4, "x", code]


def test_an_action_that_cannot_be_a_key_is_answered_without_a_publish() -> None:
    effects = session().frame_received(frame(2, "x", "a.#", {}), 0)
    assert sent(effects)[0][:3] == [4, "x", "NotImplemented"]
    assert relays(effects) == []


def test_malformed_frames_get_what_the_version_demands() -> None:
    assert sent(session(V16).frame_received(b"[2,", 0)) == []
    assert sent(session(V201).frame_received(b"[2,", 0))[0][:3] == [4, "-1", "RpcFrameworkError"]
    assert noticed(session(V16).frame_received(b"{}", 0)) == [Noticed.MALFORMED]


def test_replies_from_the_charge_point_are_never_answered() -> None:
    for message in ([3, "x", {}], [4, "x", "InternalError", "", {}], [3], [4, 1, 2], [5, "x", "a", "b", {}], [6, "x"]):
        for version in (V16, V201):
            assert sent(session(version).frame_received(frame(*message), 0)) == []


# SEND and CALLRESULTERROR


def stream(data: Any) -> bytes:
    payload = {"id": 1, "pending": 0, "basetime": "2026-01-01T00:00:00Z", "data": data}
    return frame(6, "s", "NotifyPeriodicEventStream", payload)


def test_a_send_is_relayed_beside_the_slot_and_never_answered() -> None:
    one = session(V21)
    (call,) = relays(one.frame_received(heartbeat("a"), 0))
    (send,) = relays(one.frame_received(stream([{"t": 0, "v": "1"}]), 0))
    assert send.is_send
    assert send.number != call.number
    assert sent(one.reply_received(call.number, OK, 0)) == [[3, "a", {"ok": 1}]]


def test_a_bad_send_is_counted_and_never_answered() -> None:
    one = session(V21)
    for bad in (stream("none"), frame(6, "s", "Heartbeat", {}), frame(6, "s", "Nothing", {})):
        assert noticed(one.frame_received(bad, 0)) == [Noticed.REFUSED_SEND]


def test_sends_that_the_broker_has_not_confirmed_are_bounded() -> None:
    one = session(V21, pending_calls=2)
    good = stream([{"t": 0, "v": "1"}])
    one.frame_received(good, 0)
    one.frame_received(good, 0)
    assert not reads(one)
    one.send_settled()
    assert reads(one)


def test_a_refusal_of_our_result_is_counted() -> None:
    effects = session(V21).frame_received(frame(5, "x", "FormatViolation", "", {}), 0)
    assert noticed(effects) == [Noticed.RESULT_REFUSED]


# closing and draining


def test_a_close_relays_the_billing_data_that_waited_and_answers_nothing() -> None:
    one = session()
    (first,) = relays(one.frame_received(heartbeat("a"), 0))
    one.frame_received(heartbeat("b"), 0)
    one.frame_received(frame(2, "t", "StartTransaction", START), 0)
    effects = one.close(1)
    (relay,) = relays(effects)
    assert relay.unique_id == "t"
    assert sent(effects) == []
    assert [e for e in effects if isinstance(e, Abandon)] == [Abandon(first.number), Abandon(relay.number)]
    assert one.frame_received(heartbeat("c"), 2) == []
    assert one.reply_received(first.number, OK, 2) == [Notice(Noticed.LATE_REPLY)]


def test_a_draining_session_finishes_what_it_has_and_takes_nothing_new() -> None:
    one = session()
    (first,) = relays(one.frame_received(heartbeat("a"), 0))
    one.command_received(reset("c1"), 0)
    one.command_received(reset("c2"), 0)
    assert outcomes(one.drain()) == [("c2", OutcomeKind.OFFLINE, "draining")]
    assert noticed(one.frame_received(heartbeat("b"), 0)) == [Noticed.CALL_WHILE_DRAINING]
    assert outcomes(one.command_received(reset("c3"), 0)) == [("c3", OutcomeKind.OFFLINE, "draining")]
    assert one.command_received(reset("c1"), 0) == [Notice(Noticed.DUPLICATE_COMMAND)]
    assert not one.idle
    assert sent(one.reply_received(first.number, OK, 0)) == [[3, "a", {"ok": 1}]]
    assert outcomes(one.frame_received(frame(3, "c1", {"status": "Accepted"}), 1)) == [("c1", OutcomeKind.RESULT, None)]
    assert one.idle
