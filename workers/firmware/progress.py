"""A firmware update's life as a pure state machine: a state and what the charge point says, to the next state.

A charge point's report is evidence, not a request: none is refused. Forward reports move the job even when steps
were skipped, reports of an end always end it, backward ones only leave a trace. Nothing leaves a terminal state.
Security whitepaper L01; OCPP 2.0.1 part 2, L01-L03; OCPP 1.6 sections 4.5 and 7.25.
"""

from enum import StrEnum

from workers.jobs.progress import Step, Verdict, read_report


class FirmwareState(StrEnum):
    """Where an update stands; reported states are spelled as OCPP spells the status."""

    PENDING = "Pending"
    """Stored; the charge point has not answered the request."""
    UNCERTAIN = "Uncertain"
    """The request may have reached the charge point; only its statuses can tell."""
    ACCEPTED = "Accepted"
    DOWNLOAD_SCHEDULED = "DownloadScheduled"
    DOWNLOADING = "Downloading"
    DOWNLOAD_PAUSED = "DownloadPaused"
    DOWNLOADED = "Downloaded"
    SIGNATURE_VERIFIED = "SignatureVerified"
    INSTALL_SCHEDULED = "InstallScheduled"
    INSTALLING = "Installing"
    INSTALL_REBOOTING = "InstallRebooting"
    INSTALLED = "Installed"
    DOWNLOAD_FAILED = "DownloadFailed"
    INVALID_SIGNATURE = "InvalidSignature"
    INSTALLATION_FAILED = "InstallationFailed"
    INSTALL_VERIFICATION_FAILED = "InstallVerificationFailed"
    REJECTED = "Rejected"
    INVALID_CERTIFICATE = "InvalidCertificate"
    REVOKED_CERTIFICATE = "RevokedCertificate"
    CANCELED = "Canceled"
    """A newer request took its place (L01.FR.26)."""
    FAILED = "Failed"
    """The request was answered with an error, or could not be sent as it is."""
    EXPIRED = "Expired"
    """The deadline passed before the charge point could be reached."""
    UNRESOLVED = "Unresolved"
    """Uncertain, and no status ever came."""


TERMINAL = frozenset(
    {
        FirmwareState.INSTALLED,
        FirmwareState.DOWNLOAD_FAILED,
        FirmwareState.INVALID_SIGNATURE,
        FirmwareState.INSTALLATION_FAILED,
        FirmwareState.INSTALL_VERIFICATION_FAILED,
        FirmwareState.REJECTED,
        FirmwareState.INVALID_CERTIFICATE,
        FirmwareState.REVOKED_CERTIFICATE,
        FirmwareState.CANCELED,
        FirmwareState.FAILED,
        FirmwareState.EXPIRED,
        FirmwareState.UNRESOLVED,
    }
)


_S = FirmwareState
_REPORTABLE = {
    state.value: state
    for state in (
        *(_S.DOWNLOAD_SCHEDULED, _S.DOWNLOADING, _S.DOWNLOAD_PAUSED, _S.DOWNLOADED, _S.SIGNATURE_VERIFIED),
        *(_S.INSTALL_SCHEDULED, _S.INSTALLING, _S.INSTALL_REBOOTING, _S.INSTALLED, _S.DOWNLOAD_FAILED),
        *(_S.INVALID_SIGNATURE, _S.INSTALLATION_FAILED, _S.INSTALL_VERIFICATION_FAILED),
    )
}

