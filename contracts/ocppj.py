"""OCPP-J framing of 1.6, 2.0.1 and 2.1: text in, typed message or defined refusal out. Pure.

Sources: OCPP-J 1.6 section 4; OCPP 2.0.1 and 2.1 part 4 section 4.
"""

from dataclasses import dataclass, field
from typing import Any

import orjson

from contracts.versions import ErrorKind, Version

CALL, CALL_RESULT, CALL_ERROR, CALL_RESULT_ERROR, SEND = 2, 3, 4, 5, 6

MAX_UNIQUE_ID = 36
TOLERATED_UNIQUE_ID = 128
"""Longer ids than the specification's 36 are echoed up to this length: refusing them would lose billing data."""

MAX_DESCRIPTION = 255
SHORT_CALL_ERROR, ODD_DETAILS = "short_call_error", "odd_details"
UNREADABLE_ID = "-1"


@dataclass(slots=True)  # not frozen, as one is made for every Call: that would take four times as long
class Call:
    """A request. `payload` is the decoded object; `frame` the bytes it came in."""

    unique_id: str
    action: str
    payload: Any
    frame: bytes


@dataclass(frozen=True, slots=True)
class Send:
    """OCPP 2.1 message type 6: a request that is never answered."""

    unique_id: str
    action: str
    payload: Any
    frame: bytes


@dataclass(frozen=True, slots=True)
class CallResult:
    """A reply to a Call."""

    unique_id: str
    payload: Any


@dataclass(frozen=True, slots=True)
class CallError:
    """A refusal of a Call; `code` is kept as sent, any string (real charge points invent some)."""

    unique_id: str
    code: str
    description: str
    details: dict[str, Any]
    deviations: tuple[str, ...] = field(default=(), compare=False)
    """How it deviates from the specification, if it does; gateway.tolerances says whether that is borne."""


@dataclass(frozen=True, slots=True)
class CallResultError:
    """OCPP 2.1 message type 5: our own CallResult was not acceptable to the charge point."""

    unique_id: str
    code: str
    description: str


@dataclass(frozen=True, slots=True)
class BadFrame:
    """A frame that is not OCPP-J. `answer` is the CALLERROR this version demands, or None for silence."""

    reason: str
    answer: bytes | None = None


Message = Call | CallResult | CallError | CallResultError | Send


def decode(frame: str | bytes, version: Version) -> Message | BadFrame:
    """Read one text frame.

    Broken JSON or shape: OCPP 1.6 stays silent unless the Call's id can be read, then FormationViolation;
    2.x answers RpcFrameworkError, with id "-1" where none can be read. Unknown message types are ignored.
    """
    data = frame.encode("utf-8", "surrogatepass") if isinstance(frame, str) else frame
    try:
        message = orjson.loads(data)
    except orjson.JSONDecodeError:
        return _broken("not JSON", None, version)
    if not isinstance(message, list) or not message:
        return _broken("not a JSON array", None, version)
    kind = message[0]
    if type(kind) is not int:
        return _broken("message type is not an integer", None, version)
    unique_id = message[1] if len(message) > 1 else None
    if kind == CALL:
        return _read_call(message, data, version)
    if not isinstance(unique_id, str) or len(unique_id) > TOLERATED_UNIQUE_ID:
        return BadFrame("unreadable unique id in a reply")
    if kind == CALL_RESULT:
        return CallResult(unique_id, message[2]) if len(message) == 3 else BadFrame("CALLRESULT needs 3 elements")
    if kind == CALL_ERROR:
        return _read_error(message, unique_id)
    if version is Version.V21 and kind == CALL_RESULT_ERROR:
        error = _read_error(message, unique_id)
        return error if isinstance(error, BadFrame) else CallResultError(unique_id, error.code, error.description)
    if version is Version.V21 and kind == SEND:
        if len(message) != 4 or not isinstance(message[2], str) or not isinstance(message[3], dict):
            return BadFrame("SEND needs a string action and an object payload")
        return Send(unique_id, message[2], message[3], data)
    return BadFrame("unknown message type")


