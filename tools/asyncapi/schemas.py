"""JSON schemas of every body, from the pydantic models and from the layouts of the msgpack envelopes."""

import ast
import inspect
import re
import textwrap
from dataclasses import MISSING, fields
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from contracts.bodies import Body
from contracts.commands import CommandOutcome, CommandReceipt, CommandRequest, Reason, TrackedState
from contracts.envelope import Envelope, OutcomeKind
from contracts.events import EVENTS, Event
from contracts.operator import OperatorAnswer, OperatorRequest

Schema = dict[str, Any]

OUTCOMES: dict[OutcomeKind, str] = {
    OutcomeKind.RESULT: "The charge point answered with a CALLRESULT; whether it did what was asked is in `payload`.",
    OutcomeKind.CALL_ERROR: "The charge point answered with a CALLERROR: `error_code`, `description`, `error_details`.",
    OutcomeKind.REJECTED: "We refused it; the charge point has not seen it.",
    OutcomeKind.OFFLINE: "The charge point was not connected, or no longer; it has not seen it.",
    OutcomeKind.EXPIRED: "It could not be sent before its deadline; the charge point has not seen it.",
    OutcomeKind.TIMEOUT: "It was sent and not answered in time: the charge point may have done it, or may do it yet.",
    OutcomeKind.UNKNOWN: "It may have been sent, and we cannot learn what became of it: it may have been done.",
}
"""What each outcome says about the charge point."""

_WRITTEN_BY_BACKENDS: tuple[type[Body], ...] = (CommandRequest, OperatorRequest)
_READ_BY_BACKENDS: tuple[type[BaseModel], ...] = (
    CommandOutcome,
    CommandReceipt,
    Event,
    OperatorAnswer,
    *EVENTS.values(),
)
_WORDS: dict[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    bytes: {"type": "string", "format": "binary"},
    NoneType: {"type": "null"},
}
BINARY = "Of msgpack type bin; examples show it as the UTF-8 text that it holds."


def of_models() -> dict[str, Schema]:
    """Schemas by name. What backends write may lack what has a default; what they read is always whole."""
    _, written = models_json_schema(
        [(model, "validation") for model in _WRITTEN_BY_BACKENDS], ref_template="#/components/schemas/{model}"
    )
    _, read = models_json_schema(
        [(model, "serialization") for model in _READ_BY_BACKENDS], ref_template="#/components/schemas/{model}"
    )
    named: dict[str, Schema] = {**written["$defs"], **read["$defs"]}
    named["OutcomeKind"] = _explained(OutcomeKind, {kind.value: text for kind, text in OUTCOMES.items()})
    named["TrackedState"] = _explained(TrackedState, attribute_docs(TrackedState))
    named["Reason"] = _explained(Reason, attribute_docs(Reason))
    return {name: tidied(schema) for name, schema in sorted(named.items())}


def of_envelope(example: Any, *, t: str) -> Schema:
    """The schema of a msgpack map whose class is a dataclass."""
    kind = type(example)
    said = attribute_docs(kind)
    properties: dict[str, Schema] = {"v": {"type": "integer", "const": 1}, "t": {"type": "string", "const": t}}
    for field in fields(example):
        schema = _of_type(field.type)
        if field.name in said or field.type is bytes:
            text = " ".join(filter(None, (said.get(field.name), BINARY if field.type is bytes else "")))
            schema = {**schema, "description": text}
        properties[field.name] = schema
    # An envelope's newer fields may be missing, where an older process wrote it; all else is always whole.
    optional = {
        field.name for field in fields(example) if isinstance(example, Envelope) and field.default is not MISSING
    }
    return tidied(
        {
            "type": "object",
            "description": inspect.getdoc(kind),
            "properties": properties,
            "required": [name for name in properties if name not in optional],
        }
    )


def attribute_docs(kind: type) -> dict[str, str]:
    """The docstring after each attribute of a class, by the attribute's name; of an enumeration, by its value."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    body = definition.body if isinstance(definition, ast.ClassDef) else []
    docs: dict[str, str] = {}
    for attribute, after in zip(body, [*body[1:], ast.Pass()], strict=True):
        match attribute:
            case ast.Assign(targets=[ast.Name(name)], value=ast.Constant(str(value))) if issubclass(kind, StrEnum):
                name = value
            case ast.AnnAssign(target=ast.Name(name)) | ast.Assign(targets=[ast.Name(name)]):
                pass
            case _:
                continue
        match after:
            case ast.Expr(ast.Constant(str(text))):
                docs[name] = " ".join(text.split())
            case _:
                docs.setdefault(name, "")
    return {name: text for name, text in docs.items() if text or issubclass(kind, StrEnum)}


def tidied(schema: Schema) -> Schema:
    """The same without pydantic's titles, which repeat the names; texts unwrapped, and in JSON's words."""
    tidy: Schema = _tidied(schema)
    return tidy


def _tidied(value: Any) -> Any:
    if isinstance(value, list):
        return [_tidied(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    return {
        key: re.sub(r"\bNone\b", "null", " ".join(entry.split()))
        if key == "description" and isinstance(entry, str)
        else _tidied(entry)
        for key, entry in value.items()
        if not (key == "title" and isinstance(entry, str)) and not (key == "default" and entry is None)
    }


def _explained(kind: type[StrEnum], texts: dict[str, str]) -> Schema:
    values = [
        {"const": member.value, **({"description": texts[member.value]} if texts[member.value] else {})}
        for member in kind
    ]
    return {"type": "string", "description": inspect.getdoc(kind), "oneOf": values}


def _of_type(annotation: Any) -> Schema:
    if annotation in _WORDS:
        return _WORDS[annotation]
    if isinstance(annotation, UnionType):
        return {"type": [_WORDS[kind]["type"] for kind in get_args(annotation)]}
    if get_origin(annotation) is tuple or get_origin(annotation) is list:
        return {"type": "array", "items": _of_type(get_args(annotation)[0])}
    if issubclass(annotation, StrEnum):
        return {"type": "string", "enum": [member.value for member in annotation]}
    return _of_row(annotation)


def _of_row(kind: Any) -> Schema:
    """A named tuple: an array whose places have the names of its fields. Readers let further places be."""
    said = attribute_docs(kind)
    places = [
        {**_of_type(annotation), "description": f"{name}: {said[name]}" if name in said else name}
        for name, annotation in inspect.get_annotations(kind).items()
    ]
    text = f"{inspect.getdoc(kind)} In this order: {', '.join(kind._fields)}."
    return {"type": "array", "description": text, "items": places, "minItems": len(places)}
