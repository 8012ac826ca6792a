"""Payloads made from the `ocpp` package's schema files: the least valid one, and every way of spoiling a valid one."""

import copy
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import orjson

from contracts.versions import Version

_FOLDERS = {Version.V16: ("ocpp.v16", ""), Version.V201: ("ocpp.v201", "Request"), Version.V21: ("ocpp.v21", "Request")}
_WRONG = {"string": 7, "integer": "seven", "number": "many", "boolean": "perhaps", "object": "thing", "array": "list"}
_TEXT = {"date-time": "2026-05-01T12:00:00Z", "uri": "https://example.com"}


@cache
def request_schema(version: Version, action: str) -> dict[str, Any]:
    """The schema file of an action's request."""
    package, suffix = _FOLDERS[version]
    text = (files(package) / "schemas" / f"{action}{suffix}.json").read_bytes()
    schema: dict[str, Any] = orjson.loads(text.removeprefix(b"\xef\xbb\xbf"))
    return schema


def least_payload(version: Version, action: str) -> dict[str, Any]:
    """The smallest payload that the schema allows."""
    schema = request_schema(version, action)
    payload = _least(schema, schema)
    assert isinstance(payload, dict)
    return payload


def missing(version: Version, action: str, payload: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The payload without each of its required fields in turn."""
    for name in request_schema(version, action).get("required", []):
        yield name, {key: value for key, value in payload.items() if key != name}


def mistyped(version: Version, action: str, payload: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The payload with each of its fields in turn of a type that the schema refuses."""
    schema = request_schema(version, action)
    for name in payload:
        kind = _resolved(schema["properties"][name], schema).get("type", "string")
        yield name, {**copy.deepcopy(payload), name: _WRONG[kind]}


def _resolved(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    found: dict[str, Any] = root["definitions"][schema["$ref"].removeprefix("#/definitions/")]
    return found


def _least(schema: dict[str, Any], root: dict[str, Any]) -> Any:
    schema = _resolved(schema, root)
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "string")
    if kind == "object":
        return {name: _least(schema["properties"][name], root) for name in schema.get("required", [])}
    if kind == "array":
        return [_least(schema["items"], root) for _ in range(schema.get("minItems", 0))]
    if kind == "string":
        return _TEXT.get(schema.get("format", ""), "x")
    return {"integer": 1, "number": 1.0, "boolean": True}[kind]
