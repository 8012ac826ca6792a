"""Known deviations of real charge points: each has a name, can be switched off, and is counted. Pure.

What is tolerated is not mended: the frame is relayed as it came, with the violation named. A payload is looked at only
once its schema has refused it; then a copy is mended, deviation by deviation, and when nothing else is wrong with it,
there was nothing but what is tolerated.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import orjson

from contracts.schemas import Check, Fault
from contracts.versions import BY_SUBPROTOCOL, Version

MOST_BYTES = 16 * 1024
"""Of a frame whose deviations are looked for; larger ones meet the policy."""

MOST_REPAIRS = 32
MOST_DEPTH = 30
NUL = b"\\u0000"
"""How JSON writes the character that no database takes in a text."""


class Tolerance(StrEnum):
    """A deviation that is met in the field."""

    NO_SUBPROTOCOL = "no_subprotocol"
    """A handshake without any subprotocol is one of OCPP 1.6."""
    PATH_SLASHES = "path_slashes"
    """Doubled and trailing slashes in the path."""
    PATH_FULL_URL = "path_full_url"
    """A whole URL where the path, or the identity, should be."""
    QUERY_IDENTITY = "query_identity"
    """The identity as a query parameter of a path that has none."""
    HEX_PASSWORD_LITERAL = "hex_password_literal"  # noqa: S105 - a rule's name
    """OCPP 1.6: the hexadecimal text of the key as password, instead of the bytes that it stands for."""
    NULL_OPTIONALS = "null_optionals"
    """`null` for what should be left out."""
    EMPTY_REQUIRED_TEXT = "empty_required_text"
    """`null` for a text that must be there, such as the vendor. (An empty one violates nothing.)"""
    UNKNOWN_FIELDS = "unknown_fields"
    """Fields that the schema does not know."""
    OVER_LENGTH = "over_length"
    """Texts that are longer than the schema allows."""
    NUMERIC_VALUE = "numeric_value"
    """A sampled value as a number (1.6), or as a text (2.x)."""
    HERTZ = "hertz"
    """Other spellings of the unit of frequencies."""
    CELSIUS = "celsius"
    """Other spellings of the unit of temperatures."""
    UNKNOWN_ENUM = "unknown_enum"
    """A word that is not among those that the schema lists."""
    EMPTY_UNIQUE_ID = "empty_unique_id"
    """A Call whose message id is the empty text."""
    DUPLICATE_UNIQUE_ID = "duplicate_unique_id"
    """A Call with the message id of the one that is being answered."""
    SHORT_CALL_ERROR = "short_call_error"
    """A CALLERROR of four elements."""
    ODD_DETAILS = "odd_details"
    """A CALLERROR whose details are no object, or whose description is no text."""
    NUL_CHARACTERS = "nul_characters"
    """NUL characters in texts; workers store them without."""


STRICT = frozenset[Tolerance]()
ALL = frozenset(Tolerance)
HARMLESS = ALL - {
    Tolerance.EMPTY_REQUIRED_TEXT,
    Tolerance.UNKNOWN_FIELDS,
    Tolerance.OVER_LENGTH,
    Tolerance.UNKNOWN_ENUM,
}
"""Those after which workers still read what was meant. With the others something is lost, so a CALLERROR says so."""


def named(words: str) -> frozenset[Tolerance]:
    """The tolerances of a comma list, of `all` or of `none`; raises ValueError naming those that do not exist."""
    chosen = {word.strip() for word in words.split(",")} - {""}
    if chosen == {"all"}:
        return ALL
    if chosen <= {"none"}:
        return STRICT
    unknown = sorted(chosen - set(Tolerance))
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: there are {', '.join(Tolerance)}, or `all` or `none` alone")
    return frozenset(Tolerance(word) for word in chosen)


# payloads


def explain(payload: Any, check: Check, allowed: Collection[Tolerance]) -> frozenset[Tolerance]:
    """The tolerances that explain all that is wrong with a payload; none when it has another fault, or too many.

    The payload is left as it is.
    """
    if not allowed:
        return STRICT
    try:
        encoded = orjson.dumps(payload)
    except orjson.JSONEncodeError:
        return STRICT
    if len(encoded) > MOST_BYTES:
        return STRICT
    copy = orjson.loads(encoded)
    found: set[Tolerance] = set()
    emptied: set[tuple[str | int, ...]] = set()
    for _ in range(MOST_REPAIRS):
        fault = check.fault(copy)
        if fault is None:
            return frozenset(found)
        used = _mend(copy, fault, allowed, emptied)
        if used is None:
            return STRICT
        found.add(used)
    return STRICT if check.fault(copy) is not None else frozenset(found)


def _mend(
    payload: Any, fault: Fault, allowed: Collection[Tolerance], emptied: set[tuple[str | int, ...]]
) -> Tolerance | None:
    """Take one fault out of the payload; None when it is not among what is allowed.

    `emptied` remembers where there was a `null`.
    """
    if fault.keyword == "Required":
        holder, name = _at(payload, fault.path), fault.names[0]
        if Tolerance.EMPTY_REQUIRED_TEXT not in allowed or (*fault.path, name) not in emptied:
            return None
        holder[name] = ""
        return Tolerance.EMPTY_REQUIRED_TEXT
    if fault.keyword == "AdditionalProperties":
        holder = _at(payload, fault.path)
        if Tolerance.UNKNOWN_FIELDS not in allowed or not isinstance(holder, dict):
            return None
        for name in fault.names:
            holder.pop(name, None)
        return Tolerance.UNKNOWN_FIELDS
    if not fault.path:
        return None
    holder, step = _at(payload, fault.path[:-1]), fault.path[-1]
    value = holder[step]
    if fault.path in emptied:
        return None  # the empty text does not do
    for rule, repaired in _repairs(fault, step, value):
        if rule not in allowed:
            continue
        if repaired is _ABSENT:
            if not isinstance(holder, dict):
                return None
            del holder[step]
            emptied.add(fault.path)
        else:
            holder[step] = repaired
        return rule
    return None


_ABSENT = object()
_VALUES = frozenset({"value"})
_HERTZ = frozenset({"hertz", "hz"})
_CELSIUS = frozenset({"celsius", "celcius", "c", "°c", "degc", "deg c", "degree celsius", "degrees celsius"})


def _repairs(fault: Fault, step: str | int, value: Any) -> Iterable[tuple[Tolerance, Any]]:
    keyword = fault.keyword
    if value is None:
        # Whether it may be absent shows at the next look: if not, "Required" is a fault that nothing explains.
        yield Tolerance.NULL_OPTIONALS, _ABSENT
    elif keyword == "MaxLength" and isinstance(value, str):
        yield Tolerance.OVER_LENGTH, value[: fault.limit]
    elif keyword == "Type" and step in _VALUES:
        yield from _values(value)
    elif keyword == "Enum" and isinstance(value, str) and fault.names:
        rule = (_unit(value) if step == "unit" else None) or Tolerance.UNKNOWN_ENUM
        yield rule, fault.names[0]  # one that is allowed: StopTransaction's schema lists no unit of frequencies at all


def _values(value: Any) -> Iterable[tuple[Tolerance, Any]]:
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield Tolerance.NUMERIC_VALUE, str(value)
    elif isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return
        if number - number == 0:  # neither infinite nor none
            yield Tolerance.NUMERIC_VALUE, number


def _unit(value: str) -> Tolerance | None:
    said = value.strip().casefold()
    if said in _HERTZ:
        return Tolerance.HERTZ
    return Tolerance.CELSIUS if said in _CELSIUS else None


def _at(payload: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        payload = payload[step]
    return payload


def holds_nul(payload: Any, depth: int = 0) -> bool:
    """Whether any text in it has a NUL character; what is nested too deeply counts as having one."""
    if isinstance(payload, str):
        return "\0" in payload
    if depth > MOST_DEPTH:
        return True
    if isinstance(payload, dict):
        return any("\0" in key or holds_nul(value, depth + 1) for key, value in payload.items())
    return isinstance(payload, list) and any(holds_nul(item, depth + 1) for item in payload)


# handshakes


@dataclass(frozen=True, slots=True)
class Mended:
    """A request path as it should have been, and what was tolerated to read it so."""

    path: str
    used: tuple[Tolerance, ...] = ()


IDENTITY_PARAMETERS = ("identity", "chargePointId", "chargepointid", "charge_point_id", "cpid", "id")
_SCHEMES = ("ws://", "wss://", "http://", "https://")


def path(raw: str, endpoint: str, allowed: Collection[Tolerance] = HARMLESS) -> Mended:
    """The path `<endpoint>/<identity>` that a request means; the path itself where nothing is to be mended.

    The identity stays percent-encoded as it came. Letter case is none of this: 2.x identities are the same in any
    (part 4, 3.1.1), and which of them is on record only the record can tell.
    """
    used: list[Tolerance] = []
    bare, mark, query = raw.partition("?")
    prefix = endpoint.rstrip("/") + "/"
    if Tolerance.PATH_FULL_URL in allowed and (inner := _without_url(bare, prefix)) is not None:
        bare = inner
        used.append(Tolerance.PATH_FULL_URL)
    if Tolerance.PATH_SLASHES in allowed and (tidy := _without_slashes(bare, prefix)) is not None:
        bare = tidy
        used.append(Tolerance.PATH_SLASHES)
    if Tolerance.QUERY_IDENTITY in allowed and query and bare.rstrip("/") == prefix.rstrip("/"):
        identity = _asked(query)
        if identity:
            bare = prefix + quote(identity, safe="", errors="surrogateescape")
            used.append(Tolerance.QUERY_IDENTITY)
    return Mended(bare + mark + query, tuple(used)) if used else Mended(raw)


def version(
    names: Iterable[str], allowed: Collection[Tolerance] = HARMLESS
) -> tuple[Version | None, tuple[Tolerance, ...]]:
    """The version that a client's subprotocols ask for, its first that we speak; 1.6 for one that names none."""
    offered = [name for name in names if name]
    if not offered and Tolerance.NO_SUBPROTOCOL in allowed:
        return Version.V16, (Tolerance.NO_SUBPROTOCOL,)
    return next((BY_SUBPROTOCOL[name] for name in offered if name in BY_SUBPROTOCOL), None), ()


