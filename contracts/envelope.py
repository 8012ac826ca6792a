"""Versioned msgpack envelopes: the bodies of every delivery between gateways and workers.

Each is a map `{"v": 1, "t": <type>, ...}`; unknown keys are ignored so that a newer sender can add some,
another `v` is refused. The identity is set by the gateway and never read from an OCPP payload.
"""

from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields
from enum import StrEnum
from typing import Any, ClassVar, Self

import msgpack
import orjson

from contracts.errors import EnvelopeError
from contracts.versions import ErrorKind, Version

FORMAT_VERSION = 1
MAX_BYTES = 4 * 1024 * 1024

_pack: Callable[[Any], bytes] = msgpack.Packer().pack
"""One for all: each has a buffer of 256 KB, which would be taken and given back with every message."""

MOST_PROFILE = 3

NOT_HERE = "not_here"
"""The error code of an `offline` outcome whose gateway does not hold the session: for the commands service alone."""


class MessagePolicy(StrEnum):
    """What becomes of signed OCPP messages of a charge point (2.x part 4, section on signed messages)."""

    OFF = "off"
    """A signed action is one that nobody serves."""
    VERIFY = "verify"
    """A signed message must verify; unsigned ones are taken too."""
    REQUIRE = "require"
    """Only signed messages that verify are taken."""


class Envelope:
    """What all envelopes share: encoding, bounds, and the check of type and format version. All are dataclasses.

    Those of every Call are not frozen: to set the fields of a frozen one takes four times as long.
    """

    __slots__ = ()

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    TYPE: ClassVar[str] = ""

    def encode(self) -> bytes:
        """The msgpack body."""
        body: dict[str, Any] = {"v": FORMAT_VERSION, "t": self.TYPE}
        for name, _, _ in _layout(type(self)):
            body[name] = getattr(self, name)
        return _pack(body)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read a body; raises EnvelopeError, naming what is wrong, and nothing else."""
        if len(body) > MAX_BYTES:
            raise EnvelopeError(f"envelope of {len(body)} bytes is over the bound of {MAX_BYTES}")
        try:
            content = msgpack.unpackb(body, max_map_len=64, max_array_len=64, max_ext_len=0)
        except (ValueError, TypeError, RecursionError) as error:
            raise EnvelopeError(f"not msgpack: {type(error).__name__}") from error
        if not isinstance(content, dict) or type(content.get("v")) is not int or content["v"] != FORMAT_VERSION:
            raise EnvelopeError(f"not an envelope of format {FORMAT_VERSION}")
        if content.get("t") != cls.TYPE:
            raise EnvelopeError(f"expected an envelope of type {cls.TYPE}")
        values = {}
        for name, kinds, optional in _layout(cls):
            value = content.get(name, _ABSENT)
            # The exact type: bool is an int to Python, never to us.
            if type(value) not in kinds:
                if value is not _ABSENT:
                    raise EnvelopeError(f"{cls.TYPE} envelope has a {name} of the wrong type")
                if optional:
                    continue  # an older sender does not know it yet
                raise EnvelopeError(f"{cls.TYPE} envelope lacks {name}")
            if type(value) is list:
                if not all(isinstance(item, str) for item in value):
                    raise EnvelopeError(f"{cls.TYPE} envelope has a {name} of the wrong type")
                value = tuple(value)
            values[name] = value
        try:
            return cls(**values)
        except ValueError as error:
            raise EnvelopeError(f"{cls.TYPE} envelope has a value outside its enumeration") from error


_ABSENT = object()
_KINDS: dict[Any, tuple[type, ...]] = {
    str: (str,),
    int: (int,),
    bytes: (bytes,),
    bool: (bool,),
    str | None: (str, type(None)),
    int | None: (int, type(None)),
    tuple[str, ...]: (list,),
}


Layout = tuple[tuple[str, tuple[type, ...], bool], ...]
_LAYOUTS: dict[type[Envelope], Layout] = {}


def _layout(cls: type[Envelope]) -> Layout:
    """Name, types on the wire, and whether it may be missing, of each field."""
    layout = _LAYOUTS.get(cls)
    if layout is None:
        layout = tuple((known.name, _kinds(known.type), known.default is not MISSING) for known in fields(cls))
        _LAYOUTS[cls] = layout
    return layout


def _kinds(annotation: Any) -> tuple[type, ...]:
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return (str,)
    return _KINDS[annotation]


@dataclass(slots=True)
class CallEnvelope(Envelope):
    """A charge point's Call (or OCPP 2.1 SEND) on its way to a worker. `frame` is what the charge point sent."""

    TYPE: ClassVar[str] = "call"

    identity: str
    version: Version
    gateway: str
    session: str
    epoch: int
    """Milliseconds since 1970 at which the session was accepted; the larger epoch is the newer session."""
    unique_id: str
    action: str
    frame: bytes
    received_ms: int
    """Milliseconds since 1970 (UTC) at which the gateway received the frame."""
    violation_kind: str | None = None
    violation: str | None = None
    certificate_name: str | None = None
    """The common name of the client certificate that the session was let in with, if any."""
    signed_by: str | None = None
    """The thumbprint of the key whose signature over the message was verified, if it was signed."""

    def __post_init__(self) -> None:
        if type(self.version) is not Version:  # text, as it came off the wire
            self.version = Version(self.version)

    def payload(self) -> dict[str, Any]:
        """The decoded payload; a 1.6 `null` is an empty one. Raises EnvelopeError when the frame holds none."""
        try:
            payload = orjson.loads(self.frame)[3]
        except (orjson.JSONDecodeError, IndexError, KeyError, TypeError) as error:
            raise EnvelopeError("call envelope holds no OCPP-J frame") from error
        if payload is None:
            return {}
        if not isinstance(payload, dict):
            raise EnvelopeError("call envelope holds no payload object")
        return payload


