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

from contracts.actions import Action, find, table
from contracts.versions import ErrorKind, Version

_FOLDERS = {Version.V16: ("v16", ""), Version.V201: ("v201", "Request"), Version.V21: ("v21", "Request")}
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


def inbound_violation(version: Version, action: str, part: Part, payload: Any) -> Violation | None:
    """The first violation in a payload that a charge point sent; None when valid or when no schema knows the action."""
    known = find(version, action)
    validator = None if known is None else _validator(known, part, formats=False)
    return None if validator is None else _first(validator, payload)


def outbound_violation(version: Version, action: str, part: Part, payload: Any) -> Violation | None:
    """The first violation in a payload that we are about to send, date-time formats included."""
    known = find(version, action)
    validator = None if known is None else _validator(known, part, formats=True)
    if validator is None:
        return Violation(ErrorKind.NOT_IMPLEMENTED, f"OCPP {version} has no {part} {action[:50]}")
    return _first(validator, payload)


def exists(version: Version, action: str, part: Part) -> bool:
    """Whether that payload has a schema."""
    known = find(version, action)
    return known is not None and _text(known, part) is not None


def compile_all() -> None:
    """Compile every validator now (0.2 s) instead of each at its first use (about 1 ms)."""
    for action in table().values():
        for part in Part:
            for formats in (False, True):
                _validator(action, part, formats=formats)


@cache
def _validator(action: Action, part: Part, *, formats: bool) -> jsonschema_rs.Validator | None:
    text = _text(action, part)
    if text is None:
        return None
    schema = orjson.loads(text.removeprefix(b"\xef\xbb\xbf"))
    return jsonschema_rs.validator_for(schema, validate_formats=formats, mask="value")


@cache
def _text(action: Action, part: Part) -> bytes | None:
    folder, request_suffix = _FOLDERS[action.version]
    suffix = request_suffix if part is Part.REQUEST and not action.is_send else ""
    name = action.name + (suffix if part is Part.REQUEST else "Response")
    # by way of the top package: the versions' own packages take a while to import, and only their files are wanted
    path = files("ocpp") / folder / "schemas" / f"{name}.json"
    return path.read_bytes() if path.is_file() else None


def _first(validator: jsonschema_rs.Validator, payload: Any) -> Violation | None:
    if validator.is_valid(payload):
        return None
    try:
        # stops at the first error: a payload can hold hundreds of thousands, and each is an object
        validator.validate(payload)
    except jsonschema_rs.ValidationError as found:
        return _named(found)
    except ValueError:  # its recursion limit; no real payload comes near it
        return Violation(ErrorKind.FORMAT, "payload is nested too deeply")
    return None


def _named(error: jsonschema_rs.ValidationError) -> Violation:
    kind = _KINDS.get(type(error.kind).__name__, ErrorKind.PROPERTY)
    where = "/".join(str(step) for step in error.instance_path) or "payload"
    # Names of unexpected properties come from the peer: keep what is printable and short.
    return Violation(kind, re.sub(r"[^\x20-\x7e]", "?", f"{where}: {error.message}"[:255]))
