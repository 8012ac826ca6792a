"""Who is let in, and how many at once: settings of the gateway."""

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from contracts.envelope import MOST_PROFILE
from contracts.process.settings import ProcessSettings, Registration


class Authentication(StrEnum):
    """Whether charge points are looked up and must show what is on record."""

    ON = "on"
    OFF = "off"


class AdmissionSettings(ProcessSettings):
    """A part of GatewaySettings."""

    authentication: Authentication = Field(
        Authentication.ON,
        alias="OCPP_GATEWAY_AUTHENTICATION",
        description="on: who connects is judged by its record; off: everyone is let in unasked, for closed networks.",
    )
    min_security_profile: int = Field(
        0,
        alias="OCPP_GATEWAY_MIN_SECURITY_PROFILE",
        ge=0,
        le=MOST_PROFILE,
        description="Least security profile of everyone, whatever is on record: 1 password, 2 and TLS, 3 certificate.",
    )
    admission_cache_seconds: float = Field(
        30.0,
        alias="OCPP_GATEWAY_ADMISSION_CACHE_SECONDS",
        ge=0,
        description="How long a record is used without asking again; changes are told at once all the same.",
    )
    admission_stale_seconds: float = Field(
        3600.0,
        alias="OCPP_GATEWAY_ADMISSION_STALE_SECONDS",
        ge=0,
        description="How long a known record still serves while no worker answers; 0: not at all.",
    )
    admission_timeout_seconds: float = Field(
        5.0, alias="OCPP_GATEWAY_ADMISSION_TIMEOUT_SECONDS", gt=0, description="Time for the answer: who is this?"
    )

    handshakes_per_second: float = Field(
        500.0,
        alias="OCPP_GATEWAY_HANDSHAKES_PER_SECOND",
        ge=0,
        description="Requests judged per process, and twice as many at once; more get HTTP 503. 0: no limit.",
    )
    handshakes_per_second_per_address: float = Field(
        200.0,
        alias="OCPP_GATEWAY_HANDSHAKES_PER_SECOND_PER_ADDRESS",
        ge=0,
        description=(
            "The same of one address (IPv6: /64). Many charge points share one behind a carrier's NAT: 20,000 that come"
            " back at once are in after 2 to 5 minutes. OCPP_GATEWAY_PROXIES that tell no address are not counted here."
        ),
    )
    open_handshakes: int = Field(
        2000,
        alias="OCPP_GATEWAY_OPEN_HANDSHAKES",
        ge=0,
        description="Connections that are opening at once; more are dropped before TLS. 0: no limit.",
    )
    open_handshakes_per_address: int = Field(
        200, alias="OCPP_GATEWAY_OPEN_HANDSHAKES_PER_ADDRESS", ge=0, description="The same of one address (IPv6: /64)."
    )

    failed_auth_first_seconds: float = Field(
        1.0,
        alias="OCPP_GATEWAY_FAILED_AUTH_FIRST_SECONDS",
        ge=0,
        description="Wait after a wrong password, doubled with each: HTTP 503 without a look at the next one. 0: none.",
    )
    failed_auth_most_seconds: float = Field(
        300.0, alias="OCPP_GATEWAY_FAILED_AUTH_MOST_SECONDS", ge=0, description="The longest such wait."
    )
    failed_auth_half_life_seconds: float = Field(
        600.0,
        alias="OCPP_GATEWAY_FAILED_AUTH_HALF_LIFE_SECONDS",
        gt=0,
        description="Time without a wrong password after which half of them are forgotten.",
    )
    failed_auth_per_identity: int = Field(
        20,
        alias="OCPP_GATEWAY_FAILED_AUTH_PER_IDENTITY",
        ge=1,
        description="Wrong passwords of one identity, from anywhere, before each means a long wait where it failed.",
    )
    failed_auth_per_address: int = Field(
        100,
        alias="OCPP_GATEWAY_FAILED_AUTH_PER_ADDRESS",
        ge=1,
        description="Wrong passwords from one address before each means a long wait of its identity there.",
    )

    reconnects_per_minute: float = Field(
        10.0,
        alias="OCPP_GATEWAY_RECONNECTS_PER_MINUTE",
        ge=0,
        description="Sessions that one identity may open, and as many at once; further ones are held. 0: no limit.",
    )
    flap_delay_seconds: float = Field(
        5.0,
        alias="OCPP_GATEWAY_FLAP_DELAY_SECONDS",
        gt=0,
        description="How long they are held before the upgrade is answered; less than the handshake timeout.",
    )

    frames_per_second: float = Field(
        20.0,
        alias="OCPP_GATEWAY_FRAMES_PER_SECOND",
        ge=0,
        description=(
            "Messages of one session, and ten times as many at once; beyond it the socket is left unread. A charge"
            " point that empties its offline queue waits for each answer, so sends some 5 to 20 per second:"
            " 200 pass at once, a faster one is slowed to this rate, and none that waits for answers is closed."
            " 0: no limit."
        ),
    )
    bytes_per_second: float = Field(
        65536.0,
        alias="OCPP_GATEWAY_BYTES_PER_SECOND",
        ge=0,
        description=(
            "The same in bytes of messages, and 16 times as many at once: the largest message passes. The queued"
            " transactions of days offline are a few hundred messages of 1 to 2 kB. 0: no limit."
        ),
    )
    throttled_close_seconds: float = Field(
        60.0,
        alias="OCPP_GATEWAY_THROTTLED_CLOSE_SECONDS",
        gt=0,
        description="A session over its rate for so long, with more waiting whenever looked at, is closed with 1008.",
    )

    @model_validator(mode="after")
    def _asked_for_or_not(self) -> Self:
        if self.authentication is Authentication.OFF:
            if self.registration is Registration.CLOSED:
                raise ValueError("OCPP_REGISTRATION=closed needs OCPP_GATEWAY_AUTHENTICATION=on: who is on record?")
            if self.min_security_profile:
                raise ValueError("OCPP_GATEWAY_MIN_SECURITY_PROFILE needs OCPP_GATEWAY_AUTHENTICATION=on")
        return self
