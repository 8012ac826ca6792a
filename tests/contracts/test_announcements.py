"""Announcements, heartbeats and snapshot requests: read back as written; only EnvelopeError escapes from reading."""

import contextlib
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.announcements import (
    MAX_BYTES,
    MOST_ENTRIES,
    Announcement,
    Closed,
    Heartbeat,
    Opened,
    SnapshotRequest,
    read,
)
from contracts.errors import EnvelopeError
from contracts.versions import Version

texts = st.text(max_size=20)
numbers = st.integers(-(2**63), 2**63 - 1)
opened = st.builds(Opened, texts, texts, numbers, st.sampled_from(Version), texts, numbers)
closed = st.builds(Closed, texts, texts, numbers, numbers, numbers, texts)
messages = st.one_of(
    st.builds(
        Announcement,
        texts,
        st.lists(opened, max_size=5).map(tuple),
        st.lists(closed, max_size=5).map(tuple),
        st.booleans(),
        st.booleans(),
    ),
    st.builds(Heartbeat, texts, numbers, numbers, numbers, st.booleans()),
    st.builds(SnapshotRequest, texts),
)
anything = st.recursive(
    st.none() | st.booleans() | numbers | st.floats() | texts | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=12,
)
AN_ENTRY = Opened("CP-1", "s1", 5, Version.V16, "10.0.0.1:1", 4)
SAMPLE = Announcement("g1", (AN_ENTRY,), (Closed("CP-2", "s2", 3, 9, 1006, "broken"),), snapshot=True, last=True)


@given(message=messages)
def test_what_is_written_is_read_back(message: Announcement | Heartbeat | SnapshotRequest) -> None:
    assert read(message.encode()) == message
    assert type(message).decode(message.encode()) == message


@given(body=st.binary() | anything.map(msgpack.packb))
def test_any_bytes_are_an_envelope_error(body: bytes) -> None:
    for reader in (read, Announcement.decode, Heartbeat.decode, SnapshotRequest.decode):
        with pytest.raises(EnvelopeError):
            reader(body)


@given(message=messages, data=st.data())
def test_a_mutated_message_is_read_or_an_envelope_error(
    message: Announcement | Heartbeat | SnapshotRequest, data: st.DataObject
) -> None:
    content: dict[str, Any] = msgpack.unpackb(message.encode())
    content[data.draw(st.sampled_from(sorted(content)))] = data.draw(anything)
    raw = msgpack.packb(content)
    at = data.draw(st.integers(0, len(raw)))
    for body in (raw, raw[:at], raw[:at] + data.draw(st.binary(max_size=3)) + raw[at + 1 :]):
        with contextlib.suppress(EnvelopeError):
            read(body)


def test_each_kind_refuses_the_others() -> None:
    kinds: list[Any] = [SAMPLE, Heartbeat("g1", 1, 2, 3), SnapshotRequest("c1")]
    for message in kinds:
        for other in kinds:
            if other is not message:
                with pytest.raises(EnvelopeError):
                    type(other).decode(message.encode())


def test_entries_and_keys_of_a_newer_sender_are_read_as_far_as_they_are_known() -> None:
    content = msgpack.unpackb(SAMPLE.encode())
    content["new"] = 1
    content["opened"] = [[*entry, "new"] for entry in content["opened"]]
    assert Announcement.decode(msgpack.packb(content)) == SAMPLE


def test_an_announcement_holds_so_many_entries_and_no_more() -> None:
    full = Announcement("g1", (AN_ENTRY,) * MOST_ENTRIES)
    assert len(Announcement.decode(full.encode()).opened) == MOST_ENTRIES
    for over in (
        Announcement("g1", (AN_ENTRY,) * (MOST_ENTRIES + 1)),
        Announcement("g1", (AN_ENTRY,) * MOST_ENTRIES, SAMPLE.closed),
    ):
        with pytest.raises(EnvelopeError):
            Announcement.decode(over.encode())


def test_a_full_announcement_of_the_longest_names_is_within_the_bound() -> None:
    entry = Opened("ä" * 127, "s" * 36, 2**53, Version.V201, "[2001:db8::1]:65535" * 2, 2**53)
    assert len(Announcement("g" * 100, (entry,) * MOST_ENTRIES).encode()) < MAX_BYTES


def test_oversize_is_refused_before_it_is_read() -> None:
    with pytest.raises(EnvelopeError, match="bound"):
        read(b"\x00" * (MAX_BYTES + 1))
