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


class Check:
    """One payload schema, ready to be asked again and again without looking it up."""

    __slots__ = ("_validator", "valid")

    def __init__(self, validator: jsonschema_rs.Validator) -> None:
        self._validator = validator
        self.valid = validator.is_valid
        """Whether a payload has no violation; false as well when it is nested too deeply to tell."""

    def violation(self, payload: Any) -> Violation | None:
        """The first violation, or None."""
        return _first(self._validator, payload)

    def fault(self, payload: Any) -> "Fault | None":
        """The first thing that is wrong with a payload, told so that it can be mended; None when nothing is."""
        try:
            self._validator.validate(payload)
        except jsonschema_rs.ValidationError as error:
            kind = error.kind
            names = getattr(kind, "options", None) or getattr(kind, "unexpected", None) or ()
            if hasattr(kind, "property"):
                names = (kind.property,)
            return Fault(type(kind).__name__, tuple(error.instance_path), getattr(kind, "limit", None), tuple(names))
        except ValueError:  # its recursion limit
            return Fault("TooDeep", (), None, ())
        return None


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a payload: which keyword of the schema says so, and where."""

    keyword: str
    path: tuple[str | int, ...]
    limit: int | None
    """The bound of lengths and counts."""
    names: tuple[Any, ...]
    """Values that an enumeration allows, properties that nobody expects, or the one that is missing."""


def check_inbound(version: Version, action: str, part: Part) -> Check | None:
    """The check of what charge points send, without string formats; None when no schema knows the action."""
    return _check(version, action, part, formats=False)


def check_outbound(version: Version, action: str, part: Part) -> Check | None:
    """The check of what we send, date-time formats included."""
    return _check(version, action, part, formats=True)


def inbound_violation(version: Version, action: str, part: Part, payload: Any) -> Violation | None:
    """The first violation in a payload that a charge point sent; None when valid or when no schema knows the action."""
    check = check_inbound(version, action, part)
    return None if check is None else check.violation(payload)


def outbound_violation(version: Version, action: str, part: Part, payload: Any) -> Violation | None:
    """The first violation in a payload that we are about to send, date-time formats included."""
    check = check_outbound(version, action, part)
    if check is None:
        return Violation(ErrorKind.NOT_IMPLEMENTED, f"OCPP {version} has no {part} {action[:50]}")
    return check.violation(payload)


def exists(version: Version, action: str, part: Part) -> bool:
    """Whether that payload has a schema."""
    known = find(version, action)
    return known is not None and _text(known, part) is not None


def compile_all() -> None:
    """Compile every validator now (0.2 s) instead of each at its first use (about 1 ms)."""
    for action in table().values():
        for part in Part:
            for formats in (False, True):
                _compiled(action, part, formats=formats)


def _check(version: Version, action: str, part: Part, *, formats: bool) -> Check | None:
    known = find(version, action)
    return None if known is None else _compiled(known, part, formats=formats)


@cache
def _compiled(action: Action, part: Part, *, formats: bool) -> Check | None:
    text = _text(action, part)
    if text is None:
        return None
    schema = orjson.loads(text.removeprefix(b"\xef\xbb\xbf"))
    return Check(jsonschema_rs.validator_for(schema, validate_formats=formats, mask="value"))


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
