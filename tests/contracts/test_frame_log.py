"""Batches of the frame log: read back as written, and nothing but EnvelopeError escapes from reading."""

import contextlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import EnvelopeError
from contracts.frame_log import Direction, LoggedFrame, decode_frames, encode_frames

frames = st.builds(
    LoggedFrame, st.integers(0, 2**53), st.text(max_size=9), st.text(max_size=9), st.sampled_from(Direction),
    st.binary(max_size=20),
)  # fmt: skip
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=4)
    | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)
SAMPLE = LoggedFrame(1, "CP-1", "s1", Direction.IN, b'[2,"1","Heartbeat",{}]')


@given(batch=st.lists(frames, max_size=5), gateway=st.text(max_size=9))
def test_a_batch_is_read_back_as_it_was(batch: list[LoggedFrame], gateway: str) -> None:
    assert decode_frames(encode_frames(gateway, batch)) == (gateway, batch)


@given(body=st.binary() | values.map(msgpack.packb))
def test_any_bytes_are_an_envelope_error(body: bytes) -> None:
    with pytest.raises(EnvelopeError):
        decode_frames(body)


@given(name=st.sampled_from(["v", "t", "gateway", "frames"]), value=values, row=st.lists(values, max_size=6))
def test_a_mutated_batch_is_read_or_an_envelope_error(name: str, value: object, row: list[object]) -> None:
    content = msgpack.unpackb(encode_frames("g1", [SAMPLE]))
    for changed in ({**content, name: value}, {**content, "frames": [row]}):
        with contextlib.suppress(EnvelopeError):
            decode_frames(msgpack.packb(changed))


@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize("wrong", [None, 7.5, [1], {}, 10**9])
def test_a_frame_with_a_field_of_another_type_is_refused(at: int, wrong: object) -> None:
    row: list[object] = [1, "CP-1", "s1", "in", b"x"]
    if at == 0 and isinstance(wrong, int):
        wrong = "soon"
    row[at] = wrong
    content = {**msgpack.unpackb(encode_frames("g1", [])), "frames": [row]}
    with pytest.raises(EnvelopeError):
        decode_frames(msgpack.packb(content))


def test_what_a_newer_gateway_adds_is_ignored() -> None:
    content = {**msgpack.unpackb(encode_frames("g1", [SAMPLE])), "new": 1}
    content["frames"][0].append("new")
    assert decode_frames(msgpack.packb(content)) == ("g1", [SAMPLE])
