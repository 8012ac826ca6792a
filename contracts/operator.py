"""What operators ask of the commands service: queries about the store, and changes of what is on record.

A request goes to the exchange `ocpp.operations` with the routing key `ocpp.operator`; the answer to its `reply_to`.
"""

from enum import StrEnum
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from contracts import topology
from contracts.bodies import Body


class Operation(StrEnum):
    """What can be asked; the arguments and the items of the answer are in docs/backend.md."""

    SESSIONS = "sessions"
    COMMAND = "command"
    COMMANDS = "commands"
    CHARGE_POINT = "charge-point"
    ADD_CHARGE_POINT = "add-charge-point"
    BLOCK_CHARGE_POINT = "block-charge-point"
    TOKENS = "tokens"
    ADD_TOKEN = "add-token"  # noqa: S105 - an operation's name
    BLOCK_TOKEN = "block-token"  # noqa: S105
    TRANSACTIONS = "transactions"
    SECURITY = "security"
    SET_SECURITY = "set-security"
    ROTATE_KEY = "rotate-key"
    SET_KEY = "set-key"
    RAISE_PROFILE = "raise-profile"
    CERTIFICATES = "certificates"
    RENEW_CERTIFICATE = "renew-certificate"
    INSTALL_CERTIFICATE = "install-certificate"
    DELETE_CERTIFICATE = "delete-certificate"
    REFRESH_CERTIFICATES = "refresh-certificates"
    METER_KEYS = "meter-keys"
    ADD_METER_KEY = "add-meter-key"


SECURITY_OPERATIONS = frozenset(
    {
        Operation.SECURITY,
        Operation.SET_SECURITY,
        Operation.ROTATE_KEY,
        Operation.SET_KEY,
        Operation.RAISE_PROFILE,
        Operation.CERTIFICATES,
        Operation.RENEW_CERTIFICATE,
        Operation.INSTALL_CERTIFICATE,
        Operation.DELETE_CERTIFICATE,
        Operation.REFRESH_CERTIFICATES,
    }
)
"""Served by authorization from the queue `ocpp.operator.security`; all others by the commands service."""


def queue_of(operation: Operation) -> str:
    """The queue, and routing key on `ocpp.operations`, of whoever serves this operation."""
    return topology.SECURITY if operation in SECURITY_OPERATIONS else topology.OPERATOR


class OperatorRequest(Body):
    """One operation with its arguments; all are idempotent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    KIND: ClassVar[str] = "operator-request"

    v: Literal[1] = 1
    t: Literal["operator-request"] = "operator-request"
    operation: Operation
    arguments: dict[str, Any] = Field(default_factory=dict)


class OperatorAnswer(Body):
    """Items that answer the request, or why there are none."""

    KIND: ClassVar[str] = "operator-answer"

    v: Literal[1] = 1
    t: Literal["operator-answer"] = "operator-answer"
    ok: bool
    items: list[dict[str, Any]] = Field(default_factory=list)
    error: str | None = Field(default=None, description="`bad_request`, `not_found` or `unavailable`.")
    description: str = ""
