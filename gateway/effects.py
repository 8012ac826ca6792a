"""What a session wants done: small values that the shell carries out. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from contracts.envelope import OutcomeKind
from contracts.schemas import Violation
from contracts.versions import ErrorKind


class Noticed(StrEnum):
    """Things worth a count; the shell decides which deserve a log line too."""

    MALFORMED = "malformed"
    INVALID_CALL = "invalid_call"
    CALL_TIMEOUT = "call_timeout"
    LATE_REPLY = "late_reply"
    UNROUTABLE = "unroutable"
    STRAY_RESULT = "stray_result"
    LATE_RESULT = "late_result"
    INVALID_RESULT = "invalid_result"
    RESULT_REFUSED = "result_refused"
    REFUSED_SEND = "refused_send"
    CALL_OVER_BOUND = "call_over_bound"
    CALL_WHILE_DRAINING = "call_while_draining"
    DUPLICATE_COMMAND = "duplicate_command"
    INVALID_COMMAND = "invalid_command"
    INVALID_TAKEN = "invalid_taken"
    TOLERATED = "tolerated"
    SIGNED = "signed"
    SIGNATURE_REFUSED = "signature_refused"


# The next two are made for every Call, and not frozen: to set the fields of a frozen one takes four times as long.


@dataclass(slots=True)
class Transmit:
    """Send this text frame to the charge point."""

    frame: bytes


@dataclass(slots=True)
class Relay:
    """Publish this Call (or SEND) for a worker. The number is this session's own: unique ids may repeat."""

    number: int
    unique_id: str
    action: str
    key: str
    frame: bytes
    received: float
    """Monotonic seconds at which the frame came; it may have waited for its turn since."""
    deadline: float
    """Monotonic seconds after which nobody waits for the reply."""
    expires: bool
    """Whether the broker may drop it at the deadline."""
    transaction: bool
    """Billing data: published sooner or later, whatever becomes of the session."""
    is_send: bool
    violation: Violation | None
    signed_by: str | None = None
    """The thumbprint of the key whose signature over it was verified."""


@dataclass(frozen=True, slots=True)
class Abandon:
    """Nobody waits for the reply to this Call any more."""

    number: int


class Ending(StrEnum):
    """How a charge point's Call ended, as its gateway sees it."""

    RESULT = "result"
    """A worker's CALLRESULT was sent."""
    CALL_ERROR = "call_error"
    """A worker's CALLERROR was sent."""
    REFUSED = "refused"
    """We refused it: its payload, its signature, or nobody serves the action."""
    TIMEOUT = "timeout"
    """No worker answered in time: InternalError, or silence where that would cost billing data."""
    FAILED = "failed"
    """It cannot get an answer for a failure of ours."""
    CLOSED = "closed"
    """The session ended first."""

    __hash__ = str.__hash__  # an enumeration's own runs in Python, and one is looked up for every Call


@dataclass(slots=True)
class Settled:
    """A Call that was taken has ended; `received` is the monotonic time at which it came. Made for every Call."""

    unique_id: str
    action: str
    received: float
    ending: Ending


@dataclass(frozen=True, slots=True)
class Invalid:
    """A payload violates its schema."""

    direction: str
    """`in`: a request of the charge point; `result`: its answer to a command; `out`: a command."""
    action: str
    rule: ErrorKind
    taken: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended; times are monotonic seconds."""

    command_id: str
    kind: OutcomeKind
    payload: bytes = b"{}"
    error_code: str | None = None
    description: str = ""
    sent_at: float | None = None
    answered_at: float | None = None
    details: bytes = b"{}"


@dataclass(frozen=True, slots=True)
class Notice:
    """Count this; `detail` is free of payload values."""

    kind: Noticed
    detail: str = ""
    unique_id: str = ""
    """Of the message that it is about, where there is one."""


Effect = Transmit | Relay | Abandon | Settled | Outcome | Notice | Invalid
