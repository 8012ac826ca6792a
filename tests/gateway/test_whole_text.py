"""Whole text frames are read without the Sans-I/O core, and exactly as it would have read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from gateway import frames
from tests.gateway.station import client_frame, close_code, head_of, raw, upgrade_request

MOST = 2048
payloads = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=100).map(str.encode),
    st.sampled_from([bytes(n) for n in (119, 125, 126, 127)]),
    st.binary(max_size=130).map(lambda inner: client_frame(1, inner)),  # looks like a frame itself
)


@st.composite
def wire_frames(draw):
    """Head and body of a frame as any peer may send it: any bits, any opcode, masked or not, any length field."""
    payload = draw(payloads | st.integers(MOST - 2, MOST + 2).map(lambda size: b"x" * size))
    first = draw(st.sampled_from([0x81, 0x81, 0x01, 0x00, 0x80, 0x82, 0x88, 0x89, 0x8A, 0xC1, 0xA1, 0x91, 0x83, 0x8B]))
    masked = draw(st.integers(0, 5)) > 0
    mask = draw(st.just(bytes(4)) | st.binary(min_size=4, max_size=4)) if masked else b""
    size, bit = len(payload), 0x80 if masked else 0
    width = draw(st.sampled_from([0, 2, 8] if size <= 125 else [2, 8]))
    length = bytes((bit | {0: size, 2: 126, 8: 127}[width],)) + (size.to_bytes(width) if width else b"")
    body = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload)) if masked else payload
    return bytes((first,)) + length + mask, body


def core(*, before: bytes = b"") -> ServerProtocol:
    protocol = frames.new_protocol(MOST)
    protocol.receive_data(upgrade_request())
    (request,) = protocol.events_received()
    assert isinstance(request, Request)
    protocol.send_response(protocol.accept(request))
    protocol.data_to_send()
    if before:
        protocol.receive_data(before)
        protocol.events_received()
    return protocol


def heard(protocol: ServerProtocol, chunks: list[bytes], *, shortcut: bool) -> list[object]:
    """All that is read of these chunks, what is answered to them, and what state that leaves."""
    told: list[object] = []
    for data in chunks:
        text = frames.whole_text(protocol, data) if shortcut else None
        if text is not None:
            told.append((Opcode.TEXT, text, True))
        else:
            protocol.receive_data(data)
            told += [(event.opcode, bytes(event.data), event.fin) for event in protocol.events_received()]  # type: ignore[union-attr]
    close = protocol.close_sent
    return [*told, protocol.data_to_send(), protocol.state, close and (close.code, close.reason)]


@given(st.lists(wire_frames(), min_size=1, max_size=6), st.data())
def test_any_frames_in_any_pieces_are_read_alike(sent, data):
    whole = [head + body for head, body in sent]
    stream = b"".join(whole)
    parts = [part for frame in sent for part in frame]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=4)))
    pieces = [stream[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    for chunks in (whole, parts, pieces, [stream]):
        assert heard(core(), chunks, shortcut=True) == heard(core(), chunks, shortcut=False)


@given(payloads)
def test_a_whole_frame_takes_the_short_way(payload):
    assert frames.whole_text(core(), client_frame(1, payload)) == payload


def test_what_is_no_whole_message_takes_the_long_way():
    text = client_frame(1, b"x")
    assert frames.whole_text(core(before=client_frame(1, b"x", fin=False)), text) is None
    compressing = core()
    compressing.extensions = [PerMessageDeflate(True, True, 12, 12)]
    assert frames.whole_text(compressing, text) is None
    assert frames.whole_text(core(), client_frame(1, bytes(MOST + 1))) is None
    assert frames.whole_text(core(), Frame(Opcode.TEXT, b"x").serialize(mask=False)) is None


@pytest.mark.parametrize("message", [b"x", b"x" * 200])
def test_what_looks_like_a_frame_amid_another_is_not_one(message):
    text = client_frame(1, message)
    for cut in range(1, len(text)):
        assert frames.whole_text(core(before=text[:cut]), text) is None


def test_the_beginning_of_a_long_frame_is_not_a_short_one():
    begun = b"\x81\xff" + (200).to_bytes(8) + bytes(4) + b"x" * 119
    assert len(begun) == 127 + 6
    assert frames.whole_text(core(), begun) is None


async def test_text_that_is_no_utf8_ends_the_session(edge_alone):
    gateway, _ = await edge_alone()
    reader, writer = await raw(gateway, upgrade_request())
    await head_of(reader)
    writer.write(client_frame(1, b'[2,"1","Heartbeat",{"\xff":1}]'))
    assert await close_code(reader) == 1007


async def test_a_message_over_the_bound_ends_the_session_though_it_is_small(edge_alone):
    gateway, _ = await edge_alone(max_frame_bytes=1024)
    reader, writer = await raw(gateway, upgrade_request())
    await head_of(reader)
    writer.write(client_frame(1, b"x" * 1025))
    assert await close_code(reader) == 1009
