"""Domain events on the topic exchange `ocpp.events`, routing key `<event>.<identity token>` (design, section 5).

Every event comes at least once: drop those whose `event_id` you have seen. `seq` grows by one from event to event of a
charge point, so a gap tells that something was missed. A reader ignores keys and event types that it does not know.
"""

from datetime import datetime
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from contracts.bodies import Body
from contracts.commands import CommandOutcome
from contracts.identity import routing_token


class EventData(BaseModel):
    """What an event of one type tells; `TYPE` names it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    TYPE: ClassVar[str] = ""


class ChargePointBooted(EventData):
    """A BootNotification was answered."""

    TYPE: ClassVar[str] = "charge_point.booted"

    registration: str = Field(description="accepted, pending or rejected.")
    ocpp_version: str
    vendor: str | None = None
    model: str | None = None
    serial_number: str | None = None
    firmware_version: str | None = None
    reason: str | None = None


class ConnectorStatusChanged(EventData):
    """A connector reported a state that it did not have before."""

    TYPE: ClassVar[str] = "connector.status_changed"

    evse_id: int | None = None
    connector_id: int | None = Field(default=None, description="OCPP 1.6: 0 is the charge point as a whole.")
    status: str
    error_code: str | None = None
    vendor_error_code: str | None = None
    info: str | None = None


class TransactionStarted(EventData):
    """A transaction began; for a late message `occurred_at` is when it began, not when we learned of it.

    Of a transaction whose beginning is never heard (2.x: no Started event came) there is only the end.
    """

    TYPE: ClassVar[str] = "transaction.started"

    transaction_id: str = Field(description="1.6: the number that we gave; 2.x: the charge point's own.")
    evse_id: int | None = None
    connector_id: int | None = None
    id_token: str | None = None
    token_status: str | None = Field(default=None, description="What the charge point was told about the token.")
    meter_start_wh: float | None = None
    reservation_id: int | None = None
    remote_start_id: int | None = None
    flags: list[str] = Field(default_factory=list, description="What was irregular.")


class TransactionEnded(EventData):
    """A transaction ended; this is what is billed.

    It comes again, with `corrects` set, when a late message changes what is billed: the newest one counts.
    """

    TYPE: ClassVar[str] = "transaction.ended"

    transaction_id: str
    evse_id: int | None = None
    connector_id: int | None = None
    id_token: str | None = None
    started_at: datetime | None = None
    meter_start_wh: float | None = None
    meter_stop_wh: float | None = None
    energy_wh: float | None = None
    stop_reason: str | None = None
    state: str = Field(
        default="ended", description="ended, or abandoned: the next one began at its place, and its end was not heard."
    )
    corrects: bool = Field(default=False, description="Whether the transaction's end was told before.")
    flags: list[str] = Field(default_factory=list)


class MeterSample(BaseModel):
    """One sampled value, in its normal unit."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    sampled_at: datetime
    measurand: str
    value: float | None = Field(default=None, description="None where it is no number.")
    unit: str | None = None
    phase: str | None = None
    context: str | None = None
    location: str | None = None


class MeterSampled(EventData):
    """The samples of one message."""

    TYPE: ClassVar[str] = "meter.sampled"

    transaction_id: str | None = None
    evse_id: int | None = None
    connector_id: int | None = None
    samples: list[MeterSample]


class FirmwareStatusChanged(EventData):
    """A charge point reported how a firmware update goes."""

    TYPE: ClassVar[str] = "firmware.status_changed"

    status: str = Field(description="The charge point's word.")
    job_id: str | None = Field(default=None, description="The job that it belongs to, when there is one.")
    state: str | None = Field(default=None, description="The job's state now.")
    request_id: int | None = None


class DiagnosticsStatusChanged(EventData):
    """A charge point reported how an upload of its diagnostics or log goes."""

    TYPE: ClassVar[str] = "diagnostics.status_changed"

    status: str
    job_id: str | None = None
    state: str | None = None
    request_id: int | None = None


class SecurityEventReported(EventData):
    """A charge point reported a security event."""

    TYPE: ClassVar[str] = "security.event"

    type: str
    tech_info: str | None = None


class SessionOpened(EventData):
    """A charge point connected, or a gateway that was thought lost with its sessions is back."""

    TYPE: ClassVar[str] = "session.opened"

    gateway: str
    session: str
    epoch: int
    ocpp_version: str
    remote: str


class SessionClosed(EventData):
    """A session ended."""

    TYPE: ClassVar[str] = "session.closed"

    gateway: str
    session: str
    epoch: int
    ocpp_version: str
    remote: str
    code: int | None = Field(default=None, description="The WebSocket close code, when there was one.")
    reason: str = Field(description="`replaced`, `gateway_lost`, or what the gateway said.")


class CommandCompleted(EventData):
    """A tracked command ended."""

    TYPE: ClassVar[str] = "command.completed"

    outcome: CommandOutcome


class CredentialChanged(EventData):
    """A password or security profile of a charge point came into force, or was set by a person; never a secret."""

    TYPE: ClassVar[str] = "credential.changed"

    what: str = Field(description="key or profile.")
    cause: str = Field(description="confirmed: the charge point has come in with it; set: an operator said so.")
    key_id: str | None = Field(default=None, description="The name of the key that is in force now.")
    profile: int | None = Field(default=None, description="The security profile that is in force now.")


EVENTS: dict[str, type[EventData]] = {
    data.TYPE: data
    for data in (
        ChargePointBooted,
        ConnectorStatusChanged,
        TransactionStarted,
        TransactionEnded,
        MeterSampled,
        FirmwareStatusChanged,
        DiagnosticsStatusChanged,
        SecurityEventReported,
        SessionOpened,
        SessionClosed,
        CommandCompleted,
        CredentialChanged,
    )
}


class Event(Body):
    """One event; `data` is as the type's class in EVENTS says."""

    KIND: ClassVar[str] = "event"

    v: Literal[1] = 1
    t: Literal["event"] = "event"
    event_id: str = Field(description="The same at each delivery of the same event.")
    type: str
    identity: str
    seq: int = Field(description="1 for a charge point's first event, then one more each time.")
    occurred_at: datetime = Field(description="When it happened, as the charge point tells where it does; UTC.")
    recorded_at: datetime = Field(description="When it was stored, UTC.")
    data: dict[str, Any]

    def typed(self) -> EventData | None:
        """The data as its type's class; None for a type that this version does not know. Raises ValidationError."""
        known = EVENTS.get(self.type)
        return None if known is None else known.model_validate(self.data)


def event_key(event_type: str, identity: str) -> str:
    """The routing key of an event."""
    return f"{event_type}.{routing_token(identity)}"


def binding_key(event_type: str | None = None, identity: str | None = None) -> str:
    """The key that binds a queue to one kind of event, one charge point, both, or all."""
    return f"{event_type or '*.*'}.{'*' if identity is None else routing_token(identity)}"
