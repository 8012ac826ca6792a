"""The frame log: every OCPP frame each way, in batches, in the stream `ocpp.frames`.

A batch is msgpack `{"v": 1, "t": "frames", "gateway": …, "frames": [[time, identity, session, direction, frame], …]}`.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar, cast

import msgpack

from contracts.errors import EnvelopeError

_Kind = TypeVar("_Kind", int, str, bytes)

FORMAT_VERSION = 1
FRAMES_TYPE = "frames"
MAX_BYTES = 16 * 1024 * 1024
MOST_FRAMES = 10_000
"""In one batch; room is made for as many as it announces."""


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
    batch = {"v": FORMAT_VERSION, "t": FRAMES_TYPE, "gateway": gateway, "frames": list(frames)}
    return cast("bytes", msgpack.packb(batch))


def decode_frames(body: bytes) -> tuple[str, list[LoggedFrame]]:
    """The gateway and the frames of a batch; raises EnvelopeError."""
    if len(body) > MAX_BYTES:
        raise EnvelopeError(f"batch of {len(body)} bytes is over the bound of {MAX_BYTES}")
    try:
        content: Any = msgpack.unpackb(body, max_array_len=MOST_FRAMES, max_ext_len=0)
        if content["v"] != FORMAT_VERSION or content["t"] != FRAMES_TYPE:
            raise EnvelopeError(f"not a batch of frames of format {FORMAT_VERSION}")
        frames = [_frame(*row) for row in content["frames"]]
        return _of(str, content["gateway"]), frames
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise EnvelopeError(f"unreadable batch of frames: {type(error).__name__}") from error


def _frame(at_ms: Any, identity: Any, session: Any, direction: Any, frame: Any, *_: Any) -> LoggedFrame:
    return LoggedFrame(_of(int, at_ms), _of(str, identity), _of(str, session), Direction(direction), _of(bytes, frame))


def _of(kind: type[_Kind], value: Any) -> _Kind:
    # No conversion: bytes(10**9) would be a gigabyte.
    if type(value) is not kind:
        raise TypeError(f"not {kind.__name__}")
    return value
