"""The frame log: every OCPP frame each way, in batches, in the stream `ocpp.frames`.

A batch is msgpack `{"v": 1, "t": "frames", "gateway": …, "frames": [[time, identity, session, direction, frame], …]}`.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple, cast

import msgpack

from contracts.errors import EnvelopeError

FORMAT_VERSION = 1
FRAMES_TYPE = "frames"


class Direction(StrEnum):
    """Which way a frame went, as the gateway sees it."""

    IN = "in"
    OUT = "out"


class LoggedFrame(NamedTuple):
    """One text frame as it was on the socket, but for what is masked."""

    at_ms: int
    """Milliseconds since 1970 (UTC) at which it was read, or handed to the socket."""
    identity: str
    session: str
    direction: Direction
    frame: bytes


def encode_frames(gateway: str, frames: Sequence[LoggedFrame]) -> bytes:
    """The msgpack body of a batch."""
    rows = [(*entry[:3], entry.direction.value, entry.frame) for entry in frames]
    return cast("bytes", msgpack.packb({"v": FORMAT_VERSION, "t": FRAMES_TYPE, "gateway": gateway, "frames": rows}))


def decode_frames(body: bytes) -> tuple[str, list[LoggedFrame]]:
    """The gateway and the frames of a batch; raises EnvelopeError."""
    try:
        content: Any = msgpack.unpackb(body, max_ext_len=0)
        if content["v"] != FORMAT_VERSION or content["t"] != FRAMES_TYPE:
            raise EnvelopeError(f"not a batch of frames of format {FORMAT_VERSION}")
        frames = [
            LoggedFrame(int(at_ms), str(identity), str(session), Direction(direction), bytes(frame))
            for at_ms, identity, session, direction, frame, *_ in content["frames"]
        ]
        return str(content["gateway"]), frames
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise EnvelopeError(f"unreadable batch of frames: {type(error).__name__}") from error
