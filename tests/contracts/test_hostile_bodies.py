"""Bodies from a hostile peer on the broker: refused with the documented error, in little memory, and never believed."""

import contextlib
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contracts import announcements, bodies, frame_log
from contracts.bodies import ContentType
from contracts.client.letters import content_of
from contracts.envelope import (
    AdmissionChanged,
    AdmissionNotice,
    AdmissionQuery,
    AdmissionVerdict,
    CallEnvelope,
    CommandEnvelope,
    Envelope,
    JobReceipt,
    JobRequest,
    OutcomeEnvelope,
    ReplyEnvelope,
)
from contracts.errors import BodyError, EnvelopeError
from contracts.versions import Version

ENVELOPES: list[type[Envelope]] = [
    AdmissionChanged, AdmissionNotice, AdmissionQuery, AdmissionVerdict, CallEnvelope, CommandEnvelope, JobReceipt,
    JobRequest, OutcomeEnvelope, ReplyEnvelope,
]  # fmt: skip
READERS: list[Callable[[bytes], Any]] = [
    *(kind.decode for kind in ENVELOPES),
    announcements.read,
    frame_log.decode_frames,
    lambda body: bodies.decode(body, ContentType.MSGPACK),
    lambda body: bodies.decode(body, ContentType.JSON),
]
MIB = 1024 * 1024
BOUND = 100 * MIB

NESTED_LISTS = b"\xdd\x00\x00\x27\x00"  # of 9984 entries
HOSTILE = {
    "deep lists": b"\x91" * 900_000,
    "deep maps": b"\x81\xa1a" * 300_000,
    "deep JSON": b"[" * 900_000,
    "deep JSON maps": b'{"a":' * 150_000,
    "a list of four billion": b"\xdd\xff\xff\xff\xff",
    "a map of four billion": b"\xdf\xff\xff\xff\xff",
    "a text of four billion": b"\xdb\xff\xff\xff\xff",
    "bytes of four billion": b"\xc6\xff\xff\xff\xff",
    "an extension of four billion": b"\xc9\xff\xff\xff\xff\x01",
    "nested lists that announce what the body could hold": b"\xdd\x00\x0d\xff\xff" * 180_000,
    "nested lists just below the bound": NESTED_LISTS * 180_000,
    "nested lists of 64": b"\xdc\x00\x40" * 300_000,
    "nested lists in a map": b"\x81\xa1v" + NESTED_LISTS * 180_000,
    "a timestamp": b"\x81\xa1v\xd6\xff\x00\x00\x00\x00",
    "an extension": b"\x81\xa1v\xd4\x05\x00",
    "keys that are lists": b"\x81\x91\xc0\xc0",
    "keys that are numbers": b"\x81\x01\xc0",
    "the same key again and again": b"\xde\x40\x00" + b"\xa1v\x01" * 0x4000,
    "text that is not UTF-8": b"\x81\xa1v\xa1\xff",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_each_is_refused_in_bounded_memory(case: str) -> None:
    body = HOSTILE[case]
    tracemalloc.start()
    try:
        for read in READERS:
            tracemalloc.reset_peak()
            try:
                read(body)
            except (EnvelopeError, BodyError):
                pass
            else:
                assert read is READERS[-2], "only a plain map may be taken"
            assert tracemalloc.get_traced_memory()[1] < BOUND
        tracemalloc.reset_peak()
        assert content_of(body) is not None
        assert tracemalloc.get_traced_memory()[1] < BOUND
    finally:
        tracemalloc.stop()


_leaves = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary()
_values = st.recursive(
    _leaves,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6) | st.integers(0, 9), inner, max_size=4)
    ),
    max_leaves=12,
)
_names = st.sampled_from(
    ["v", "t", "identity", "gateway", "version", "epoch", "frame", "kind", "keys", "profile", "opened"]
)
_types = st.sampled_from([kind.TYPE for kind in ENVELOPES] + ["sessions", "heartbeat", "snapshot-request", "frames"])
_almost = st.builds(
    lambda kind, rest: {**rest, "v": 1, "t": kind}, _types, st.dictionaries(_names | st.text(max_size=6), _values)
)


@given(body=(_values | _almost).map(lambda value: msgpack.packb(value)) | st.binary(max_size=200))
@example(b"\x82\xa1v\x01\xa1t\xc0")
def test_whatever_comes_only_the_documented_errors_escape(body: bytes) -> None:
    for read in READERS:
        with contextlib.suppress(EnvelopeError, BodyError):
            read(body)
    content_of(body)


@given(payload=st.dictionaries(st.sampled_from(["identity", "gateway", "session", "chargePointId"]), st.text()))
def test_what_a_payload_says_of_an_identity_changes_nothing(payload: dict[str, str]) -> None:
    import orjson

    frame = orjson.dumps([2, "1", "Heartbeat", {**payload, "identity": "CP-EVIL"}])
    call = CallEnvelope("CP-1", Version.V16, "gw", "s", 1, "1", "Heartbeat", frame, 1)
    read = CallEnvelope.decode(call.encode())
    assert (read.identity, read.gateway, read.session) == ("CP-1", "gw", "s")
