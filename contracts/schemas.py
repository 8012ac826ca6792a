"""Payload schemas of all three OCPP versions, compiled once, and violations named in OCPP's terms.

The schema files are those of the `ocpp` package. Inbound payloads are checked without string formats (charge
points send dates in many shapes; the workers read them leniently); what we send is checked with them.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema_rs
import orjson

from contracts.actions import Action, table
from contracts.versions import ErrorKind, Version

_FOLDERS = {Version.V16: ("ocpp.v16", ""), Version.V201: ("ocpp.v201", "Request"), Version.V21: ("ocpp.v21", "Request")}
_KINDS = {
    "Type": ErrorKind.TYPE,
    "Required": ErrorKind.OCCURRENCE,
    "MinItems": ErrorKind.OCCURRENCE,
    "MaxItems": ErrorKind.OCCURRENCE,
    "AdditionalProperties": ErrorKind.FORMAT,
}


class Part(StrEnum):
    """Which payload of an action."""

    REQUEST = "request"
    RESPONSE = "response"


@dataclass(frozen=True, slots=True)
class Violation:
    """What is wrong with a payload, without any of its values: they may be idTags or keys."""

    kind: ErrorKind
    description: str


@dataclass(frozen=True, slots=True)
class _Schema:
    inbound: jsonschema_rs.Validator
    outbound: jsonschema_rs.Validator


def inbound_violation(version: Version, action: str, part: Part, payload: Any) -> Violation | None:
    """The first violation in a payload that a charge point sent; None when valid or when no schema knows the action."""
    schema = compiled().get((version, action, part))
    return None if schema is None else _first(schema.inbound, payload)


def outbound_violation(version: Version, action: str, part: Part, payload: Any) -> Violation | None:
    """The first violation in a payload that we are about to send, date-time formats included."""
    schema = compiled().get((version, action, part))
    if schema is None:
        return Violation(ErrorKind.NOT_IMPLEMENTED, f"OCPP {version} has no {part} {action[:50]}")
    return _first(schema.outbound, payload)


@cache
def compiled() -> dict[tuple[Version, str, Part], _Schema]:
    """All validators; the first call compiles them (about 0.3 s)."""
    return {
        (action.version, action.name, part): _compile(text)
        for action in table().values()
        for part in Part
        if (text := _schema_text(action, part)) is not None
    }


def _schema_text(action: Action, part: Part) -> bytes | None:
    package, request_suffix = _FOLDERS[action.version]
    suffix = request_suffix if part is Part.REQUEST and not action.is_send else ""
    name = action.name + (suffix if part is Part.REQUEST else "Response")
    path = files(package) / "schemas" / f"{name}.json"
    return path.read_bytes() if path.is_file() else None


def _compile(text: bytes) -> _Schema:
    schema = orjson.loads(text.removeprefix(b"\xef\xbb\xbf"))
    build = jsonschema_rs.validator_for
    return _Schema(
        inbound=build(schema, validate_formats=False, mask="value"),
        outbound=build(schema, validate_formats=True, mask="value"),
    )


def _first(validator: jsonschema_rs.Validator, payload: Any) -> Violation | None:
    try:
        if validator.is_valid(payload):
            return None
        error = next(iter(validator.iter_errors(payload)))
    except ValueError:  # its recursion limit; no real payload comes near it
        return Violation(ErrorKind.FORMAT, "payload is nested too deeply")
    kind = _KINDS.get(type(error.kind).__name__, ErrorKind.PROPERTY)
    where = "/".join(str(step) for step in error.instance_path) or "payload"
    # Names of unexpected properties come from the peer: keep what is printable and short.
    return Violation(kind, re.sub(r"[^\x20-\x7e]", "?", f"{where}: {error.message}"[:255]))
