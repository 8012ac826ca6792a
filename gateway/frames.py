"""Socket details of this gateway: phases, how the library is set up, and the two frames written without it."""

import asyncio
import logging
import socket
import sys
from enum import IntEnum
from types import GeneratorType
from typing import cast

from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.streams import StreamReader

try:
    from websockets.speedups import apply_mask
except ImportError:  # no wheel for this platform
    from websockets.utils import apply_mask

SLICE_BYTES, DEFLATED_SLICE_BYTES = 16 * 1024, 1024
"""Parsed at once: bounds what is pending when the session has no more room. A deflated byte may become a thousand."""

PING = b"\x89\x00"
"""An unmasked ping without payload (RFC 6455, 5.5.2)."""

_FRAME_AWAITED = StreamReader.at_eof.__code__
"""Where the parser of the Sans-I/O core rests between frames."""

_PEER_CLOSED = frozenset({7, 8})
"""TCP_CLOSE and TCP_CLOSE_WAIT of Linux's tcp_states.h."""

# No context takeover either way: an idle connection then holds no compression state at all.
DEFLATE = [
    ServerPerMessageDeflateFactory(
        server_no_context_takeover=True,
        client_no_context_takeover=True,
        server_max_window_bits=12,
        client_max_window_bits=12,
        compress_settings={"memLevel": 5},
    )
]

# Frames must not reach a log, and the gateway logs each session itself: the library has nothing to add.
_SILENT = logging.getLogger("gateway.websockets")
_SILENT.setLevel(logging.CRITICAL)


class Phase(IntEnum):
    """Where a connection is in its life."""

    REQUEST = 0
    VERDICT = 1
    OPEN = 2
    CLOSING = 3
    GONE = 4


def new_protocol(max_frame_bytes: int) -> ServerProtocol:
    """The Sans-I/O core for one connection."""
    return ServerProtocol(max_size=max_frame_bytes, logger=_SILENT)


def text_header(length: int) -> bytes:
    """The header of an unfragmented, unmasked text frame (RFC 6455, 5.2)."""
    if length < 126:
        return bytes((0x81, length))
    if length < 65536:
        return b"\x81\x7e" + length.to_bytes(2, "big")
    return b"\x81\x7f" + length.to_bytes(8, "big")


def whole_text(protocol: ServerProtocol, data: bytes) -> bytes | None:
    """The message, if these bytes are all of it: one masked, unfragmented text frame (RFC 6455, 5.2) of one slice.

    None: the bytes are for the Sans-I/O core, which would have said the same of these. Those of a core that is amid a
    frame or a message, has extensions or is closing always are.
    """
    size = len(data)
    if not 6 <= size <= SLICE_BYTES or data[0] != 0x81:  # FIN, no reserved bit, text
        return None
    length, begin = data[1] - 0x80, 6  # negative when it is not masked
    if length >= 126:
        if length == 127 or size < 8:  # no length of 64 bits fits into a slice, but where fewer would do
            return None
        length, begin = data[2] << 8 | data[3], 8
    if length != size - begin or length > cast("int", protocol.max_message_size):
        return None
    if protocol.extensions or protocol.current_size is not None or protocol.state is not OPEN:
        return None
    if not _between_frames(protocol):
        return None
    return apply_mask(data[begin:], data[begin - 4 : begin])


def _between_frames(protocol: ServerProtocol) -> bool:
    """Whether the core waits for a frame to begin. Its buffer does not tell: a header leaves it before its payload."""
    waiting = cast("GeneratorType[None, None, object]", protocol.parser)
    while (inner := waiting.gi_yieldfrom) is not None:
        waiting = cast("GeneratorType[None, None, object]", inner)
    return waiting.gi_code is _FRAME_AWAITED


def is_text(message: bytes) -> bool:
    """Whether it is UTF-8, as a text message must be (RFC 6455, 8.1)."""
    if message.isascii():
        return True
    try:
        message.decode()
    except UnicodeDecodeError:
        return False
    return True


def farewell(protocol: ServerProtocol) -> tuple[int, str]:
    """The close code and reason of whoever said it first; 1006 (RFC 6455, 7.4.1) when nobody did."""
    first = protocol.close_rcvd if protocol.close_rcvd_then_sent else protocol.close_sent or protocol.close_rcvd
    return (1006, "connection lost") if first is None else (int(first.code), first.reason)


def peer_left(transport: asyncio.BaseTransport) -> bool:
    """Whether the peer has ended its side, even if that is unread yet; only Linux tells."""
    sock = transport.get_extra_info("socket")
    if sock is None or sys.platform != "linux":
        return False
    try:
        state: int = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    except OSError:
        return False
    return state in _PEER_CLOSED
