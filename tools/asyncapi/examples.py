"""One real object for each message, whose bytes are what the processes themselves would read."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgpack
import orjson

from contracts.announcements import Announcement, Closed, Heartbeat, Opened, SnapshotRequest
from contracts.bodies import Body
from contracts.commands import CommandOutcome, CommandReceipt, CommandRequest, TrackedState
from contracts.envelope import (
    AdmissionQuery,
    AdmissionVerdict,
    CallEnvelope,
    CommandEnvelope,
    JobReceipt,
    JobRequest,
    OutcomeEnvelope,
    OutcomeKind,
    ReplyEnvelope,
)
from contracts.events import (
    ChargePointBooted,
    CommandCompleted,
    ConnectorStatusChanged,
    CredentialChanged,
    DiagnosticsStatusChanged,
    Event,
    EventData,
    FirmwareStatusChanged,
    MeterSample,
    MeterSampled,
    SecurityEventReported,
    SessionClosed,
    SessionOpened,
    TransactionEnded,
    TransactionStarted,
)
from contracts.frame_log import Direction, LoggedFrame, decode_frames, encode_frames
from contracts.operator import Operation, OperatorAnswer, OperatorRequest
from contracts.versions import Version

IDENTITY, GATEWAY, SESSION = "DE-CP-0042", "gateway-2", "8c1d4f9a"
COMMAND_ID = "0b9f4c1e-6f0d-4a53-9a36-3d1c6d1f7a10"
NOW = datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)


@dataclass(frozen=True, slots=True)
class FrameBatch:
    """Frames that one gateway read and wrote, in the order in which it did; keys and passwords in them are masked."""

    gateway: str
    frames: tuple[LoggedFrame, ...]

    def encode(self) -> bytes:
        """The msgpack body."""
        return encode_frames(self.gateway, self.frames)

    @classmethod
    def decode(cls, body: bytes) -> "FrameBatch":
        """Read a body; raises EnvelopeError."""
        gateway, frames = decode_frames(body)
        return cls(gateway, tuple(frames))


COMMAND = CommandRequest(
    command_id=COMMAND_ID,
    action="RemoteStopTransaction",
    payload={"transactionId": 4711},
    deadline_ms=NOW_MS + 30_000,
)
OUTCOME = CommandOutcome(
    command_id=COMMAND_ID,
    identity=IDENTITY,
    action=COMMAND.action,
    outcome=OutcomeKind.RESULT,
    payload={"status": "Accepted"},
    gateway=GATEWAY,
    session=SESSION,
    attempts=1,
    queued_ms=NOW_MS + 4,
    dispatched_ms=NOW_MS + 5,
    sent_ms=NOW_MS + 7,
    answered_ms=NOW_MS + 187,
)
TRACKED = OUTCOME.model_copy(update={"tracked": True})
RECEIPT = CommandReceipt(command_id=COMMAND_ID, identity=IDENTITY, state=TrackedState.HELD)
OPERATOR_REQUEST = OperatorRequest(operation=Operation.COMMAND, arguments={"command_id": COMMAND_ID})
OPERATOR_ANSWER = OperatorAnswer(
    ok=True,
    items=[
        {
            "command_id": COMMAND_ID,
            "identity": IDENTITY,
            "action": COMMAND.action,
            "state": TrackedState.HELD.value,
            "outcome": None,
            "reason": None,
            "attempts": 0,
            "created_at": "2026-03-14T09:26:53Z",
            "deadline_at": "2026-03-15T09:26:53Z",
            "ended_at": None,
            "result": None,
        }
    ],
)
JOB_REQUEST = JobRequest(
    "firmware-2026-03-0042",
    IDENTITY,
    "UpdateFirmware",
    orjson.dumps({"location": "https://files.example.com/fw-1.4.2.bin", "retrieveDate": "2026-03-14T22:00:00Z"}),
    NOW_MS + 24 * 3600 * 1000,
)
JOB_RECEIPT = JobReceipt(JOB_REQUEST.job_id, accepted=True)

EVENT_DATA: tuple[EventData, ...] = (
    ChargePointBooted(
        registration="accepted",
        ocpp_version="1.6",
        vendor="VendorX",
        model="Wallbox 22",
        serial_number="SN-0042",
        firmware_version="1.4.1",
    ),
    ConnectorStatusChanged(connector_id=1, status="Faulted", error_code="GroundFailure", vendor_error_code="E17"),
    TransactionStarted(
        transaction_id="4711", connector_id=1, id_token="04A2B3C4", token_status="Accepted", meter_start_wh=120400.0
    ),
    TransactionEnded(
        transaction_id="4711",
        connector_id=1,
        id_token="04A2B3C4",
        started_at=datetime(2026, 3, 14, 8, 2, 11, tzinfo=UTC),
        meter_start_wh=120400.0,
        meter_stop_wh=141250.0,
        energy_wh=20850.0,
        stop_reason="Remote",
    ),
    MeterSampled(
        transaction_id="4711",
        connector_id=1,
        samples=[
            MeterSample(
                sampled_at=NOW, measurand="Energy.Active.Import.Register", value=130825.0, unit="Wh",
                context="Sample.Periodic", location="Outlet",
            )
        ],
    ),
    FirmwareStatusChanged(status="Downloading", job_id=JOB_REQUEST.job_id, state="running"),
    DiagnosticsStatusChanged(status="Uploaded", job_id="logs-2026-03-0042", state="succeeded"),
    SecurityEventReported(type="SettingSystemTime", tech_info="clock moved by 3600 s"),
    SessionOpened(gateway=GATEWAY, session=SESSION, epoch=NOW_MS, ocpp_version="1.6", remote="192.0.2.17"),
    SessionClosed(
        gateway=GATEWAY, session=SESSION, epoch=NOW_MS, ocpp_version="1.6", remote="192.0.2.17", code=1006,
        reason="connection lost",
    ),
    CommandCompleted(outcome=TRACKED),
    CredentialChanged(what="key", cause="confirmed", key_id="3f9a0c51b2d7"),
)  # fmt: skip

_COMMAND_ENVELOPE = CommandEnvelope(
    COMMAND_ID, IDENTITY, COMMAND.action, orjson.dumps(COMMAND.payload), COMMAND.deadline_ms
)
_CALL = b'[2,"17","Heartbeat",{}]'
INTERNAL: tuple[Any, ...] = (
    CallEnvelope(IDENTITY, Version.V16, GATEWAY, SESSION, NOW_MS - 60_000, "17", "Heartbeat", _CALL, NOW_MS),
    ReplyEnvelope(b'{"currentTime":"2026-03-14T09:26:53Z"}'),
    AdmissionQuery(IDENTITY, GATEWAY),
    AdmissionVerdict(IDENTITY, known=True),
    _COMMAND_ENVELOPE,
    OutcomeEnvelope(
        COMMAND_ID, IDENTITY, OutcomeKind.RESULT, GATEWAY, SESSION, b'{"status":"Accepted"}',
        sent_ms=NOW_MS + 7, answered_ms=NOW_MS + 187,
    ),
    Announcement(
        GATEWAY,
        opened=(Opened(IDENTITY, SESSION, NOW_MS, Version.V16, "192.0.2.17", NOW_MS),),
        closed=(Closed("DE-CP-0043", "77ab01c2", NOW_MS - 90_000, NOW_MS, 1006, "connection lost"),),
    ),
    Heartbeat(GATEWAY, sessions=18204, epoch=NOW_MS, interval_ms=2000),
    SnapshotRequest("commands-1"),
)  # fmt: skip
FRAMES = FrameBatch(
    GATEWAY,
    (
        LoggedFrame(NOW_MS, IDENTITY, SESSION, Direction.IN, _CALL),
        LoggedFrame(NOW_MS + 9, IDENTITY, SESSION, Direction.OUT, b'[3,"17",{"currentTime":"2026-03-14T09:26:53Z"}]'),
    ),
)


def event_of(data: EventData, seq: int) -> Event:
    """An event with these data."""
    return Event(
        event_id=str(uuid.uuid5(uuid.NAMESPACE_OID, data.TYPE)),
        type=data.TYPE,
        identity=IDENTITY,
        seq=seq,
        occurred_at=NOW,
        recorded_at=NOW,
        data=data.model_dump(mode="json"),
    )


def payload_of(example: Any) -> dict[str, Any]:
    """The map that goes over the wire, bytes as the text that they hold."""
    if isinstance(example, Body):
        return example.model_dump(mode="json")
    readable: dict[str, Any] = _texts(msgpack.unpackb(example.encode()))
    return readable


def _texts(value: Any) -> Any:
    match value:
        case bytes():
            return value.decode()
        case list():
            return [_texts(entry) for entry in value]
        case dict():
            return {key: _texts(entry) for key, entry in value.items()}
        case _:
            return value
