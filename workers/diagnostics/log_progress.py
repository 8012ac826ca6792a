"""A log upload's life as a pure state machine, for GetDiagnostics (1.6) and GetLog (1.6 security extension, 2.x).

As with every report of a charge point: none is refused, odd ones are flagged, nothing leaves a terminal state.
OCPP 1.6 sections 4.4 and 5.9; security whitepaper N01; OCPP 2.0.1 part 2, N01.
"""

from enum import StrEnum

from workers.jobs.progress import Step, Verdict, read_report


class LogState(StrEnum):
    """Where an upload stands; reported states are spelled as OCPP spells the status."""

    PENDING = "Pending"
    UNCERTAIN = "Uncertain"
    """The request may have reached the charge point; only its statuses can tell."""
    ACCEPTED = "Accepted"
    UPLOADING = "Uploading"
    UPLOADED = "Uploaded"
    UPLOAD_FAILED = "UploadFailed"
    """UploadFailed of 1.6 and UploadFailure of GetLog alike."""
    BAD_MESSAGE = "BadMessage"
    PERMISSION_DENIED = "PermissionDenied"
    NOT_SUPPORTED_OPERATION = "NotSupportedOperation"
    NOTHING_TO_SEND = "NothingToSend"
    """GetDiagnostics.conf came without a file name (1.6, 5.9)."""
    REJECTED = "Rejected"
    CANCELED = "Canceled"
    """A newer request took its place (N01.FR.12)."""
    FAILED = "Failed"
    EXPIRED = "Expired"
    UNRESOLVED = "Unresolved"


TERMINAL = frozenset(LogState) - {LogState.PENDING, LogState.UNCERTAIN, LogState.ACCEPTED, LogState.UPLOADING}


_REPORTS = {
    "Uploading": LogState.UPLOADING,
    "Uploaded": LogState.UPLOADED,
    "UploadFailed": LogState.UPLOAD_FAILED,
    "UploadFailure": LogState.UPLOAD_FAILED,
    "BadMessage": LogState.BAD_MESSAGE,
    "PermissionDenied": LogState.PERMISSION_DENIED,
    "NotSupportedOperation": LogState.NOT_SUPPORTED_OPERATION,
    "AcceptedCanceled": LogState.CANCELED,
}
_NOT_STARTED = frozenset({LogState.PENDING, LogState.UNCERTAIN, LogState.ACCEPTED})
# These ends need no upload to have begun.
_EARLY_ENDS = TERMINAL - {LogState.UPLOADED}


def is_terminal(state: LogState) -> bool:
    return state in TERMINAL


def after_report(state: LogState, status: str) -> Step[LogState]:
    """The state after a DiagnosticsStatusNotification or LogStatusNotification with this status."""
    reported = read_report(state, status, _REPORTS, TERMINAL)
    if isinstance(reported, Step):
        return reported
    if state in _NOT_STARTED and reported is not LogState.UPLOADING and reported not in _EARLY_ENDS:
        return Step(reported, Verdict.SKIPPED)
    return Step(reported, Verdict.ADVANCED)


def after_diagnostics_answer(state: LogState, file_name: str | None) -> LogState:
    """The state after GetDiagnostics.conf: without a file name there is nothing to send."""
    if state not in _NOT_STARTED:
        return state
    return LogState.ACCEPTED if file_name else LogState.NOTHING_TO_SEND


def after_log_answer(state: LogState, status: str | None) -> LogState:
    """The state after GetLog.conf; AcceptedCanceled accepts this request and cancels the one before it."""
    if state in TERMINAL:
        return state
    if status in {"Accepted", "AcceptedCanceled"}:
        return LogState.ACCEPTED if state in _NOT_STARTED else state
    return LogState.REJECTED if status == "Rejected" else LogState.FAILED
