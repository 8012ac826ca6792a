"""What gateways tell everybody about their sessions, on the fanout exchange `ocpp.sessions`.

Announcements come in batches; a heartbeat every few seconds says that a gateway lives; a SnapshotRequest makes all
gateways announce what they hold to whoever asks. The body is msgpack, the AMQP property `type` its kind.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import msgpack

from contracts.errors import EnvelopeError
from contracts.versions import Version

FORMAT_VERSION = 1
MOST_ENTRIES = 1000
"""In one announcement, opened and closed together."""

MAX_BYTES = 2 * 1024 * 1024
SESSIONS_TYPE, HEARTBEAT_TYPE, SNAPSHOT_REQUEST_TYPE = "sessions", "heartbeat", "snapshot-request"


class Opened(NamedTuple):
    """A session that a gateway holds. The larger epoch of an identity is its newer session."""

    identity: str
    session: str
    epoch: int
    version: Version
    remote: str
    opened_ms: int


class Closed(NamedTuple):
    """A session that ended; `code` is the WebSocket close code (1006: the connection broke)."""

    identity: str
    session: str
    epoch: int
    closed_ms: int
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Announcement:
    """Sessions of one gateway; within it, what opened comes before what closed.

    `snapshot` is set in the parts of an answer to a SnapshotRequest, and of what a gateway announces when its broker
    connection is new; `last` in the last part.
    """

    gateway: str
    opened: tuple[Opened, ...] = ()
    closed: tuple[Closed, ...] = ()
    snapshot: bool = False
    last: bool = False

    def encode(self) -> bytes:
        """The msgpack body."""
        return _pack(
            SESSIONS_TYPE,
            gateway=self.gateway,
            opened=[(*entry[:3], entry.version.value, *entry[4:]) for entry in self.opened],
            closed=self.closed,
            snapshot=self.snapshot,
            last=self.last,
        )

    @classmethod
    def decode(cls, body: bytes) -> "Announcement":
        """Read a body; raises EnvelopeError."""
        content = _unpack(body, SESSIONS_TYPE)
        try:
            if len(content["opened"]) + len(content["closed"]) > MOST_ENTRIES:
                raise EnvelopeError(f"announcement of more than {MOST_ENTRIES} entries")
            return cls(
                gateway=_text(content["gateway"]),
                opened=tuple(_opened(*entry) for entry in content["opened"]),
                closed=tuple(_closed(*entry) for entry in content["closed"]),
                snapshot=bool(content["snapshot"]),
                last=bool(content["last"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise EnvelopeError(f"unreadable announcement: {type(error).__name__}") from error


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A gateway lives. `epoch` is the largest that it has given or heard; `leaving` its last word."""

    gateway: str
    sessions: int
    epoch: int
    interval_ms: int
    leaving: bool = False

    def encode(self) -> bytes:
        """The msgpack body."""
        return _pack(
            HEARTBEAT_TYPE,
            gateway=self.gateway,
            sessions=self.sessions,
            epoch=self.epoch,
            interval_ms=self.interval_ms,
            leaving=self.leaving,
        )

    @classmethod
    def decode(cls, body: bytes) -> "Heartbeat":
        """Read a body; raises EnvelopeError."""
        content = _unpack(body, HEARTBEAT_TYPE)
        try:
            return cls(
                gateway=_text(content["gateway"]),
                sessions=_number(content["sessions"]),
                epoch=_number(content["epoch"]),
                interval_ms=_number(content["interval_ms"]),
                leaving=bool(content["leaving"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise EnvelopeError(f"unreadable heartbeat: {type(error).__name__}") from error


@dataclass(frozen=True, slots=True)
class SnapshotRequest:
    """Somebody starts and asks what every gateway holds; the answers go to the delivery's `reply_to`."""

    asker: str

    def encode(self) -> bytes:
        """The msgpack body."""
        return _pack(SNAPSHOT_REQUEST_TYPE, asker=self.asker)

    @classmethod
    def decode(cls, body: bytes) -> "SnapshotRequest":
        """Read a body; raises EnvelopeError."""
        content = _unpack(body, SNAPSHOT_REQUEST_TYPE)
        try:
            return cls(_text(content["asker"]))
        except (KeyError, TypeError) as error:
            raise EnvelopeError(f"unreadable snapshot request: {type(error).__name__}") from error


def read(body: bytes) -> Announcement | Heartbeat | SnapshotRequest:
    """Whichever of the three a body is; raises EnvelopeError."""
    content = _content(body)
    kind = content.get("t")
    readers: dict[str, Callable[[bytes], Announcement | Heartbeat | SnapshotRequest]] = {
        SESSIONS_TYPE: Announcement.decode,
        HEARTBEAT_TYPE: Heartbeat.decode,
        SNAPSHOT_REQUEST_TYPE: SnapshotRequest.decode,
    }
    reader = readers.get(kind) if isinstance(kind, str) else None
    if reader is None:
        raise EnvelopeError("neither an announcement nor a heartbeat nor a snapshot request")
    return reader(body)


def _pack(kind: str, **content: Any) -> bytes:
    return cast("bytes", msgpack.packb({"v": FORMAT_VERSION, "t": kind, **content}))


def _unpack(body: bytes, kind: str) -> dict[str, Any]:
    content = _content(body)
    if content.get("v") != FORMAT_VERSION or content.get("t") != kind:
        raise EnvelopeError(f"not a {kind} of format {FORMAT_VERSION}")
    return content


def _content(body: bytes) -> dict[str, Any]:
    if len(body) > MAX_BYTES:
        raise EnvelopeError(f"announcement of {len(body)} bytes is over the bound of {MAX_BYTES}")
    try:
        content = msgpack.unpackb(body, max_map_len=64, max_array_len=MOST_ENTRIES, max_ext_len=0)
    except (ValueError, TypeError, RecursionError) as error:
        raise EnvelopeError(f"not msgpack: {type(error).__name__}") from error
    if not isinstance(content, dict):
        raise EnvelopeError("not a map")
    return content


def _opened(identity: Any, session: Any, epoch: Any, version: Any, remote: Any, opened_ms: Any, *_: Any) -> Opened:
    return Opened(_text(identity), _text(session), _number(epoch), Version(version), _text(remote), _number(opened_ms))


def _closed(identity: Any, session: Any, epoch: Any, closed_ms: Any, code: Any, reason: Any, *_: Any) -> Closed:
    return Closed(_text(identity), _text(session), _number(epoch), _number(closed_ms), _number(code), _text(reason))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _number(value: Any) -> int:
    if type(value) is not int:
        raise TypeError("not a number")
    return value
