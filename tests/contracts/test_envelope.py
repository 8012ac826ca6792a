"""Envelopes: what is encoded is read back, and nothing but EnvelopeError escapes from reading."""

from dataclasses import MISSING, fields
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.envelope import (
    MAX_BYTES,
    AdmissionQuery,
    AdmissionVerdict,
    CallEnvelope,
    CommandEnvelope,
    Envelope,
    JobReceipt,
    JobRequest,
    OutcomeEnvelope,
    OutcomeKind,
    ReplyEnvelope,
    encode_call,
)
from contracts.errors import EnvelopeError
from contracts.versions import ErrorKind, Version

CALL = CallEnvelope("CP1", Version.V16, "gw", "s1", 5, "u1", "Heartbeat", b'[2,"u1","Heartbeat",{"a":1}]', 1000)
SAMPLES: list[Envelope] = [
    CALL,
    CallEnvelope("CP1", Version.V21, "gw", "s1", 5, "u", "A", b"[]", 1, "FormatViolation", "idTag: value"),
    ReplyEnvelope(b'{"status":"Accepted"}'),
    ReplyEnvelope(error_kind=ErrorKind.INTERNAL, description="later"),
    CommandEnvelope("c1", "CP1", "Reset", b"{}", 99),
    CommandEnvelope("c1", "CP1", "Reset", b"{}", 99, session="s1"),
    OutcomeEnvelope("c1", "CP1", OutcomeKind.CALL_ERROR, "gw", "s1", b"{}", "NotSupported", "", 1, 2),
    AdmissionQuery("CP1", "gw"),
    AdmissionVerdict("CP1", known=True),
    JobRequest("j1", "CP1", "UpdateFirmware", b"{}", 5),
    JobReceipt("j1", accepted=False, reason="no such action"),
]


@pytest.mark.parametrize("envelope", SAMPLES, ids=lambda envelope: type(envelope).__name__)
def test_an_envelope_is_read_back_as_it_was(envelope: Envelope) -> None:
    assert type(envelope).decode(envelope.encode()) == envelope


@pytest.mark.parametrize("call", [one for one in SAMPLES if isinstance(one, CallEnvelope)])
def test_a_call_is_encoded_the_same_without_its_envelope(call: CallEnvelope) -> None:
    assert encode_call(*(getattr(call, field.name) for field in fields(call))) == call.encode()


def test_a_value_that_cannot_be_encoded_leaves_nothing_behind() -> None:
    with pytest.raises(UnicodeEncodeError):
        AdmissionQuery("CP-\ud800", "gw").encode()
    assert CallEnvelope.decode(CALL.encode()) == CALL


@pytest.mark.parametrize("envelope", SAMPLES, ids=lambda envelope: type(envelope).__name__)
def test_no_required_field_may_be_missing_and_none_of_another_type(envelope: Envelope) -> None:
    content: dict[str, Any] = msgpack.unpackb(envelope.encode())
    optional = {field.name for field in fields(envelope) if field.default is not MISSING}
    for name in content:
        lacking = {key: value for key, value in content.items() if key != name}
        if name in optional:
            type(envelope).decode(msgpack.packb(lacking))  # as an older sender writes it
        else:
            with pytest.raises(EnvelopeError):
                type(envelope).decode(msgpack.packb(lacking))
        with pytest.raises(EnvelopeError):
            type(envelope).decode(msgpack.packb({**content, name: [1]}))


def test_keys_that_a_newer_sender_adds_are_ignored() -> None:
    assert CallEnvelope.decode(msgpack.packb({**msgpack.unpackb(CALL.encode()), "new": 1})) == CALL


def test_another_format_version_is_refused() -> None:
    with pytest.raises(EnvelopeError, match="format 1"):
        CallEnvelope.decode(msgpack.packb({**msgpack.unpackb(CALL.encode()), "v": 2}))


def test_another_type_is_refused() -> None:
    with pytest.raises(EnvelopeError, match="type reply"):
        ReplyEnvelope.decode(CALL.encode())


def test_oversize_is_refused_before_it_is_read() -> None:
    with pytest.raises(EnvelopeError, match="bound"):
        CallEnvelope.decode(b"\x00" * (MAX_BYTES + 1))


@given(body=st.binary())
def test_any_bytes_give_an_envelope_or_an_envelope_error(body: bytes) -> None:
    with pytest.raises(EnvelopeError):
        CallEnvelope.decode(body)


@pytest.mark.parametrize("frame", [b"", b"{}", b"[2]", b'[2,"1","A",5]', b"\xff"])
def test_a_frame_without_payload_object_is_an_envelope_error(frame: bytes) -> None:
    with pytest.raises(EnvelopeError):
        CallEnvelope("CP1", Version.V16, "gw", "s", 1, "u", "A", frame, 1).payload()


def test_the_payload_is_read_from_the_frame() -> None:
    assert CALL.payload() == {"a": 1}
