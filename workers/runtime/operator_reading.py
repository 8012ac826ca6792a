"""Reading what operators give with a request. Pure."""

from datetime import datetime
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contracts.bodies import problems_of
from contracts.identity import MAX_LENGTH

IdentityText = Annotated[str, Field(min_length=1, max_length=MAX_LENGTH)]


class Arguments(BaseModel):
    """What all share: nothing that is not named, and no conversion of what is something else."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


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