def encode_call(
    identity: str,
    version: Version,
    gateway: str,
    session: str,
    epoch: int,
    unique_id: str,
    action: str,
    frame: bytes,
    received_ms: int,
    violation_kind: str | None,
    violation: str | None,
    certificate_name: str | None,
    signed_by: str | None,
) -> bytes:
    """The body of a CallEnvelope of these values, in a third of the time: gateways make one for every Call."""
    return _pack(
        {
            "v": FORMAT_VERSION,
            "t": CallEnvelope.TYPE,
            "identity": identity,
            "version": version,
            "gateway": gateway,
            "session": session,
            "epoch": epoch,
            "unique_id": unique_id,
            "action": action,
            "frame": frame,
            "received_ms": received_ms,
            "violation_kind": violation_kind,
            "violation": violation,
            "certificate_name": certificate_name,
            "signed_by": signed_by,
        }
    )


@dataclass(slots=True)
class ReplyEnvelope(Envelope):
    """A worker's answer to a Call: a payload (JSON), or an error when `error_kind` is set."""

    TYPE: ClassVar[str] = "reply"

    payload: bytes = b"{}"
    error_kind: str | None = None
    description: str = ""
    close: bool = False
    """The gateway is to end the session once this is sent (close code 1008)."""

    def __post_init__(self) -> None:
        if self.error_kind is not None:
            self.error_kind = ErrorKind(self.error_kind)

    @property
    def error(self) -> ErrorKind | None:
        return None if self.error_kind is None else ErrorKind(self.error_kind)


@dataclass(frozen=True, slots=True)
class CommandEnvelope(Envelope):
    """A request for a charge point, sent to the gateway that holds its session."""

    TYPE: ClassVar[str] = "command"

    command_id: str
    """Unique for ever; a gateway never sends the same one twice on one session. Also the OCPP unique id."""
    identity: str
    action: str
    payload: bytes
    """JSON object, checked against the session's OCPP version before it is sent."""
    deadline_ms: int
    """Milliseconds since 1970 after which it must not be sent any more."""
    session: str | None = None
    """When set, only this session may receive it."""
    again: bool = False
    """It may have been dispatched before by somebody who died: a gateway that does not know it must not send it."""


