import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.diagnostics.log_progress import (
    TERMINAL,
    LogState,
    after_diagnostics_answer,
    after_log_answer,
    after_report,
)
from workers.jobs.progress import Verdict

OCPP_STATUSES = [
    *("Uploading", "Uploaded", "UploadFailed", "UploadFailure", "BadMessage", "PermissionDenied"),
    *("NotSupportedOperation", "AcceptedCanceled", "Idle"),
]
statuses = st.one_of(st.sampled_from(OCPP_STATUSES), st.text(max_size=20))


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("Uploaded", LogState.UPLOADED),
        ("UploadFailed", LogState.UPLOAD_FAILED),
        ("UploadFailure", LogState.UPLOAD_FAILED),
        ("BadMessage", LogState.BAD_MESSAGE),
        ("PermissionDenied", LogState.PERMISSION_DENIED),
        ("NotSupportedOperation", LogState.NOT_SUPPORTED_OPERATION),
        ("AcceptedCanceled", LogState.CANCELED),
    ],
)
def test_each_end_of_an_upload_ends_the_job(status, state):
    begun = after_report(LogState.ACCEPTED, "Uploading")
    ended = after_report(begun.state, status)
    assert (begun.state, begun.verdict) == (LogState.UPLOADING, Verdict.ADVANCED)
    assert (ended.state, ended.verdict) == (state, Verdict.ADVANCED)


@given(statuses, st.sampled_from(sorted(TERMINAL)))
def test_no_report_leaves_a_terminal_state(status, state):
    assert after_report(state, status).state is state


@given(st.sampled_from(LogState), statuses)
def test_a_repeated_report_changes_nothing(state, status):
    once = after_report(state, status)
    assert after_report(once.state, status).state is once.state


@given(st.sampled_from(LogState), statuses)
def test_a_verdict_tells_truly_whether_the_job_moved(state, status):
    step = after_report(state, status)
    assert (step.verdict in {Verdict.ADVANCED, Verdict.SKIPPED}) == (step.state is not state)


def test_uploaded_without_uploading_is_taken_and_flagged():
    step = after_report(LogState.ACCEPTED, "Uploaded")
    assert (step.state, step.verdict) == (LogState.UPLOADED, Verdict.SKIPPED)


@pytest.mark.parametrize("file_name", [None, ""])
def test_get_diagnostics_without_a_file_name_has_nothing_to_send(file_name):
    assert after_diagnostics_answer(LogState.PENDING, file_name) is LogState.NOTHING_TO_SEND


def test_get_diagnostics_with_a_file_name_is_accepted():
    assert after_diagnostics_answer(LogState.PENDING, "log.zip") is LogState.ACCEPTED


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ("Accepted", LogState.ACCEPTED),
        ("AcceptedCanceled", LogState.ACCEPTED),
        ("Rejected", LogState.REJECTED),
        ("Perhaps", LogState.FAILED),
        (None, LogState.FAILED),
    ],
)
def test_get_log_answers_open_or_end_the_job(answer, state):
    assert after_log_answer(LogState.PENDING, answer) is state


@given(st.sampled_from(sorted(TERMINAL)), st.sampled_from(["Accepted", "AcceptedCanceled", "Rejected", None]))
def test_no_answer_leaves_a_terminal_state(state, answer):
    assert after_log_answer(state, answer) is state
    assert after_diagnostics_answer(state, answer) is state


def test_an_answer_after_the_first_report_does_not_turn_the_job_back():
    assert after_log_answer(LogState.UPLOADING, "Accepted") is LogState.UPLOADING
    assert after_diagnostics_answer(LogState.UPLOADING, None) is LogState.UPLOADING
