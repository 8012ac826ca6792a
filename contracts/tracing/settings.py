"""Settings of tracing: OpenTelemetry's own environment variables, as far as they are ours to read or to check."""

from enum import StrEnum
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings

from contracts.tracing.sampling import Sampler, Sampling

PROTOCOL = "http/protobuf"


class TracesExporter(StrEnum):
    """Where spans go."""

    NONE = "none"
    OTLP = "otlp"
    CONSOLE = "console"


class TracingSettings(BaseSettings):
    """Tracing is off unless OTEL_TRACES_EXPORTER says otherwise. An empty variable is one that is not set.

    While it is off nobody looks at the others: platforms give them to every process, with what other languages can do.
    """

    traces_exporter: TracesExporter = Field(
        TracesExporter.NONE,
        alias="OTEL_TRACES_EXPORTER",
        description="none: no tracing; otlp: to a collector; console: JSON on standard output.",
    )
    traces_disabled: bool = Field(
        False, alias="OTEL_SDK_DISABLED", description="true: no tracing, whatever the exporter."
    )
    traces_sampler: Sampler | None = Field(
        None,
        alias="OTEL_TRACES_SAMPLER",
        description="always_on, always_off, traceidratio, each also after parentbased_; unset: "
        "parentbased_traceidratio, 1 % if there is no argument either.",
    )
    traces_sampler_arg: float | None = Field(
        None, alias="OTEL_TRACES_SAMPLER_ARG", ge=0, le=1, description="The ratio: share of the traces recorded."
    )
    traces_service_name: str = Field(
        "", alias="OTEL_SERVICE_NAME", description="service.name; unset: the process's own, such as ocpp-gateway."
    )
    traces_resource: str = Field(
        "", alias="OTEL_RESOURCE_ATTRIBUTES", description="Further attributes of the process: name=value, by commas."
    )
    traces_endpoint: SecretStr = Field(
        SecretStr(""),
        alias="OTEL_EXPORTER_OTLP_ENDPOINT",
        description="The collector; unset: http://localhost:4318. /v1/traces is added.",
    )
    traces_own_endpoint: SecretStr = Field(
        SecretStr(""),
        alias="OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        description="The same for traces alone; nothing is added.",
    )
    traces_protocol: str = Field(
        "", alias="OTEL_EXPORTER_OTLP_PROTOCOL", description=f"Only {PROTOCOL}, which is the default."
    )
    traces_own_protocol: str = Field(
        "", alias="OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", description="The same, for traces alone."
    )
    traces_headers: SecretStr = Field(
        SecretStr(""), alias="OTEL_EXPORTER_OTLP_HEADERS", description="Sent to the collector: name=value, by commas."
    )
    traces_own_headers: SecretStr = Field(
        SecretStr(""),
        alias="OTEL_EXPORTER_OTLP_TRACES_HEADERS",
        description="The same for traces alone, instead of them.",
    )

    @field_validator("traces_exporter", mode="before")
    @classmethod
    def _off_when_empty(cls, value: object) -> object:
        return value or TracesExporter.NONE

    @field_validator("traces_disabled", mode="before")
    @classmethod
    def _not_disabled_when_empty(cls, value: object) -> object:
        return value or False

    @field_validator("traces_sampler", "traces_sampler_arg", mode="before")
    @classmethod
    def _none_when_empty_or_off(cls, value: object, info: ValidationInfo) -> object:
        return None if value == "" or _off(info) else value

    @field_validator("traces_protocol", "traces_own_protocol")
    @classmethod
    def _spoken(cls, value: str, info: ValidationInfo) -> str:
        if value not in {"", PROTOCOL} and not _off(info):
            raise ValueError(f"must be {PROTOCOL}")
        return value

    @field_validator("traces_endpoint", "traces_own_endpoint")
    @classmethod
    def _http(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        text = value.get_secret_value()
        try:
            parts = urlsplit(text)
            usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if text and not usable and not _off(info):
            raise ValueError("must be http[s]://host:port")
        return value

    @property
    def traces(self) -> bool:
        """Whether this process records traces."""
        return self.traces_exporter is not TracesExporter.NONE and not self.traces_disabled

    @property
    def sampling(self) -> Sampling:
        """Which ones."""
        return Sampling.of(self.traces_sampler, self.traces_sampler_arg)


def _off(info: ValidationInfo) -> bool:
    """Whether tracing is off, by the two variables that come first."""
    exporter, disabled = info.data.get("traces_exporter"), info.data.get("traces_disabled")
    return exporter is TracesExporter.NONE or disabled is True
