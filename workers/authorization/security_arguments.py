"""The arguments of the operations on credentials. Pure."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from contracts.credentials import MOST_LENGTH
from contracts.envelope import MOST_PROFILE
from workers.runtime.operator_reading import Arguments, IdentityText
from workers.store.key_material import LONGEST_PEM

MOST_MESSAGE_KEYS = 16

Profile = Annotated[int, Field(ge=0, le=MOST_PROFILE)]
Thumbprint = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Pem = Annotated[str, Field(min_length=1, max_length=LONGEST_PEM)]


class OneIdentity(Arguments):
    identity: IdentityText


class SecuritySettings(Arguments):
    identity: IdentityText
    profile: Profile | None = None
    certificate_name: str | None = Field(default=None, max_length=255)
    message_policy: Literal["off", "verify", "require"] | None = None
    add_message_keys: list[Pem] = Field(default_factory=list, max_length=MOST_MESSAGE_KEYS)
    remove_message_keys: list[Thumbprint] = Field(default_factory=list, max_length=MOST_MESSAGE_KEYS)


class NewKey(Arguments):
    identity: IdentityText
    password: SecretStr | None = Field(default=None, max_length=4 * MOST_LENGTH)


class TargetProfile(Arguments):
    identity: IdentityText
    profile: Annotated[int, Field(ge=1, le=MOST_PROFILE)]
    send: bool = True
