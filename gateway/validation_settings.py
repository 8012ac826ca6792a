"""How strictly frames are judged: settings of the gateway."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, PrivateAttr, field_validator, model_validator

from contracts.process.settings import ProcessSettings
from gateway import tolerances, validation
from gateway.routes import Policy
from gateway.tolerances import Tolerance
from gateway.validation import RELAY, Rulebook, ValidationRule

MOST_FILE_BYTES = 1024 * 1024
FILE = "OCPP_GATEWAY_VALIDATION_FILE"

_HARMLESS = ",".join(sorted(tolerances.HARMLESS))


def _renamed(value: object) -> object:
    return Policy.WARN if value == RELAY else value


class ValidationSettings(ProcessSettings):
    """A part of GatewaySettings."""

    validation: Annotated[Policy, BeforeValidator(_renamed)] = Field(
        Policy.ENFORCE,
        alias="OCPP_GATEWAY_VALIDATION",
        description="What invalid payloads meet: enforce (refused), warn (taken, violation named; also `relay`), pass "
        "(taken unseen). Billing data is always taken; what is sent is always checked, unless a rule says otherwise.",
    )
    validation_file: Path | None = Field(
        None,
        alias=FILE,
        description="TOML with other policies: [[rule]] vendor, model, action, direction (in, out, both), policy.",
    )
    tolerate: str = Field(
        _HARMLESS,
        alias="OCPP_GATEWAY_TOLERATE",
        description="Known deviations that are borne and counted, comma separated; `all`, or `none`.",
    )
    _rules: tuple[ValidationRule, ...] = PrivateAttr(())

    @field_validator("validation_file", mode="before")
    @classmethod
    def _no_file(cls, value: object) -> object:
        return value or None

    @field_validator("tolerate")
    @classmethod
    def _known_tolerances(cls, value: str) -> str:
        tolerances.named(value)
        return value

    @model_validator(mode="after")
    def _read_rules(self) -> Self:
        if self.validation_file is not None:
            problems = _read(self.validation_file)
            if problems and isinstance(problems[0], str):
                raise ValueError("\n".join(f"{FILE}: {problem}" for problem in problems))
            self._rules = tuple(rule for rule in problems if isinstance(rule, ValidationRule))
        return self

    @property
    def rulebook(self) -> Rulebook:
        """The policies that these settings ask for, made anew."""
        return Rulebook(self.validation, self._rules)

    @property
    def tolerances(self) -> frozenset[Tolerance]:
        """The deviations that are borne."""
        return tolerances.named(self.tolerate)


def _read(file: Path) -> list[ValidationRule] | list[str]:
    try:
        if file.stat().st_size > MOST_FILE_BYTES:
            return [f"{file} is larger than {MOST_FILE_BYTES} bytes"]
        return validation.read(file.read_text("utf-8"))
    except (OSError, UnicodeError) as error:
        return [f"{file} cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}"]
