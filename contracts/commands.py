"""Commands as backend services see them: the request, its one outcome, and the receipt of a tracked one.

A request goes to the exchange `ocpp.commands`; the routing key is the charge point's identity. The outcome goes to
`reply_to` with the request's correlation id, in the request's content type (design, section 4).
"""

from enum import StrEnum
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from contracts.bodies import Body
from contracts.envelope import OutcomeKind

MOST_DIRECT_S = 600
"""A direct command's deadline is at most this far away: its delivery is held open meanwhile."""

MOST_TRACKED_S = 30 * 24 * 3600
COMMAND_ID = r"^[A-Za-z0-9_.:-]{1,36}$"


class Reason(StrEnum):
    """Why a command ended as it did, where its outcome alone does not say it."""

    BAD_REQUEST = "bad_request"
    """rejected: the body cannot be read, or lacks what it needs."""
    BAD_IDENTITY = "bad_identity"
    """rejected: the routing key is no identity."""
    BAD_COMMAND_ID = "bad_command_id"
    """rejected: a command id has 1 to 36 characters."""
    COMMAND_ID_REUSED = "command_id_reused"
    """rejected: another command has had this id."""
    DEADLINE_TOO_FAR = "deadline_too_far"
    """rejected: 10 minutes for a direct command, 30 days for a tracked one."""
    UNKNOWN_ACTION = "unknown_action"
    """rejected: the OCPP version has no such request to a charge point."""
    BAD_PAYLOAD = "bad_payload"
    """rejected: the payload does not fit the action's schema."""
    RESERVED_KEY = "reserved_key"
    """rejected: passwords are changed by the operation `rotate-key`; the charge point would be locked out."""
    QUEUE_FULL = "queue_full"
    """rejected: too many commands wait for this charge point."""
    NOT_CONNECTED = "not_connected"
    """offline: no gateway holds a session of it."""
    SESSION_GONE = "session_gone"
    """offline: the one session that it was for has ended."""
    SESSION_CLOSED = "session_closed"
    """offline: the session ended while it waited; unknown: after it was sent."""
    DRAINING = "draining"
    """offline: the gateway is shutting down."""
    DEADLINE = "deadline"
    """expired: it could not be sent in time."""
    NO_ANSWER = "no_answer"
    """timeout: the charge point has not answered in time."""
    GATEWAY_LOST = "gateway_lost"
    """offline or unknown: the gateway that held the session died."""
    NO_OUTCOME = "no_outcome"
    """unknown: the gateway did not say in time what became of it."""
    REDELIVERED = "redelivered"
    """unknown: it may have been sent before a process of ours died, and is not sent twice."""
    RESULT_FORGOTTEN = "result_forgotten"
    """unknown: it was answered, and the answer is no longer kept."""
    INVALID_RESULT = "invalid_result"
    """result or call_error: the answer does not fit its schema."""
    CALL_ERROR = "call_error"
    """call_error: the charge point's own; `error_code` holds its word."""
    UNDELIVERABLE = "undeliverable"
    """expired or unknown: the broker gave the command up."""
    CONNECTION_LOST = "connection_lost"
    """unknown: the caller's connection to the broker broke while it waited; said by the client itself."""
    UNROUTABLE = "unroutable"
    """rejected: no commands service has ever been set up on this broker; said by the client itself."""


class CommandRequest(Body):
    """A command for one charge point; who is the routing key's to say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    KIND: ClassVar[str] = "command"

    v: Literal[1] = 1
    t: Literal["command"] = "command"
    command_id: str = Field(
        pattern=COMMAND_ID,
        description="Unique for ever, such as a UUID; the same id again is the same command. Also the OCPP unique id.",
    )
    action: str = Field(min_length=1, max_length=50, description="The OCPP request, such as RemoteStopTransaction.")
    payload: dict[str, Any] = Field(default_factory=dict, description="The request's payload, as OCPP defines it.")
    deadline_ms: int = Field(
        ge=0, lt=2**53, description="Milliseconds since 1970: not sent any more after it, and answered by then."
    )
    tracked: bool = Field(
        default=False,
        description="Stored, held while the charge point is offline, repeated where safe; answered by a receipt.",
    )
    session: str | None = Field(default=None, max_length=64, description="When set, only this session may receive it.")


class CommandOutcome(Body):
    """How a command ended. Times are milliseconds since 1970 (UTC); None where that step was not reached."""

    KIND: ClassVar[str] = "outcome"

    v: Literal[1] = 1
    t: Literal["outcome"] = "outcome"
    command_id: str
    identity: str
    action: str = ""
    outcome: OutcomeKind
    reason: str | None = Field(
        default=None, description="A machine-readable word: one of Reason, or an OCPP error code for a bad payload."
    )
    description: str = Field(default="", description="For a person to read.")
    payload: dict[str, Any] | None = Field(default=None, description="The CALLRESULT's payload of a `result`.")
    error_code: str | None = Field(default=None, description="The CALLERROR's code of a `call_error`.")
    error_details: dict[str, Any] | None = None
    gateway: str | None = Field(default=None, description="The gateway it was dispatched to last.")
    session: str | None = None
    tracked: bool = False
    attempts: int = Field(default=0, description="How often it was dispatched to a gateway.")
    queued_ms: int | None = Field(default=None, description="Taken from its queue by the commands service.")
    dispatched_ms: int | None = Field(default=None, description="Published to the gateway.")
    sent_ms: int | None = Field(default=None, description="Written to the charge point's socket.")
    answered_ms: int | None = Field(default=None, description="Answered by the charge point.")

    @property
    def ok(self) -> bool:
        """Whether the charge point answered with a CALLRESULT; what that says is in the payload."""
        return self.outcome is OutcomeKind.RESULT


class TrackedState(StrEnum):
    """Where a tracked command is."""

    HELD = "held"
    """Not sent: the charge point is offline, or earlier commands come first."""
    UNDER_WAY = "under_way"
    """Dispatched; what became of it is not known yet."""
    ENDED = "ended"


class CommandReceipt(Body):
    """A tracked command is stored: nothing that dies can lose it now. Its outcome is the event `command.completed`."""

    KIND: ClassVar[str] = "receipt"

    v: Literal[1] = 1
    t: Literal["receipt"] = "receipt"
    command_id: str
    identity: str
    state: TrackedState
    outcome: CommandOutcome | None = Field(default=None, description="When it has ended already.")