class OutcomeKind(StrEnum):
    """How a command ended; exactly one per command (design, section 4)."""

    RESULT = "result"
    CALL_ERROR = "call_error"
    REJECTED = "rejected"
    OFFLINE = "offline"
    EXPIRED = "expired"
    TIMEOUT = "timeout"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class OutcomeEnvelope(Envelope):
    """What became of a command."""

    TYPE: ClassVar[str] = "outcome"

    command_id: str
    identity: str
    kind: OutcomeKind
    gateway: str
    session: str | None = None
    payload: bytes = b"{}"
    """The charge point's CALLRESULT payload (JSON) when the kind is `result`."""
    error_code: str | None = None
    """The CALLERROR code when the kind is `call_error`; else the reason as a short machine word."""
    description: str = ""
    sent_ms: int | None = None
    answered_ms: int | None = None
    details: bytes = b"{}"
    """The CALLERROR's details (JSON) when the kind is `call_error`; the violation, of a `result` that is taken."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", OutcomeKind(self.kind))


@dataclass(frozen=True, slots=True)
class AdmissionQuery(Envelope):
    """A gateway asks what is on record about an identity that wants to connect."""

    TYPE: ClassVar[str] = "admission-query"

    identity: str
    gateway: str


@dataclass(frozen=True, slots=True)
class AdmissionVerdict(Envelope):
    """The answer to an AdmissionQuery: the record by which the gateway itself judges each handshake.

    It holds salted hashes and public keys, never a password. `repr` leaves the hashes out all the same.
    """

    TYPE: ClassVar[str] = "admission-verdict"

    identity: str
    known: bool
    profile: int = 0
    """The security profile on record, 0 to 3: nothing below it is let in (OCPP 2.0.1 part 2, A05)."""
    target_profile: int | None = None
    """A higher profile that the charge point was told to take: a gateway reports when it has come with it."""
    keys: tuple[str, ...] = field(default=(), repr=False)
    """Its passwords as `contracts.credentials.StoredKey` writes them: the one in force, and those it may have taken."""
    certificate_name: str = ""
    """What its client certificate is issued to, if that is not the identity (2.x: its serial number, A00.FR.405)."""
    vendor: str = ""
    model: str = ""
    """As its last BootNotification told: validation policies go by them."""
    message_policy: str = MessagePolicy.OFF
    message_keys: tuple[str, ...] = ()
    """Certificates or public keys (PEM) that its signed messages are verified with."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "message_policy", MessagePolicy(self.message_policy))
        if not 0 <= self.profile <= MOST_PROFILE:
            raise ValueError("there is no such security profile")


@dataclass(frozen=True, slots=True)
class AdmissionNotice(Envelope):
    """A gateway tells what a charge point has come in with: a new password, or a higher profile, is now in force."""

    TYPE: ClassVar[str] = "admission-notice"

    identity: str
    gateway: str
    profile: int
    """The security profile of the session that was accepted."""
    at_ms: int
    key_id: str | None = None
    """The password that it used, if it used one."""


@dataclass(frozen=True, slots=True)
class AdmissionChanged(Envelope):
    """What is on record of an identity has changed: gateways forget what they know of it; without one, of all."""

    TYPE: ClassVar[str] = "admission-changed"

    identity: str | None = None


@dataclass(frozen=True, slots=True)
class JobRequest(Envelope):
    """A backend asks a service to run a job on a charge point: a firmware update or a log upload."""

    TYPE: ClassVar[str] = "job-request"

    job_id: str
    """Chosen by the requester; the same id again is the same job."""
    identity: str
    action: str
    payload: bytes
    """JSON object: the action's OCPP request; `requestId` is filled in by the service where the action has one."""
    deadline_ms: int


@dataclass(frozen=True, slots=True)
class JobReceipt(Envelope):
    """The answer to a JobRequest, sent once the job is stored (or refused)."""

    TYPE: ClassVar[str] = "job-receipt"

    job_id: str
    accepted: bool
    reason: str = ""
