"""OCPP-J frames as a charge point reads and writes them. Pure; written from the specification, not from our gateway."""

from dataclasses import dataclass
from typing import Any

import orjson

_COMMON_CODES = frozenset(
    {
        "NotImplemented",
        "NotSupported",
        "InternalError",
        "ProtocolError",
        "SecurityError",
        "PropertyConstraintViolation",
        "TypeConstraintViolation",
        "GenericError",
        "OccurenceConstraintViolation",
    }
)
ERROR_CODES = {
    "1.6": _COMMON_CODES | {"FormationViolation"},
    # 2.0.1 writes both spellings of the occurrence code in its own text.
    "2.0.1": _COMMON_CODES
    | {"FormatViolation", "OccurrenceConstraintViolation", "MessageTypeNotSupported", "RpcFrameworkError"},
}
_LONGEST_ID = 36
_LONGEST_DESCRIPTION = 255


@dataclass(frozen=True, slots=True)
class Call:
    unique_id: str
    action: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CallResult:
    unique_id: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CallError:
    unique_id: str
    code: str
    description: str
    details: dict[str, Any]
    flaw: str | None = None  # readable, yet against the specification


@dataclass(frozen=True, slots=True)
class Malformed:
    flaw: str


Frame = Call | CallResult | CallError | Malformed


def encode_call(unique_id: str, action: str, payload: dict[str, Any]) -> str:
    """Write a CALL."""
    return orjson.dumps([2, unique_id, action, payload]).decode()


def encode_result(unique_id: str, payload: dict[str, Any]) -> str:
    """Write a CALLRESULT."""
    return orjson.dumps([3, unique_id, payload]).decode()


def encode_error(unique_id: str, code: str, description: str) -> str:
    """Write a CALLERROR without details."""
    return orjson.dumps([4, unique_id, code, description[:_LONGEST_DESCRIPTION], {}]).decode()


def decode(data: str | bytes, version: str) -> Frame:
    """Read one websocket message; whatever the specification forbids the server to send comes back as a flaw."""
    if not isinstance(data, str):
        return Malformed("a binary frame")
    try:
        parts = orjson.loads(data)
    except orjson.JSONDecodeError:
        return Malformed("not JSON")
    if not isinstance(parts, list) or len(parts) < 3 or not isinstance(parts[1], str):
        return Malformed("not an array of type, id and content")
    if not 0 < len(parts[1]) <= _LONGEST_ID:
        return Malformed("message id empty or over 36 characters")
    kind, unique_id = parts[0], parts[1]
    if kind == 2 and len(parts) == 4 and isinstance(parts[2], str) and isinstance(parts[3], dict):
        return Call(unique_id, parts[2], parts[3])
    if kind == 3 and len(parts) == 3 and isinstance(parts[2], dict):
        return CallResult(unique_id, parts[2])
    if kind == 4 and len(parts) == 5 and isinstance(parts[2], str):
        return _call_error(parts, version)
    return Malformed(f"a frame of type {kind!r} with {len(parts)} elements that no specification knows")


def _call_error(parts: list[Any], version: str) -> CallError:
    _, unique_id, code, description, details = parts
    flaw = None
    if code not in ERROR_CODES[version]:
        flaw = f"error code {code!r} is not one of OCPP {version}"
    elif not isinstance(description, str) or len(description) > _LONGEST_DESCRIPTION:
        flaw = "error description is not a text of at most 255 characters"
    elif not isinstance(details, dict):
        flaw = "error details are not an object"
    return CallError(unique_id, code, str(description), details if isinstance(details, dict) else {}, flaw)
