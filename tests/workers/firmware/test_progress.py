import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.firmware.progress import TERMINAL, FirmwareState, after_answer, after_report, is_terminal
from workers.jobs.progress import Step, Verdict

OCPP_STATUSES = [
    *("Downloaded", "DownloadFailed", "Downloading", "DownloadScheduled", "DownloadPaused", "Idle"),
    *("InstallationFailed", "Installing", "Installed", "InstallRebooting", "InstallScheduled"),
    *("InstallVerificationFailed", "InvalidSignature", "SignatureVerified"),
]
ANSWERS = [None, "Accepted", "AcceptedCanceled", "Rejected", "InvalidCertificate", "RevokedCertificate", "Sure"]

statuses = st.one_of(st.sampled_from(OCPP_STATUSES), st.text(max_size=20))
states = st.sampled_from(FirmwareState)


def walk(reports: list[str], state: FirmwareState = FirmwareState.ACCEPTED) -> list[Step[FirmwareState]]:
    steps = []
    for status in reports:
        step = after_report(state, status)
        steps.append(step)
        state = step.state
    return steps


@pytest.mark.parametrize(
    "reports",
    [
        ["Downloading", "Downloaded", "Installing", "Installed"],
        ["Downloading", "Downloaded", "SignatureVerified", "Installing", "InstallRebooting", "Installed"],
        [
            *("DownloadScheduled", "Downloading", "DownloadPaused", "Downloading", "Downloaded", "SignatureVerified"),
            *("InstallScheduled", "Installing", "InstallRebooting", "Installing", "Installed"),
        ],
        ["Downloading", "DownloadFailed"],
        ["Downloading", "Downloaded", "InvalidSignature"],
        ["Downloading", "Downloaded", "Installing", "InstallationFailed"],
        ["Downloading", "Downloaded", "SignatureVerified", "Installing", "InstallVerificationFailed"],
    ],
    ids=lambda reports: reports[-1] + str(len(reports)),
)
def test_the_flows_of_the_specification_advance_step_by_step(reports):
    steps = walk(reports)
    assert {step.verdict for step in steps} == {Verdict.ADVANCED}
    assert [step.state for step in steps] == reports


@pytest.mark.parametrize("status", OCPP_STATUSES)
def test_every_status_of_the_specification_is_known(status):
    assert after_report(FirmwareState.ACCEPTED, status).verdict is not Verdict.UNKNOWN_STATUS


@given(statuses, st.sampled_from(sorted(TERMINAL)))
def test_no_report_leaves_a_terminal_state(status, state):
    assert after_report(state, status).state is state


@given(st.sampled_from(ANSWERS), st.sampled_from(sorted(TERMINAL)))
def test_no_answer_leaves_a_terminal_state(answer, state):
    assert after_answer(state, answer) is state


@given(states, statuses)
def test_a_repeated_report_changes_nothing(state, status):
    once = after_report(state, status)
    again = after_report(once.state, status)
    assert again.state is once.state
    assert again.verdict in {Verdict.DUPLICATE, once.verdict}


@given(states, statuses)
def test_a_verdict_tells_truly_whether_the_job_moved(state, status):
    step = after_report(state, status)
    moves = step.verdict in {Verdict.ADVANCED, Verdict.SKIPPED, Verdict.CONTRADICTORY}
    assert moves == (step.state is not state)
    if moves:
        assert step.state == status


@given(st.lists(statuses, max_size=30), st.sampled_from(ANSWERS))
def test_any_interleaving_of_reports_and_answers_is_taken(reports, answer):
    state = FirmwareState.PENDING
    for number, status in enumerate(reports):
        if number == len(reports) // 2:
            state = after_answer(state, answer)
        state = after_report(state, status).state
    assert isinstance(state, FirmwareState)


def test_an_end_is_taken_even_when_earlier_reports_exclude_it():
    step = after_report(FirmwareState.INSTALLING, "DownloadFailed")
    assert (step.state, step.verdict) == (FirmwareState.DOWNLOAD_FAILED, Verdict.CONTRADICTORY)


def test_an_earlier_step_does_not_move_the_job_back():
    step = after_report(FirmwareState.INSTALLING, "Downloading")
    assert (step.state, step.verdict) == (FirmwareState.INSTALLING, Verdict.OUT_OF_ORDER)


def test_lost_reports_do_not_hold_the_job_back():
    step = after_report(FirmwareState.ACCEPTED, "Installed")
    assert (step.state, step.verdict) == (FirmwareState.INSTALLED, Verdict.SKIPPED)


@pytest.mark.parametrize("state", [FirmwareState.PENDING, FirmwareState.UNCERTAIN])
def test_a_report_resolves_a_request_whose_answer_was_lost(state):
    assert after_report(state, "Downloading").state is FirmwareState.DOWNLOADING


def test_idle_says_nothing():
    assert after_report(FirmwareState.DOWNLOADING, "Idle") == Step(FirmwareState.DOWNLOADING, Verdict.IDLE)


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (None, FirmwareState.ACCEPTED),
        ("Accepted", FirmwareState.ACCEPTED),
        ("AcceptedCanceled", FirmwareState.ACCEPTED),
        ("Rejected", FirmwareState.REJECTED),
        ("InvalidCertificate", FirmwareState.INVALID_CERTIFICATE),
        ("RevokedCertificate", FirmwareState.REVOKED_CERTIFICATE),
        ("Sure", FirmwareState.FAILED),
    ],
)
def test_the_answer_opens_or_ends_the_job(answer, state):
    assert after_answer(FirmwareState.PENDING, answer) is state


def test_an_acceptance_after_the_first_report_does_not_turn_the_job_back():
    assert after_answer(FirmwareState.DOWNLOADING, "Accepted") is FirmwareState.DOWNLOADING


def test_ends_are_terminal_and_steps_are_not():
    assert is_terminal(FirmwareState.INSTALLED)
    assert not is_terminal(FirmwareState.INSTALL_REBOOTING)
