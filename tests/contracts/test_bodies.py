"""Bodies of backends and operators: read back as written, and nothing but BodyError escapes from reading."""

import contextlib
from datetime import UTC, datetime
from typing import Any

import msgpack
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import bodies
from contracts.bodies import MAX_BYTES, Body, ContentType
from contracts.commands import CommandOutcome, CommandReceipt, CommandRequest, TrackedState
from contracts.envelope import OutcomeKind
from contracts.errors import BodyError
from contracts.events import Event
from contracts.operator import Operation, OperatorAnswer, OperatorRequest

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
OUTCOME = CommandOutcome(command_id="c-1", identity="CP-1", outcome=OutcomeKind.RESULT, payload={"a": [1, None]})
SAMPLES: list[Body] = [
    CommandRequest(command_id="c-1", action="Reset", payload={"type": "Soft"}, deadline_ms=5, tracked=True),
    OUTCOME,
    CommandReceipt(command_id="c-1", identity="CP-1", state=TrackedState.ENDED, outcome=OUTCOME),
    OperatorRequest(operation=Operation.SESSIONS, arguments={"limit": 5}),
    OperatorAnswer(ok=True, items=[{"identity": "CP-1"}]),
    Event(event_id="e", type="a.b", identity="CP-1", seq=1, occurred_at=NOW, recorded_at=NOW, data={"x": 1}),
]
each_sample = pytest.mark.parametrize("body", SAMPLES, ids=lambda body: type(body).__name__)
each_type = pytest.mark.parametrize("content_type", list(ContentType))

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@each_sample
@each_type
def test_a_body_is_read_back_as_it_was(body: Body, content_type: ContentType) -> None:
    assert type(body).decode(body.encode(content_type), content_type) == body


@each_sample
@each_type
def test_both_content_types_hold_the_same_map(body: Body, content_type: ContentType) -> None:
    assert bodies.decode(body.encode(content_type), content_type) == body.model_dump(mode="json")


@each_sample
def test_another_format_or_kind_is_refused(body: Body) -> None:
    for change in ({"v": 2}, {"t": "other"}):
        with pytest.raises(BodyError):
            type(body).decode(orjson.dumps({**body.model_dump(mode="json"), **change}))


@each_sample
@each_type
@given(data=st.data())
def test_a_mutated_body_is_read_or_refused_as_one(body: Body, content_type: ContentType, data: st.DataObject) -> None:
    content: dict[str, Any] = body.model_dump(mode="json")
    name = data.draw(st.sampled_from(sorted(content)))
    content[name] = data.draw(values)
    raw = bodies.encode(content, content_type)
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw = raw[:at] + bytes([data.draw(st.integers(0, 255))]) + raw[at + 1 :]
    with contextlib.suppress(BodyError):
        read = type(body).decode(raw, content_type)
        orjson.loads(read.encode())  # what was taken can be written again


@each_sample
@each_type
@given(raw=st.binary())
def test_any_bytes_are_a_body_error(body: Body, content_type: ContentType, raw: bytes) -> None:
    with pytest.raises(BodyError):
        type(body).decode(raw, content_type)


def test_an_error_names_the_field_and_never_its_value() -> None:
    with pytest.raises(BodyError, match="command_id") as error:
        CommandRequest.decode(b'{"command_id": "SECRET SECRET", "action": "Reset", "deadline_ms": 1}')
    assert "SECRET" not in str(error.value)
    with pytest.raises(BodyError) as error:
        CommandRequest.decode(b'{"payload": {"SECRET')
    assert "SECRET" not in str(error.value)


def test_an_unknown_field_is_refused_in_a_request_and_ignored_in_an_answer() -> None:
    request = SAMPLES[0].model_dump(mode="json")
    with pytest.raises(BodyError, match="new"):
        CommandRequest.decode(orjson.dumps({**request, "new": 1}))
    assert CommandOutcome.decode(orjson.dumps({**OUTCOME.model_dump(mode="json"), "new": 1})) == OUTCOME


def test_oversize_is_refused_before_it_is_read() -> None:
    with pytest.raises(BodyError, match="bound"):
        bodies.decode(b" " * (MAX_BYTES + 1), ContentType.JSON)


def test_deep_nesting_is_refused() -> None:
    for raw, content_type in ((b"[" * 100_000, ContentType.JSON), (b"\x91" * 100_000, ContentType.MSGPACK)):
        with pytest.raises(BodyError):
            bodies.decode(raw, content_type)


@pytest.mark.parametrize("payload", [{"a": b"\xff"}, {b"a": 1}, {"a": [{b"b": 1}]}])
def test_msgpack_that_json_cannot_hold_is_refused(payload: dict[Any, Any]) -> None:
    content = {**SAMPLES[0].model_dump(mode="json"), "payload": payload}
    with pytest.raises(BodyError, match="JSON"):
        CommandRequest.decode(msgpack.packb(content), ContentType.MSGPACK)


@pytest.mark.parametrize("depth", [300, 1000])
def test_what_could_not_be_written_into_a_frame_again_is_refused(depth: int) -> None:
    nested = b'{"a":' * depth + b"1" + b"}" * depth
    raw = b'{"command_id":"c","action":"DataTransfer","deadline_ms":1,"payload":' + nested + b"}"
    with pytest.raises(BodyError):
        CommandRequest.decode(raw)


@pytest.mark.parametrize("raw", [b"\xa1\xff", msgpack.packb({1: 2}), msgpack.packb({b"v": 1}), b"\x81\xa1a\xc7"])
def test_odd_msgpack_is_refused(raw: bytes) -> None:
    with pytest.raises(BodyError):
        CommandRequest.decode(raw, ContentType.MSGPACK)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", ContentType.JSON),
        ("application/json", ContentType.JSON),
        ("Application/JSON; charset=utf-8", ContentType.JSON),
        ("application/msgpack", ContentType.MSGPACK),
    ],
)
def test_content_types_are_recognised(text: str, wanted: ContentType) -> None:
    assert ContentType.of(text) is wanted


def test_other_content_types_are_refused() -> None:
    with pytest.raises(BodyError, match="content type"):
        ContentType.of("text/plain")