def _read_call(message: list[Any], data: bytes, version: Version) -> Call | BadFrame:
    unique_id = message[1] if len(message) > 1 else None
    if not isinstance(unique_id, str) or len(unique_id) > TOLERATED_UNIQUE_ID:
        return _broken("unreadable unique id", None, version)
    if len(message) != 4:
        return _broken("CALL needs 4 elements", unique_id, version)
    action, payload = message[2], message[3]
    if not isinstance(action, str) or not action:
        return _broken("action is not a string", unique_id, version)
    if payload is None and version is Version.V16:
        payload = {}  # OCPP-J 1.6 4.2.1: null stands for "no payload"
    if not isinstance(payload, dict):
        return _broken("payload is not an object", unique_id, version)
    return Call(unique_id, action, payload, data)


def _read_error(message: list[Any], unique_id: str) -> CallError | BadFrame:
    # Four elements and odd details are met in the field (see the tolerated deviations); the code is what matters.
    if len(message) not in {4, 5} or not isinstance(message[2], str):
        return BadFrame("CALLERROR needs a string code")
    details = message[4] if len(message) == 5 and isinstance(message[4], dict) else {}
    description = message[3][:MAX_DESCRIPTION] if isinstance(message[3], str) else ""
    deviations: tuple[str, ...] = ()
    if len(message) == 4:
        deviations = (SHORT_CALL_ERROR,)
    elif not isinstance(message[3], str) or not isinstance(message[4], dict):
        deviations = (ODD_DETAILS,)
    return CallError(unique_id, message[2][:64], description, details, deviations)


def no_unique_id(version: Version) -> BadFrame:
    """What a Call without a message id meets where that is not tolerated."""
    return _broken("unreadable unique id", None, version)


def _broken(reason: str, unique_id: str | None, version: Version) -> BadFrame:
    if version is Version.V16:
        if unique_id is None:
            return BadFrame(reason)
        return BadFrame(reason, encode_call_error(unique_id, ErrorKind.FORMAT, version, reason))
    answer_id = UNREADABLE_ID if unique_id is None else unique_id
    return BadFrame(reason, encode_call_error(answer_id, ErrorKind.RPC_FRAMEWORK, version, reason))


def encode_call(unique_id: str, action: str, payload: bytes) -> bytes:
    """A CALL frame around a payload that is JSON already."""
    return b"[2,%b,%b,%b]" % (orjson.dumps(unique_id), orjson.dumps(action), payload)


def encode_send(unique_id: str, action: str, payload: bytes) -> bytes:
    """A SEND frame (OCPP 2.1 part 4, 4.2.5) around a payload that is JSON already."""
    return b"[6,%b,%b,%b]" % (orjson.dumps(unique_id), orjson.dumps(action), payload)


def encode_call_result(unique_id: str, payload: bytes) -> bytes:
    """A CALLRESULT frame around a payload that is JSON already."""
    return b"[3,%b,%b]" % (orjson.dumps(unique_id), payload)


def encode_call_error(
    unique_id: str, kind: ErrorKind, version: Version, description: str = "", details: dict[str, Any] | None = None
) -> bytes:
    """A CALLERROR frame: five elements, the version's own code, description cut to 255 characters."""
    return orjson.dumps([CALL_ERROR, unique_id, kind.code(version), description[:MAX_DESCRIPTION], details or {}])


def encode_call_result_error(unique_id: str, kind: ErrorKind, description: str = "") -> bytes:
    """A CALLRESULTERROR frame (OCPP 2.1 part 4, 4.2.4): answers a CALLRESULT whose payload is invalid."""
    return orjson.dumps([CALL_RESULT_ERROR, unique_id, kind.code(Version.V21), description[:MAX_DESCRIPTION], {}])
