"""The arguments of each operation that operators may ask for. Pure."""

from datetime import UTC, datetime
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from contracts.bodies import problems_of
from contracts.commands import COMMAND_ID
from contracts.identity import MAX_LENGTH

DEFAULT_LIMIT, MOST = 100, 1000
LONGEST_TOKEN = 255
LONGEST_SERIAL = 100
LONGEST_KEY = 2000

IdentityText = Annotated[str, Field(min_length=1, max_length=MAX_LENGTH)]
TokenText = Annotated[str, Field(min_length=1, max_length=LONGEST_TOKEN)]
Limit = Annotated[int, Field(ge=1, le=MOST)]


def _in_utc(moment: datetime | None) -> datetime | None:
    try:
        return None if moment is None else moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("in UTC it is not in the years 1 to 9999") from None


class Arguments(BaseModel):
    """What all share: nothing that is not named, and no conversion of what is something else."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


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


A = TypeVar("A", bound=Arguments)


def read(kind: type[A], arguments: dict[str, object]) -> A | str:
    """The arguments, or what is wrong with them and which there may be; never with a value."""
    try:
        return kind.model_validate(arguments)
    except ValidationError as error:
        return f"{problems_of(error)}; the arguments are {', '.join(map(_named, kind.model_fields.items()))}"


def _named(entry: tuple[str, object]) -> str:
    name, field = entry
    required = getattr(field, "is_required", lambda: False)()
    return name if required else f"[{name}]"


def written(moment: datetime | None) -> str | None:
    """A moment as it is told: ISO 8601, UTC."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
