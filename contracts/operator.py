"""What operators ask of the commands service: queries about the store, and changes of what is on record.

A request goes to the exchange `ocpp.services` with the routing key `ocpp.operator`; the answer to its `reply_to`.
"""

from enum import StrEnum
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field

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
