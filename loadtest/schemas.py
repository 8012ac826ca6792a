"""Between the `ocpp` package's dataclasses and JSON, and its schemas applied to what the server sends."""

import decimal
import json
import re
from dataclasses import fields
from datetime import datetime
from enum import Enum
from functools import lru_cache
from typing import Any

from ocpp.charge_point import snake_to_camel_case
from ocpp.messages import MessageType, get_validator

# The package reads these schemas with decimals, because their limits are multiples of 0.1.
_DECIMAL_CALLS = frozenset({"SetChargingProfile", "RemoteStartTransaction"})
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_MOST_DECIMALS = 3
_PLAIN = frozenset({str, int, float, bool})


@lru_cache(maxsize=4096)
def _camel(name: str) -> str:
    (camel,) = snake_to_camel_case({name: None})
    return str(camel)


def to_payload(value: Any) -> Any:
    """Turn a payload dataclass of the `ocpp` package into JSON data: camelCase keys, optional fields left out."""
    kind = type(value)
    if kind in _PLAIN or value is None:
        return value
    if issubclass(kind, Enum):
        return value.value
    if issubclass(kind, dict):
        return {_camel(key): to_payload(item) for key, item in value.items() if item is not None}
    if issubclass(kind, list | tuple):
        return [to_payload(item) for item in value]
    pairs = ((camel, getattr(value, name)) for name, camel in _field_names(kind))
    return {camel: to_payload(item) for camel, item in pairs if item is not None}


_known_fields: dict[type, list[tuple[str, str]]] = {}


def _field_names(kind: Any) -> list[tuple[str, str]]:
    names = _known_fields.get(kind)
    if names is None:
        names = _known_fields[kind] = [(field.name, _camel(field.name)) for field in fields(kind)]
    return names


def request_flaw(action: str, payload: dict[str, Any], version: str) -> str | None:
    """Say what is wrong with a Call of the server, or None. About 170 µs."""
    return _flaw(MessageType.Call, action, payload, version)


def response_flaw(action: str, payload: dict[str, Any], version: str) -> str | None:
    """Say what is wrong with the server's answer to `action`, or None; its time is checked too, as no schema does."""
    flaw = _flaw(MessageType.CallResult, action, payload, version)
    if flaw is None and "currentTime" in payload:
        return date_time_flaw(payload["currentTime"], version)
    return flaw


def date_time_flaw(text: str, version: str) -> str | None:
    """Say what is wrong with a date-time of the server, or None. OCPP 2.x allows UTC with at most 3 decimals only."""
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        return f"{text!r} is no RFC 3339 date-time"
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return f"{text!r} is no real date-time"
    if version != "1.6" and (match[2] != "Z" or len(match[1] or ".") - 1 > _MOST_DECIMALS):
        return f"{text!r} is not in UTC with at most 3 decimals"
    return None


def _flaw(kind: int, action: str, payload: dict[str, Any], version: str) -> str | None:
    with_decimals = version == "1.6" and kind == MessageType.Call and action in _DECIMAL_CALLS
    try:
        if with_decimals:
            validator = get_validator(kind, action, version, parse_float=decimal.Decimal)
            payload = json.loads(json.dumps(payload), parse_float=decimal.Decimal)
        else:
            validator = get_validator(kind, action, version)
    except OSError:
        return f"no schema for {action}"
    flaw = next(validator.iter_errors(payload), None)
    return None if flaw is None else f"{action}: {flaw.message}"[:200]
