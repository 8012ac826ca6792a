"""The AsyncAPI document says what the code says, is valid, and its examples are what our processes write and read."""

from pathlib import Path
from typing import Any

import jsonschema_rs
import msgpack
import orjson
import pytest
import yaml

from contracts import topology
from contracts.bodies import Body, ContentType
from contracts.commands import CommandRequest, Reason
from contracts.envelope import Envelope, OutcomeKind
from contracts.events import EVENTS, Event
from tools.asyncapi.messages import Message, all_messages
from tools.asyncapi_page import PAGE, page

SPECIFICATION = Path(__file__).parents[2] / ".dev/node/node_modules/@asyncapi/specs/schemas/3.0.0.json"
MESSAGES = {message.name: message for message in all_messages()}


@pytest.fixture(scope="module", name="document")
def committed_document() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(PAGE.read_text())
    return document


def test_the_document_is_what_the_code_gives():
    assert PAGE.read_text() == page(), "run `make docs`"


def test_the_document_is_valid_by_the_schema_of_its_specification(document: dict[str, Any]):
    validator = jsonschema_rs.validator_for(orjson.loads(SPECIFICATION.read_bytes()))
    assert [f"{error.instance_path}: {error.message[:200]}" for error in validator.iter_errors(document)] == []
    assert not validator.is_valid({**document, "channels": {"commands": {"adress": "x"}}})


def test_every_reference_leads_somewhere(document: dict[str, Any]):
    for reference in _references(document):
        place: Any = document
        for step in reference.removeprefix("#/").split("/"):
            assert step in place, reference
            place = place[step]


def _references(value: Any) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(_references, value))
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(_references, value.values()))
    return set()


@pytest.mark.parametrize("name", MESSAGES)
def test_an_example_fits_its_schema_and_nothing_that_is_required_may_be_missing(document: dict[str, Any], name: str):
    message = document["components"]["messages"][name]
    (example,) = message["examples"]
    for part in ("headers", "payload"):
        schema = {**message[part], "components": document["components"]}
        validator = jsonschema_rs.Draft7Validator(schema, validate_formats=False)
        assert [error.message for error in validator.iter_errors(example[part])] == []
    payload = jsonschema_rs.Draft7Validator({**message["payload"], "components": document["components"]})
    assert not payload.is_valid(dict.fromkeys(example["payload"], 1.5))


@pytest.mark.parametrize("name", MESSAGES)
def test_our_own_code_reads_an_example_as_the_object_that_it_was_made_of(document: dict[str, Any], name: str):
    message = document["components"]["messages"][name]
    (example,) = message["examples"]
    body = _encoded(MESSAGES[name], example["payload"], message["contentType"])
    assert type(MESSAGES[name].example).decode(body) == MESSAGES[name].example
    assert example["headers"].get("type") in {None, example["payload"]["t"]}


def _encoded(message: Message, payload: dict[str, Any], content_type: str) -> bytes:
    if isinstance(message.example, Body):
        assert content_type == ContentType.JSON
        return orjson.dumps(payload)
    assert content_type == ContentType.MSGPACK
    packed: bytes = msgpack.packb(_as_bytes(message.example, payload))
    return packed


def _as_bytes(example: Any, payload: dict[str, Any]) -> dict[str, Any]:
    """The payload with bytes where the schema says `binary`."""
    if isinstance(example, Envelope):
        return {
            key: value.encode() if isinstance(getattr(example, key, None), bytes) else value
            for key, value in payload.items()
        }
    if "frames" in payload:
        return {**payload, "frames": [[*row[:4], row[4].encode()] for row in payload["frames"]]}
    return payload


def test_an_example_of_a_json_message_is_read_in_msgpack_too():
    for message in MESSAGES.values():
        if isinstance(message.example, Body):
            body = message.example.encode(ContentType.MSGPACK)
            assert type(message.example).decode(body, ContentType.MSGPACK) == message.example


def test_every_event_type_has_a_message_whose_data_are_of_its_class(document: dict[str, Any]):
    assert set(document["channels"]["events"]["messages"]) == set(EVENTS)
    for name, data in EVENTS.items():
        example = MESSAGES[name].example
        assert isinstance(example, Event)
        assert isinstance(example.typed(), data)


def test_a_request_with_a_key_that_we_do_not_know_does_not_fit(document: dict[str, Any]):
    schema = document["components"]["schemas"]["CommandRequest"]
    request = MESSAGES["CommandRequest"].example
    assert isinstance(request, CommandRequest)
    validator = jsonschema_rs.Draft7Validator({**schema, "components": document["components"]})
    assert validator.is_valid({"command_id": "1", "action": "Reset", "deadline_ms": 1})
    assert not validator.is_valid({**request.model_dump(mode="json"), "trackd": True})


def test_every_reason_and_every_outcome_is_explained(document: dict[str, Any]):
    for schema, kinds in (("Reason", Reason), ("OutcomeKind", OutcomeKind)):
        explained = {
            entry["const"]: entry["description"] for entry in document["components"]["schemas"][schema]["oneOf"]
        }
        assert set(explained) == {kind.value for kind in kinds}
        assert all(len(text) > 15 for text in explained.values())


def test_the_topology_is_the_one_that_is_declared(document: dict[str, Any]):
    described = document["x-amqp-topology"]
    assert set(described["exchanges"]) == {exchange.name for exchange in topology.TOPOLOGY.exchanges}
    assert set(described["queues"]) == {queue.name for queue in topology.TOPOLOGY.queues} | {topology.FRAMES}
    bindings = {(entry["exchange"], entry["queue"], key) for entry in described["bindings"] for key in entry["keys"]}
    assert bindings == {(binding.exchange, binding.queue, binding.key) for binding in topology.TOPOLOGY.bindings}
