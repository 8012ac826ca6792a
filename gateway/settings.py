"""The gateway's settings; each is an environment variable with a default and a unit in its name."""

import secrets
import socket
from enum import StrEnum
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from gateway.admission_settings import AdmissionSettings
from gateway.masking import Masking
from gateway.tls_settings import TlsSettings
from gateway.validation_settings import ValidationSettings


class FrameLogSwitch(StrEnum):
    """Whether OCPP frames go to the stream `ocpp.frames`."""

    OFF = "off"
    ON = "on"


def default_gateway_id() -> str:
    """Host name and a random suffix: a restarted process is another gateway, as it holds none of the old sockets."""
    host = "".join(char if char.isascii() and char.isalnum() else "-" for char in socket.gethostname())
    return f"{host[:60]}-{secrets.token_hex(3)}"


def _is_http_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, _ = (parts.hostname or "").encode("idna"), parts.port  # both raise, as whoever connects would
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(host) and not parts.query and not parts.fragment


class GatewaySettings(TlsSettings, AdmissionSettings, ValidationSettings):
    """Everything an operator can set on a gateway."""

    gateway_id: str = Field(
        default_factory=default_gateway_id,
        alias="OCPP_GATEWAY_ID",
        pattern=r"^[A-Za-z0-9_.-]{1,80}$",
        description="Unique name of this process in envelopes and routing keys; default: host name, random suffix.",
    )
    amqp_management_url: SecretStr | None = Field(
        None,
        alias="AMQP_MANAGEMENT_URL",
        description="RabbitMQ's management API, http[s]://user:password@host:port; only `declare` uses it.",
    )
    listen_host: str = Field(
        "0.0.0.0", alias="OCPP_GATEWAY_LISTEN_HOST", description="Address on which charge points connect."
    )
    listen_port: int = Field(
        9310, alias="OCPP_GATEWAY_LISTEN_PORT", ge=0, le=65535, description="Port of the same; 0 takes a free one."
    )
    listen_backlog: int = Field(
        1024,
        alias="OCPP_GATEWAY_LISTEN_BACKLOG",
        ge=1,
        le=65535,
        description="Connections the kernel holds unaccepted.",
    )
    endpoint_path: str = Field(
        "/ocpp", alias="OCPP_GATEWAY_ENDPOINT_PATH", description="Path before the identity: ws://host:port/ocpp/CP-1."
    )

    max_connections: int = Field(
        50_000, alias="OCPP_GATEWAY_MAX_CONNECTIONS", ge=1, description="Sockets beyond this are refused with HTTP 503."
    )
    max_frame_bytes: int = Field(
        1024 * 1024,
        alias="OCPP_GATEWAY_MAX_FRAME_BYTES",
        ge=1024,
        le=3 * 1024 * 1024,
        description="Largest message, decompressed and reassembled; beyond it close code 1009.",
    )
    write_buffer_bytes: int = Field(
        256 * 1024,
        alias="OCPP_GATEWAY_WRITE_BUFFER_BYTES",
        ge=4096,
        description="Unsent bytes per socket above which it is no longer read; four times as many end it.",
    )
    compression: bool = Field(
        True,
        alias="OCPP_GATEWAY_COMPRESSION",
        description="Take permessage-deflate when an OCPP 2.x station offers it.",
    )
    handshake_timeout_seconds: float = Field(
        10.0, alias="OCPP_GATEWAY_HANDSHAKE_TIMEOUT_SECONDS", gt=0, description="Time for the whole opening handshake."
    )
    close_timeout_seconds: float = Field(
        5.0, alias="OCPP_GATEWAY_CLOSE_TIMEOUT_SECONDS", gt=0, description="Time a peer has to answer a close frame."
    )
    ping_interval_seconds: float = Field(
        60.0,
        alias="OCPP_GATEWAY_PING_INTERVAL_SECONDS",
        ge=0,
        description="Keepalive pings; 0 sends none and closes none.",
    )
    missed_pings: int = Field(
        3,
        alias="OCPP_GATEWAY_MISSED_PINGS",
        ge=0,
        description="Ping intervals without a byte from the peer after which it is gone; 0 never gives up.",
    )
    retry_after_seconds: int = Field(
        15,
        alias="OCPP_GATEWAY_RETRY_AFTER_SECONDS",
        ge=1,
        description="Retry-After of HTTP 503, up to twice as much by chance.",
    )

    call_timeout_seconds: float = Field(
        30.0, alias="OCPP_GATEWAY_CALL_TIMEOUT_SECONDS", gt=0, description="Time for a worker to answer a Call."
    )
    command_timeout_seconds: float = Field(
        30.0,
        alias="OCPP_GATEWAY_COMMAND_TIMEOUT_SECONDS",
        gt=0,
        description="Time for a charge point to answer a command.",
    )
    pending_calls: int = Field(
        8,
        alias="OCPP_GATEWAY_PENDING_CALLS",
        ge=1,
        le=1000,
        description="Calls that wait per session before it is not read.",
    )
    waiting_commands: int = Field(
        16,
        alias="OCPP_GATEWAY_WAITING_COMMANDS",
        ge=1,
        le=1000,
        description="Commands that wait per session; more are rejected.",
    )
    window_calls: int = Field(
        20_000,
        alias="OCPP_GATEWAY_WINDOW_CALLS",
        ge=1,
        description="Calls in flight per process before no socket is read.",
    )
    window_bytes: int = Field(
        256 * 1024 * 1024,
        alias="OCPP_GATEWAY_WINDOW_BYTES",
        ge=1024,
        description="The same bound in bytes of envelopes.",
    )
    outcomes_kept: int = Field(
        20_000, alias="OCPP_GATEWAY_OUTCOMES_KEPT", ge=1, description="Command outcomes kept while the broker is away."
    )

    heartbeat_seconds: float = Field(
        2.0,
        alias="OCPP_GATEWAY_HEARTBEAT_SECONDS",
        ge=0.1,
        le=60,
        description="How often the gateway says that it lives; silent for three of these it counts as lost.",
    )

    frame_log: FrameLogSwitch = Field(
        FrameLogSwitch.ON,
        alias="OCPP_GATEWAY_FRAME_LOG",
        description="on: every OCPP frame is logged to the stream ocpp.frames; off: none.",
    )
    frame_log_share: float = Field(
        1.0,
        alias="OCPP_GATEWAY_FRAME_LOG_SHARE",
        ge=0,
        le=1,
        description="Share of the charge points whose frames are logged; each is logged wholly or not at all.",
    )
    frame_log_mask: Masking = Field(
        Masking.ALL,
        alias="OCPP_GATEWAY_FRAME_LOG_MASK",
        description="all: credentials, idTags and idTokens are masked; credentials: only those; none: nothing.",
    )

    drain_grace_seconds: float = Field(
        30.0, alias="OCPP_GATEWAY_DRAIN_GRACE_SECONDS", gt=0, description="SIGTERM to exit, at the latest."
    )
    drain_closes_per_second: float = Field(
        200.0,
        alias="OCPP_GATEWAY_DRAIN_CLOSES_PER_SECOND",
        gt=0,
        description="Pace of closing sockets while draining; faster when the grace time would not do.",
    )

    @field_validator("amqp_management_url")
    @classmethod
    def _readable_management_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        if not _is_http_url(value.get_secret_value()):
            raise ValueError("must be http[s]://user:password@host:port; percent-encode the password")
        return value

    @model_validator(mode="after")
    def _held_shorter_than_given_up(self) -> Self:
        if self.flap_delay_seconds >= self.handshake_timeout_seconds:
            raise ValueError("OCPP_GATEWAY_FLAP_DELAY_SECONDS must be less than OCPP_GATEWAY_HANDSHAKE_TIMEOUT_SECONDS")
        return self

    @field_validator("endpoint_path")
    @classmethod
    def _path(cls, value: str) -> str:
        if not value.startswith("/") or "?" in value or "%" in value:
            raise ValueError("a path starts with a slash and has no query or percent escape")
        return value