def _without_url(bare: str, prefix: str) -> str | None:
    """The path of a URL in a request line (RFC 9112, 3.2.2), or of one that was put where the identity belongs."""
    inner = bare.removeprefix(prefix)
    for candidate in (
        bare,
        inner,
        inner.replace("%3A", ":").replace("%3a", ":").replace("%2F", "/").replace("%2f", "/"),
    ):
        if candidate.lower().startswith(_SCHEMES):
            try:
                found = urlsplit(candidate).path
            except ValueError:
                return None
            # The last part is the identity where a URL was given for it that leads elsewhere.
            last = found.rstrip("/").rpartition("/")[2]
            return found if candidate is bare or found.startswith(prefix) else prefix + last
    return None


def _without_slashes(bare: str, prefix: str) -> str | None:
    parts = [part for part in bare.split("/") if part]
    tidy = "/" + "/".join(parts)
    if tidy + "/" == prefix:
        return None  # names no identity, however it is written
    return tidy if tidy != bare and tidy.startswith(prefix) else None


def _asked(query: str) -> str | None:
    try:
        parameters = dict(parse_qsl(query, max_num_fields=16, errors="surrogateescape"))
    except ValueError:
        return None
    return next((parameters[name] for name in IDENTITY_PARAMETERS if name in parameters), None)
