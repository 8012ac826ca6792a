"""OCPP-J framing: what each version reads, refuses and writes."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import ocppj
from contracts.ocppj import BadFrame, Call, CallError, CallResult, CallResultError, Send
from contracts.versions import ErrorKind, Version

V16, V201, V21 = Version.V16, Version.V201, Version.V21


@pytest.mark.parametrize("version", list(Version))
def test_a_call_is_read_in_every_version(version: Version) -> None:
    frame = '[2,"19223201","BootNotification",{"a":1}]'
    assert ocppj.decode(frame, version) == Call("19223201", "BootNotification", {"a": 1}, frame.encode())


def test_a_16_null_payload_means_no_payload() -> None:
    message = ocppj.decode('[2,"1","Heartbeat",null]', V16)
    assert isinstance(message, Call)
    assert message.payload == {}


@pytest.mark.parametrize("version", [V201, V21])
def test_a_2x_null_payload_is_refused_with_its_id(version: Version) -> None:
    message = ocppj.decode('[2,"1","Heartbeat",null]', version)
    assert isinstance(message, BadFrame)
    assert message.answer is not None
    assert json.loads(message.answer)[:3] == [4, "1", "RpcFrameworkError"]


BROKEN = ["", "{", "[,{", "null", "1", '"x"', "{}", "[]", '["2","1","Heartbeat",{}]', "[true]", "[2]", '[2,5,"A",{}]',
          json.dumps([2, "x" * 129, "A", {}])]  # fmt: skip


@pytest.mark.parametrize("frame", BROKEN)
def test_16_is_silent_when_no_id_can_be_read(frame: str) -> None:
    message = ocppj.decode(frame, V16)
    assert isinstance(message, BadFrame)
    assert message.answer is None


@pytest.mark.parametrize("frame", BROKEN)
@pytest.mark.parametrize("version", [V201, V21])
def test_2x_answers_rpc_framework_error_with_id_minus_one(frame: str, version: Version) -> None:
    message = ocppj.decode(frame, version)
    assert isinstance(message, BadFrame)
    assert message.answer is not None
    answer = json.loads(message.answer)
    assert len(answer) == 5
    assert answer[:3] == [4, "-1", "RpcFrameworkError"]


@pytest.mark.parametrize("frame", ['[2,"7"]', '[2,"7","A"]', '[2,"7","A",{},1]', '[2,"7",1,{}]', '[2,"7","A",[]]'])
@pytest.mark.parametrize(("version", "code"), [(V16, "FormationViolation"), (V201, "RpcFrameworkError")])
def test_a_misshapen_call_with_a_readable_id_is_answered_with_that_id(frame: str, version: Version, code: str) -> None:
    message = ocppj.decode(frame, version)
    assert isinstance(message, BadFrame)
    assert message.answer is not None
    assert json.loads(message.answer)[:3] == [4, "7", code]


@pytest.mark.parametrize(
    "frame", ["[3]", '[3,"1"]', '[4,"1"]', "[3,1,{}]", '[4,"1",5,"",{}]', '[7,"1",{}]', '[99,"1"]']
)
@pytest.mark.parametrize("version", list(Version))
def test_bad_replies_and_unknown_types_are_never_answered(frame: str, version: Version) -> None:
    message = ocppj.decode(frame, version)
    assert isinstance(message, BadFrame)
    assert message.answer is None


def test_replies_are_read() -> None:
    assert ocppj.decode('[3,"1",{"status":"Accepted"}]', V16) == CallResult("1", {"status": "Accepted"})
    assert ocppj.decode('[4,"1","Odd","why",{"k":1}]', V16) == CallError("1", "Odd", "why", {"k": 1})


@pytest.mark.parametrize("frame", ['[4,"1","Odd","why"]', '[4,"1","Odd","why","text"]'])
def test_callerrors_as_met_in_the_field_are_tolerated(frame: str) -> None:
    assert ocppj.decode(frame, V16) == CallError("1", "Odd", "why", {})


def test_types_5_and_6_belong_to_21_alone() -> None:
    send, error = '[6,"1","NotifyPeriodicEventStream",{}]', '[5,"1","FormatViolation","",{}]'
    assert isinstance(ocppj.decode(send, V21), Send)
    assert ocppj.decode(error, V21) == CallResultError("1", "FormatViolation", "")
    for version in (V16, V201):
        assert isinstance(ocppj.decode(send, version), BadFrame)
        assert isinstance(ocppj.decode(error, version), BadFrame)


@pytest.mark.parametrize(
    ("kind", "v16", "v2x"),
    [
        (ErrorKind.FORMAT, "FormationViolation", "FormatViolation"),
        (ErrorKind.OCCURRENCE, "OccurenceConstraintViolation", "OccurrenceConstraintViolation"),
        (ErrorKind.TYPE, "TypeConstraintViolation", "TypeConstraintViolation"),
        (ErrorKind.NOT_IMPLEMENTED, "NotImplemented", "NotImplemented"),
    ],
)
def test_error_codes_are_spelt_as_each_version_spells_them(kind: ErrorKind, v16: str, v2x: str) -> None:
    assert [kind.code(version) for version in (V16, V201, V21)] == [v16, v2x, v2x]


def test_every_16_code_is_one_that_16_defines() -> None:
    # OCPP-J 1.6 table 7
    defined = {
        "NotImplemented", "NotSupported", "InternalError", "ProtocolError", "SecurityError", "FormationViolation",
        "PropertyConstraintViolation", "OccurenceConstraintViolation", "TypeConstraintViolation", "GenericError",
    }  # fmt: skip
    assert {kind.code(V16) for kind in ErrorKind} == defined


@given(unique_id=st.text(max_size=36), payload=st.dictionaries(st.text(), st.integers(-(2**53), 2**53) | st.text()))
def test_what_is_encoded_is_read_back(unique_id: str, payload: dict[str, object]) -> None:
    try:
        body = orjson.dumps(payload)
        frames = ocppj.encode_call(unique_id, "A", body), ocppj.encode_call_result(unique_id, body)
    except TypeError:
        return  # lone surrogates have no JSON text
    call, result = (ocppj.decode(frame, V201) for frame in frames)
    assert isinstance(call, Call)
    assert (call.unique_id, call.action, call.payload) == (unique_id, "A", payload)
    assert result == CallResult(unique_id, payload)


@given(description=st.text())
def test_callerrors_have_five_elements_and_a_bounded_description(description: str) -> None:
    try:
        frame = json.loads(ocppj.encode_call_error("1", ErrorKind.INTERNAL, V16, description))
    except TypeError:
        return
    assert len(frame) == 5
    assert len(frame[3]) <= 255
    assert frame[4] == {}


@given(frame=st.text() | st.binary(), version=st.sampled_from(list(Version)))
def test_any_input_gives_a_message_or_a_refusal(frame: str | bytes, version: Version) -> None:
    assert ocppj.decode(frame, version) is not None


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(2**70), 2**70)
    | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(elements=st.lists(st.sampled_from([2, 3, 4, 5, 6, "1", "Heartbeat"]) | _JSON, max_size=6),
       version=st.sampled_from(list(Version)))  # fmt: skip
def test_any_json_array_gives_a_message_or_a_refusal_with_a_valid_answer(
    elements: list[object], version: Version
) -> None:
    message = ocppj.decode(json.dumps(elements), version)
    if isinstance(message, BadFrame) and message.answer is not None:
        answer = json.loads(message.answer)
        assert answer[0] == 4
        assert len(answer) == 5
        assert version.is_2x or elements[0] == 2
        assert not elements or elements[0] not in (3, 4, 5, 6) or elements[0] is True


def test_deep_nesting_is_refused_not_recursed_into() -> None:
    assert isinstance(ocppj.decode("[" * 100_000, V16), BadFrame)
    assert isinstance(ocppj.decode('[2,"1","A",' + '{"a":' * 5000 + "1" + "}" * 5000 + "]", V201), BadFrame)
