"""The arguments of each operation that operators may ask for. Pure."""

from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AwareDatetime, Field, model_validator

from contracts.commands import COMMAND_ID
from workers.runtime.operator_reading import Arguments, IdentityText

DEFAULT_LIMIT, MOST = 100, 1000
LONGEST_TOKEN = 255
LONGEST_SERIAL = 100
LONGEST_KEY = 2000

TokenText = Annotated[str, Field(min_length=1, max_length=LONGEST_TOKEN)]
Limit = Annotated[int, Field(ge=1, le=MOST)]


def _in_utc(moment: datetime | None) -> datetime | None:
    try:
        return None if moment is None else moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("in UTC it is not in the years 1 to 9999") from None


class Sessions(Arguments):
    gateway: str | None = Field(default=None, max_length=255)
    identity: IdentityText | None = None
    limit: Limit = DEFAULT_LIMIT


class OneCommand(Arguments):
    command_id: str = Field(pattern=COMMAND_ID)


class Commands(Arguments):
    identity: IdentityText | None = None
    open: bool | None = None
    limit: Limit = DEFAULT_LIMIT


class OneChargePoint(Arguments):
    identity: IdentityText


class NewChargePoint(Arguments):
    identity: IdentityText
    registration: Literal["accepted", "pending", "rejected"] | None = None


class Tokens(Arguments):
    id_token: TokenText | None = None
    limit: Limit = DEFAULT_LIMIT


class NewToken(Arguments):
    id_token: TokenText
    status: Literal["Accepted", "Blocked", "Invalid"] = "Accepted"
    expires_at: Annotated[AwareDatetime | None, Field(strict=False), AfterValidator(_in_utc)] = None
    group: TokenText | None = None
    concurrent: bool = False


class OneToken(Arguments):
    id_token: TokenText


class Transactions(Arguments):
    identity: IdentityText | None = None
    active: bool | None = None
    limit: Limit = DEFAULT_LIMIT


class MeterKeys(Arguments):
    identity: IdentityText


class NewMeterKey(Arguments):
    identity: IdentityText
    public_key: str | None = Field(default=None, min_length=1, max_length=LONGEST_KEY)
    """PEM, or hexadecimal: DER, or an uncompressed point."""
    meter_serial: str = Field(default="", max_length=LONGEST_SERIAL)
    remove: str | None = Field(default=None, min_length=1, max_length=64)
    """The fingerprint of a key to forget, instead of one to add."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.public_key is None) == (self.remove is None):
            raise ValueError("either public_key or remove")
        return self
