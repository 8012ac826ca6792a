"""How keys come into force: forms of a password, ends of commands, and that no key that may be held is refused."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from contracts.credentials import StoredKey
from contracts.envelope import OutcomeEnvelope, OutcomeKind
from contracts.versions import Version
from workers.authorization.credential_rules import (
    MOST_PENDING,
    delivered,
    key_request,
    outdated_by,
    profile_problem,
    profile_request,
    waiting,
)
from workers.store.credentials import KeyRow, KeyState
from workers.store.passwords import is_in_force, stored_forms, was_given, wire_forms

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
HEX = "00112233445566778899aabbccddeeff00112233"


def row(name: str, state: KeyState, *, after_s: float = 0, delivery: str = "Accepted", secret: bytes = b"") -> KeyRow:
    key = StoredKey.of(secret or name.encode(), pending=state is KeyState.PENDING, key_id=name)
    return KeyRow(key, state, delivery, "", NOW + timedelta(seconds=after_s), None)


def test_a_hexadecimal_key_of_1_6_travels_as_the_bytes_that_it_means():
    assert wire_forms(HEX, Version.V16) == [bytes.fromhex(HEX)]
    assert wire_forms(HEX, Version.V201) == [HEX.encode()]
    assert wire_forms("Correct-Horse-Battery", Version.V16) == [b"Correct-Horse-Battery"]


def test_while_the_version_is_not_known_both_forms_are_on_record_and_one_is_pending():
    assert [key.pending for key in stored_forms(HEX, None)] == [False, True]
    assert [key.matches(form) for key, form in zip(stored_forms(HEX, None), wire_forms(HEX, None), strict=True)] == [
        True,
        True,
    ]


def test_a_password_is_known_again_in_force_or_retired():
    retired = row("old", KeyState.RETIRED, secret=bytes.fromhex(HEX))
    assert was_given(HEX, [retired])
    assert not is_in_force(HEX, Version.V16, [retired])
    assert not was_given("Correct-Horse-Battery", [retired])
    assert is_in_force(HEX, Version.V16, [row("new", KeyState.CURRENT, secret=bytes.fromhex(HEX))])


@pytest.mark.parametrize(
    ("version", "password", "profile"),
    [
        (Version.V16, ("ChangeConfiguration", "AuthorizationKey"), ("ChangeConfiguration", "SecurityProfile")),
        (Version.V201, ("SetVariables", "BasicAuthPassword"), ("SetVariables", "SecurityProfile")),
    ],
)
def test_each_version_has_its_words(version, password, profile):
    for (action, payload), (wanted, name) in (
        (key_request(version, "x"), password),
        (profile_request(version, 2), profile),
    ):
        assert action == wanted
        assert name in orjson.dumps(payload).decode()


def outcome(kind: OutcomeKind, payload: object = None, error: str | None = None) -> OutcomeEnvelope:
    return OutcomeEnvelope("c", "CP-1", kind, "g", payload=orjson.dumps(payload or {}), error_code=error)


@pytest.mark.parametrize(
    ("ended", "word", "surely_not"),
    [
        (outcome(OutcomeKind.RESULT, {"status": "Accepted"}), "Accepted", False),
        (outcome(OutcomeKind.RESULT, {"status": "RebootRequired"}), "RebootRequired", False),
        (outcome(OutcomeKind.RESULT, {"status": "Rejected"}), "Rejected", True),
        (outcome(OutcomeKind.RESULT, {"status": "NotSupported"}), "NotSupported", True),
        (outcome(OutcomeKind.RESULT, {"status": "hunter2hunter2hunter2"}), "unreadable", False),
        (outcome(OutcomeKind.RESULT, {}), "unreadable", False),
        (outcome(OutcomeKind.CALL_ERROR, error="NotImplemented"), "call_error", True),
        (outcome(OutcomeKind.CALL_ERROR, error="InternalError"), "call_error", False),
        (outcome(OutcomeKind.OFFLINE, error="not_connected"), "offline", True),
        (outcome(OutcomeKind.EXPIRED, error="deadline"), "expired", True),
        (outcome(OutcomeKind.REJECTED, error="queue_full"), "rejected", True),
        (outcome(OutcomeKind.TIMEOUT, error="no_answer"), "timeout", False),
        (outcome(OutcomeKind.UNKNOWN, error="gateway_lost"), "unknown", False),
    ],
)
def test_only_what_was_surely_not_taken_counts_as_not_taken(ended, word, surely_not):
    found = delivered(Version.V16, ended)
    assert (found.word, found.surely_not) == (word, surely_not)
    assert "hunter2" not in repr(found)


def test_a_status_of_2_x_is_that_of_its_one_variable():
    payload = {"setVariableResult": [{"attributeStatus": "UnknownVariable"}]}
    assert delivered(Version.V201, outcome(OutcomeKind.RESULT, payload)).surely_not


def test_a_profile_goes_up_only_and_not_without_the_password_that_it_needs():
    current = [row("k", KeyState.CURRENT)]
    assert "set-security" in (profile_problem(1, 1, current) or "")
    assert "password" in (profile_problem(2, 1, []) or "")
    assert profile_problem(2, 1, current) is None
    assert profile_problem(3, 0, []) is None


def test_what_was_provisioned_does_not_wait():
    assert waiting([row("a", KeyState.PENDING, delivery="provisioned"), row("b", KeyState.PENDING)]) == 1


class Rotations(RuleBasedStateMachine):
    """A charge point that takes keys, answers or not, comes back with what it has; notices that are late or lost."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = [row("k0", KeyState.CURRENT)]
        self.held = "k0"
        self.notices: list[str] = []
        self.number = 0

    def _change(self, names: list[str], state: KeyState) -> None:
        self.rows = [
            KeyRow(one.key, state, one.delivery, "", one.created_at, None) if one.key.key_id in names else one
            for one in self.rows
        ]

    @precondition(lambda self: waiting(self.rows) < MOST_PENDING)
    @rule(taken=st.booleans(), told=st.booleans())
    def rotate(self, taken: bool, told: bool) -> None:
        self.number += 1
        name = f"k{self.number}"
        self.rows.append(row(name, KeyState.PENDING, after_s=self.number))
        if taken:
            self.held = name
        elif told:  # Rejected, or surely never sent; else nobody knows
            self._change([name], KeyState.RETIRED)

    @rule()
    def come_back(self) -> None:
        (used,) = [one for one in self.rows if one.key.key_id == self.held]
        assert used.live
        if used.state is KeyState.PENDING:
            self.notices.append(self.held)

    @precondition(lambda self: self.notices)
    @rule(data=st.data(), again=st.booleans())
    def hear(self, data: st.DataObject, again: bool) -> None:
        name = data.draw(st.sampled_from(self.notices))
        used = next((one for one in self.rows if one.live and one.key.key_id == name), None)
        if not again:
            self.notices.remove(name)
        if used is not None:
            self._change(outdated_by(used, self.rows), KeyState.RETIRED)
            self._change([name], KeyState.CURRENT)

    @invariant()
    def what_the_charge_point_holds_is_let_in(self) -> None:
        assert any(one.live and one.key.key_id == self.held for one in self.rows)

    @invariant()
    def one_key_is_current_at_most(self) -> None:
        assert sum(one.state is KeyState.CURRENT for one in self.rows) == 1


Rotations.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
test_no_key_that_the_charge_point_may_hold_is_refused = Rotations.TestCase