_STARTING = frozenset({_S.DOWNLOAD_SCHEDULED, _S.DOWNLOADING, _S.DOWNLOAD_FAILED})
_AFTER_DOWNLOAD = frozenset(
    {_S.SIGNATURE_VERIFIED, _S.INVALID_SIGNATURE, _S.INSTALL_SCHEDULED, _S.INSTALLING, _S.INSTALL_REBOOTING}
)
_INSTALL_ENDS = frozenset({_S.INSTALLED, _S.INSTALLATION_FAILED, _S.INSTALL_VERIFICATION_FAILED})
_EXPECTED: dict[FirmwareState, frozenset[FirmwareState]] = {
    _S.PENDING: _STARTING,
    _S.UNCERTAIN: _STARTING,
    _S.ACCEPTED: _STARTING,
    _S.DOWNLOAD_SCHEDULED: frozenset({_S.DOWNLOADING, _S.DOWNLOAD_PAUSED, _S.DOWNLOAD_FAILED}),
    _S.DOWNLOADING: frozenset({_S.DOWNLOAD_PAUSED, _S.DOWNLOADED, _S.DOWNLOAD_FAILED}),
    _S.DOWNLOAD_PAUSED: frozenset({_S.DOWNLOADING, _S.DOWNLOADED, _S.DOWNLOAD_FAILED}),
    _S.DOWNLOADED: _AFTER_DOWNLOAD | {_S.INSTALLATION_FAILED},
    _S.SIGNATURE_VERIFIED: frozenset({_S.INSTALL_SCHEDULED, _S.INSTALLING, _S.INSTALL_REBOOTING, *_INSTALL_ENDS}),
    _S.INSTALL_SCHEDULED: frozenset({_S.INSTALLING, _S.INSTALL_REBOOTING, *_INSTALL_ENDS}),
    _S.INSTALLING: frozenset({_S.INSTALL_REBOOTING, *_INSTALL_ENDS}),
    _S.INSTALL_REBOOTING: frozenset({_S.INSTALLING, *_INSTALL_ENDS}),
}

_RANK = {
    **dict.fromkeys((_S.PENDING, _S.UNCERTAIN, _S.ACCEPTED), 0),
    _S.DOWNLOAD_SCHEDULED: 1,
    **dict.fromkeys((_S.DOWNLOADING, _S.DOWNLOAD_PAUSED), 2),
    _S.DOWNLOADED: 3,
    _S.SIGNATURE_VERIFIED: 4,
    _S.INSTALL_SCHEDULED: 5,
    **dict.fromkeys((_S.INSTALLING, _S.INSTALL_REBOOTING), 6),
}
_LATEST_RANK_BEFORE_END = {_S.DOWNLOAD_FAILED: 2, _S.INVALID_SIGNATURE: 3}

_ANSWERS = {
    "Accepted": _S.ACCEPTED,
    "AcceptedCanceled": _S.ACCEPTED,
    "Rejected": _S.REJECTED,
    "InvalidCertificate": _S.INVALID_CERTIFICATE,
    "RevokedCertificate": _S.REVOKED_CERTIFICATE,
}


def is_terminal(state: FirmwareState) -> bool:
    return state in TERMINAL


def after_report(state: FirmwareState, status: str) -> Step[FirmwareState]:
    """The state after a (Signed)FirmwareStatusNotification with this status."""
    reported = read_report(state, status, _REPORTABLE, TERMINAL)
    if isinstance(reported, Step):
        return reported
    if reported in _EXPECTED[state]:
        return Step(reported, Verdict.ADVANCED)
    if reported in TERMINAL:
        excluded = _RANK[state] > _LATEST_RANK_BEFORE_END.get(reported, 6)
        return Step(reported, Verdict.CONTRADICTORY if excluded else Verdict.SKIPPED)
    if _RANK[reported] <= _RANK[state]:
        return Step(state, Verdict.OUT_OF_ORDER)
    return Step(reported, Verdict.SKIPPED)


def after_answer(state: FirmwareState, status: str | None) -> FirmwareState:
    """The state after the request's conf; a 1.6 UpdateFirmware.conf has no status and means Accepted.

    An answer that comes after the first report changes nothing unless it refuses. An unknown status is Failed.
    """
    if state in TERMINAL:
        return state
    answered = _S.ACCEPTED if status is None else _ANSWERS.get(status, _S.FAILED)
    if answered is _S.ACCEPTED and state not in {_S.PENDING, _S.UNCERTAIN}:
        return state
    return answered
