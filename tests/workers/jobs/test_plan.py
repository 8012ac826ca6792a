from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.envelope import OutcomeEnvelope, OutcomeKind
from workers.jobs import plan
from workers.jobs.lifecycle import EXPIRED, PENDING, UNCERTAIN, UNRESOLVED
from workers.jobs.plan import BecomeUncertain, End, Ending, Send, Settled, Wait
from workers.store.jobs import Job

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def job(**changes: Any) -> Job:
    values: dict[str, Any] = {
        "number": 1,
        "job_id": "job-1",
        "service": "firmware",
        "identity": "CP-1",
        "action": "UpdateFirmware",
        "payload": {},
        "request_digest": "",
        "request_id": None,
        "command_id": "command-1",
        "state": PENDING,
        "session": None,
        "attempts": 0,
        "next_attempt_at": NOW,
        "created_at": NOW,
        "deadline_at": NOW + timedelta(hours=1),
        "sent_at": None,
        "answered_at": None,
        "answer": None,
        "error_code": None,
        "description": None,
        "irregular": False,
        "ended_at": None,
    }
    return Job(**{**values, **changes})


def outcome(kind: OutcomeKind, *, gateway: str = "gateway-1", code: str | None = None) -> OutcomeEnvelope:
    return OutcomeEnvelope("command-1", "CP-1", kind, gateway, error_code=code)


def test_a_new_job_goes_to_the_newest_session():
    assert plan.next_step(job(), "s1", NOW) == Send("s1", fresh=True)


def test_a_job_for_an_absent_charge_point_waits():
    step = plan.next_step(job(), None, NOW)
    assert isinstance(step, Wait)
    assert step.until > NOW


def test_a_request_that_may_be_under_way_goes_to_the_same_session_only():
    assert plan.next_step(job(session="s1"), "s2", NOW) == Send("s1", fresh=False)


def test_past_its_deadline_an_unsent_job_expires():
    assert plan.next_step(job(deadline_at=NOW), "s1", NOW) == End(EXPIRED)


def test_past_its_deadline_a_job_that_may_have_been_sent_becomes_uncertain():
    assert isinstance(plan.next_step(job(session="s1", deadline_at=NOW), "s1", NOW), BecomeUncertain)


def test_an_uncertain_job_that_is_due_is_given_up():
    assert plan.next_step(job(state=UNCERTAIN, session="s1"), "s1", NOW) == End(UNRESOLVED)


def test_a_job_under_way_needs_nothing():
    assert plan.next_step(job(state="Downloading", session="s1"), "s1", NOW) is Settled.SETTLED


@pytest.mark.parametrize(
    ("kind", "gateway", "code", "fresh", "ending"),
    [
        (OutcomeKind.RESULT, "g", None, True, Ending.ANSWERED),
        (OutcomeKind.RESULT, "g", None, False, Ending.ANSWERED),
        (OutcomeKind.CALL_ERROR, "g", "NotSupported", True, Ending.FAILED),
        (OutcomeKind.REJECTED, "g", "FormatViolation", True, Ending.FAILED),
        (OutcomeKind.REJECTED, "g", "queue_full", True, Ending.NOT_SENT),
        (OutcomeKind.REJECTED, "g", "queue_full", False, Ending.ASK_AGAIN),
        (OutcomeKind.OFFLINE, "g", "not_here", True, Ending.NOT_SENT),
        (OutcomeKind.OFFLINE, "g", "not_here", False, Ending.UNCERTAIN),
        (OutcomeKind.OFFLINE, "", "not_connected", False, Ending.UNCERTAIN),
        (OutcomeKind.OFFLINE, "", "not_taken", False, Ending.ASK_AGAIN),
        (OutcomeKind.OFFLINE, "", "broker_unavailable", False, Ending.ASK_AGAIN),
        (OutcomeKind.EXPIRED, "g", "deadline", False, Ending.NOT_SENT),
        (OutcomeKind.EXPIRED, "", "deadline", False, Ending.ASK_AGAIN),
        (OutcomeKind.TIMEOUT, "g", None, True, Ending.UNCERTAIN),
        (OutcomeKind.TIMEOUT, "", "deadline", True, Ending.ASK_AGAIN),
        (OutcomeKind.UNKNOWN, "g", "session_closed", True, Ending.UNCERTAIN),
        (OutcomeKind.UNKNOWN, "", "broker_lost", True, Ending.ASK_AGAIN),
        (OutcomeKind.UNKNOWN, "", "no_outcome", True, Ending.ASK_AGAIN),
    ],
)
def test_what_an_outcome_means(kind, gateway, code, fresh, ending):
    assert plan.meaning(outcome(kind, gateway=gateway, code=code), fresh=fresh) is ending


@given(st.sampled_from(OutcomeKind), st.sampled_from(["", "g"]), st.text(max_size=5))
def test_a_request_that_may_have_been_sent_is_never_begun_anew_unless_the_gateway_says_it_was_not(kind, gateway, code):
    ending = plan.meaning(outcome(kind, gateway=gateway, code=code), fresh=False)
    if ending is Ending.NOT_SENT:
        assert (kind, gateway) == (OutcomeKind.EXPIRED, "g")
