"""Settings: environment variables, each documented, checked all at once at start.

A process subclasses ProcessSettings; every field has an alias (its variable) and a description. A value that
cannot be read, and a variable that looks like ours but is not, are each one line on stderr; then exit 2.
"""

import os
import re
import sys
from collections.abc import Iterator
from difflib import get_close_matches
from enum import StrEnum
from typing import TypeVar

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from contracts.broker.endpoint import BrokerEndpoint, TlsFiles
from contracts.tracing.settings import TracingSettings

PREFIX = "OCPP_"
EXIT_BAD_SETTINGS = 2
# Kubernetes injects these for each Service in the same namespace, after the Service's name; they are no typing
# mistakes of ours. NAME_PORT is always among them, and only its value tells it from a misspelled setting.
_SERVICE_LINK = re.compile(r"_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)")
_SERVICE_URL = re.compile(r"(tcp|udp|sctp)://")


class Registration(StrEnum):
    """Who may connect: anyone (unknown charge points are created), or only charge points on record."""

    OPEN = "open"
    CLOSED = "closed"


class Declare(StrEnum):
    """Whether a process declares what processes share on the broker, or only looks whether it is there."""

    ON = "on"
    OFF = "off"


class LogFormat(StrEnum):
    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class ProcessSettings(TracingSettings):
    """What all our processes share."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    amqp_url: SecretStr = Field(
        SecretStr("amqp://guest:guest@127.0.0.1:5672/"),
        alias="AMQP_URL",
        description="The broker: amqp[s]://user:password@host:port/vhost.",
    )
    amqp_heartbeat_seconds: int = Field(
        20, alias="OCPP_AMQP_HEARTBEAT_SECONDS", ge=2, le=600, description="A broker silent for twice this is gone."
    )
    amqp_ca_file: str = Field(
        "", alias="OCPP_AMQP_CA_FILE", description="Trust roots (PEM) for amqps; empty: those of the system."
    )
    amqp_cert_file: str = Field(
        "", alias="OCPP_AMQP_CERT_FILE", description="Our certificate (PEM) for amqps, if the broker asks for one."
    )
    amqp_key_file: str = Field(
        "", alias="OCPP_AMQP_KEY_FILE", validate_default=True, description="Its key (PEM, not encrypted)."
    )
    amqp_declare: Declare = Field(
        Declare.ON,
        alias="OCPP_AMQP_DECLARE",
        description="off: only look whether exchanges and queues are there; `ocpp-gateway declare` makes them.",
    )
    registration: Registration = Field(
        Registration.OPEN,
        alias="OCPP_REGISTRATION",
        description="open: unknown charge points are created; closed: they are refused with HTTP 404.",
    )
    log_level: LogLevel = Field(LogLevel.INFO, alias="OCPP_LOG_LEVEL", description="Least severe level that is logged.")
    log_format: LogFormat = Field(
        LogFormat.AUTO, alias="OCPP_LOG_FORMAT", description="auto: console on a terminal, JSON lines elsewhere."
    )
    monitor_host: str = Field(
        "0.0.0.0", alias="OCPP_MONITOR_HOST", description="Address of /metrics, /healthz and /readyz."
    )
    monitor_port: int = Field(
        9311, alias="OCPP_MONITOR_PORT", ge=0, le=65535, description="Port of the same; 0 takes a free one and logs it."
    )

    @field_validator("amqp_url")
    @classmethod
    def _readable_amqp_url(cls, value: SecretStr) -> SecretStr:
        BrokerEndpoint.parse(value.get_secret_value())
        return value

    @field_validator("amqp_ca_file")
    @classmethod
    def _usable_roots(cls, value: str) -> str:
        return _usable(TlsFiles(ca_file=value), value)

    @field_validator("amqp_key_file")
    @classmethod
    def _usable_key(cls, value: str, info: ValidationInfo) -> str:
        return _usable(TlsFiles(cert_file=info.data.get("amqp_cert_file", ""), key_file=value), value)

    @property
    def amqp_files(self) -> TlsFiles:
        """The files for amqps."""
        return TlsFiles(self.amqp_ca_file, self.amqp_cert_file, self.amqp_key_file)

    @property
    def amqp_declares(self) -> bool:
        """Whether links declare what processes share."""
        return self.amqp_declare is Declare.ON


def _usable(files: TlsFiles, value: str) -> str:
    problem = files.problem()
    if problem is not None:
        raise ValueError(problem)
    return value


S = TypeVar("S", bound=ProcessSettings)


def check(settings_class: type[S]) -> tuple[S | None, list[str]]:
    """Read the environment: the settings, or None and every problem, a line each and without secret values."""
    problems = list(_unknown(settings_class))
    aliases = {name: str(field.alias) for name, field in settings_class.model_fields.items()}
    try:
        settings = settings_class()
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False, include_context=False):
            variable = ".".join(aliases.get(str(part), str(part)) for part in detail["loc"]) or "settings"
            problems.append(f"{variable}: {detail['msg']}")
        return None, problems
    return (None if problems else settings), problems


def load(settings_class: type[S]) -> S:
    """The settings, or one line per problem on stderr and SystemExit(2)."""
    settings, problems = check(settings_class)
    if settings is None:
        for problem in problems:
            print(problem, file=sys.stderr)  # noqa: T201 - logging is not configured yet
        raise SystemExit(EXIT_BAD_SETTINGS)
    return settings


def check_config(settings_class: type[ProcessSettings]) -> int:
    """What `check-config` does: print the values in force (secrets hidden) and return 0, or fail as `load` does."""
    settings = load(settings_class)
    lines = [
        f"{field.alias}={_shown(getattr(settings, name))}\n    {field.description}"
        for name, field in settings_class.model_fields.items()
    ]
    try:
        print("\n".join(lines), flush=True)  # noqa: T201
    except BrokenPipeError:
        # `| head` has read enough; the interpreter must not find at its exit what could not be written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def variables(settings_class: type[TracingSettings]) -> list[tuple[str, str, str]]:
    """Variable, default and description of every setting, for documentation."""
    rows = []
    for field in settings_class.model_fields.values():
        default = "" if field.default_factory else field.default
        shown = default.get_secret_value() if isinstance(default, SecretStr) else default
        rows.append((str(field.alias), _shown(shown), field.description or ""))
    return rows


def _shown(value: object) -> str:
    return "" if value is None else str(value)


def _unknown(settings_class: type[ProcessSettings]) -> Iterator[str]:
    known = {str(field.alias) for field in settings_class.model_fields.values()}
    # One environment may serve all processes: only a name of a kind that this process has can be a mistake here.
    kinds = {_kind(variable) for variable in known if variable.startswith(PREFIX)}
    for variable in sorted(os.environ):
        ours = variable.startswith(PREFIX) and _kind(variable) in kinds
        if ours and variable not in known and not _service_link(variable):
            yield f"{variable}: no such setting; {_advice(variable, known)}"


def _advice(variable: str, known: set[str]) -> str:
    start = f"{PREFIX}{_kind(variable)}_"  # alike in all, it would make every name of this kind a near one
    rests = [name.removeprefix(start) for name in known if name.startswith(start)]
    nearest = get_close_matches(variable.removeprefix(start), rests, n=1)
    return f"did you mean {start}{nearest[0]}?" if nearest else "docs/settings.md lists those that exist"


def _service_link(variable: str) -> bool:
    services = (
        name.removesuffix("_PORT")
        for name, value in os.environ.items()
        if name.endswith("_PORT") and _SERVICE_URL.match(value)
    )
    return any(
        variable.startswith(service) and _SERVICE_LINK.fullmatch(variable.removeprefix(service)) for service in services
    )


def _kind(variable: str) -> str:
    """The word after the prefix: GATEWAY, WORKER, LOG, ..."""
    return variable.removeprefix(PREFIX).partition("_")[0]
