"""Commands as backends see them: what a request must have, and what an outcome says."""

import pytest
from pydantic import ValidationError

from contracts.commands import CommandOutcome, CommandRequest, Reason
from contracts.envelope import OutcomeKind


@pytest.mark.parametrize("command_id", ["a", "x" * 36, "A-b_c.d:9", "0b0c6c5e-6b34-4f9a-9d0e-1f6a3c1f4b11"])
def test_command_ids_are_taken(command_id: str) -> None:
    assert CommandRequest(command_id=command_id, action="Reset", deadline_ms=1).command_id == command_id


@pytest.mark.parametrize("command_id", ["", "x" * 37, "a b", "ä", "a\n", "a/b"])
def test_other_ids_are_refused(command_id: str) -> None:
    with pytest.raises(ValidationError):
        CommandRequest(command_id=command_id, action="Reset", deadline_ms=1)


@pytest.mark.parametrize("deadline_ms", [-1, 2**53])
def test_a_deadline_is_a_time(deadline_ms: int) -> None:
    with pytest.raises(ValidationError):
        CommandRequest(command_id="c", action="Reset", deadline_ms=deadline_ms)


def test_a_request_needs_neither_payload_nor_tracking() -> None:
    request = CommandRequest.decode(b'{"command_id": "c", "action": "ClearCache", "deadline_ms": 1}')
    assert (request.payload, request.tracked, request.session) == ({}, False, None)


@pytest.mark.parametrize("kind", list(OutcomeKind))
def test_only_a_result_is_ok(kind: OutcomeKind) -> None:
    assert CommandOutcome(command_id="c", identity="CP", outcome=kind).ok == (kind is OutcomeKind.RESULT)


def test_reasons_are_machine_words_that_an_outcome_carries_as_text() -> None:
    for reason in Reason:
        assert reason.value.replace("_", "").isalpha()
        told = CommandOutcome(command_id="c", identity="CP", outcome=OutcomeKind.UNKNOWN, reason=reason)
        assert CommandOutcome.decode(told.encode()).reason == reason.value
