"""A Sans-I/O AMQP 0-9-1 codec for the hot verbs: publish, deliver, ack, confirm, return.

Every other method goes through `pamqp`. Frames: specification 4.2; class and method ids: amqp0-9-1.xml.
Why own code: an AMQP library in the path costs ten times the gateway's other work (design, section 8).
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from pamqp import base, decode, frame

from contracts.errors import BrokerRefusedError

METHOD, HEADER, BODY = 1, 2, 3
FRAME_END = b"\xce"
FRAME_OVERHEAD = 8
FRAME_MAX = 131072
"""Largest frame we negotiate."""

HEARTBEAT_FRAME = b"\x08\x00\x00\x00\x00\x00\x00\xce"
CHANNEL = 1
"""The one channel a link uses besides 0."""

_BASIC = 60
_PUBLISH, _RETURN, _DELIVER, _ACK, _REJECT, _NACK = 40, 50, 60, 80, 90, 120
_METHOD_IDS = struct.Struct(">HH")
_FRAME_HEAD = struct.Struct(">BHI")
_CONTENT_HEAD = struct.Struct(">HHQH")
_LONG = struct.Struct(">I")
_TAG = struct.Struct(">Q")
_TAG_AND_BIT = struct.Struct(">QB")

_F_CONTENT_TYPE, _F_ENCODING, _F_HEADERS, _F_MODE = 1 << 15, 1 << 14, 1 << 13, 1 << 12
_F_PRIORITY, _F_CORRELATION, _F_REPLY_TO, _F_EXPIRATION = 1 << 11, 1 << 10, 1 << 9, 1 << 8
_F_MESSAGE_ID, _F_TIMESTAMP, _F_TYPE = 1 << 7, 1 << 6, 1 << 5

MSGPACK = "application/msgpack"
_NOTHING = b"\xff"
"""How no frame begins."""

_MSGPACK_SHORT = bytes((len(MSGPACK),)) + MSGPACK.encode()


@dataclass(slots=True)
class Content:
    """What a delivery and a returned message have in common: the properties we use, and the body."""

    exchange: str
    routing_key: str
    body: bytes = b""
    content_type: str = ""
    correlation_id: str = ""
    reply_to: str = ""
    message_id: str = ""
    type: str = ""
    raw_headers: bytes = b""
    raw_properties: bytes = b""
    """The whole content header, kept when there are headers: dead letters have some, and are replayed as they were."""

    @property
    def headers(self) -> dict[str, Any]:
        """The headers table, decoded when asked for; raises ValueError when it cannot be read."""
        try:
            return dict(decode.field_table(self.raw_headers)[1]) if self.raw_headers else {}
        except RecursionError:
            raise ValueError("the headers are nested too deep") from None


@dataclass(slots=True)
class Delivery(Content):
    """One delivery to a consumer. `generation` tells which connection it came by: tags mean nothing on another."""

    queue: str = ""
    tag: int = 0
    generation: int = 0
    redelivered: bool = False

    @property
    def delivery_count(self) -> int:
        """How often a quorum queue has delivered this before; 0 at first."""
        try:
            count = self.headers.get("x-delivery-count")
        except ValueError:
            return 0  # the publisher's own header may be anything, the broker's is always a number
        return count if isinstance(count, int) else 0


@dataclass(slots=True)
class Returned(Content):
    """A mandatory publish that no queue took."""

    reply_code: int = 0
    reply_text: str = ""


class Sink(Protocol):
    """Who is told what a FrameReader has read."""

    def on_delivery(self, delivery: Delivery) -> None: ...
    def on_return(self, returned: Returned) -> None: ...
    def on_confirm(self, tag: int, multiple: bool, taken: bool) -> None: ...
    def on_method(self, channel: int, method: base.Frame) -> None: ...


class FrameReader:
    """Cuts a byte stream into frames and tells its sink; raises BrokerRefusedError on bytes that are not AMQP."""

    __slots__ = ("_after", "_before", "_buffer", "_chunks", "_content", "_missing", "_names", "_sink")

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._buffer = b""
        self._content: Delivery | Returned | None = None
        self._chunks: list[bytes] = []
        self._missing = 0
        # The last basic.deliver around its tag, and what it named: in a row of deliveries only the tags differ.
        self._before = self._after = _NOTHING
        self._names = ("", "", "")

    def feed(self, data: bytes) -> None:
        """Take the next bytes; the sink is called for each thing that became complete."""
        if self._buffer:
            data = self._buffer + data
        position, end = 0, len(data)
        while end - position >= 7:
            kind, channel, size = _FRAME_HEAD.unpack_from(data, position)
            if size > FRAME_MAX:
                greeting = data.startswith(b"AMQP", position)
                raise BrokerRefusedError("the broker does not speak AMQP 0-9-1" if greeting else "frame over the bound")
            start = position + 7
            stop = start + size
            if stop >= end:
                break
            if data[stop] != 0xCE:
                raise BrokerRefusedError("frame without its end octet")
            if kind == METHOD:
                tag_at = position + len(self._before)
                if data.startswith(self._before, position) and data.startswith(self._after, tag_at + 9):
                    self._delivery(data, tag_at)
                else:
                    self._method(channel, data, position, start, stop)
            elif kind == HEADER:
                self._header(data, start, stop)
            elif kind == BODY:
                self._body(data[start:stop])
            position = stop + 1
        self._buffer = data[position:]

    def _method(self, channel: int, data: bytes, position: int, start: int, stop: int) -> None:
        class_id, method_id = _METHOD_IDS.unpack_from(data, start)
        at = start + 4
        if class_id == _BASIC:
            if method_id == _DELIVER:
                consumer, tag_at = _short(data, at)
                exchange, at = _short(data, tag_at + 9)
                key, _ = _short(data, at)
                self._names = exchange, key, consumer
                self._before, self._after = data[position:tag_at], data[tag_at + 9 : stop]
                self._delivery(data, tag_at)
                return
            if method_id in {_ACK, _NACK}:
                tag, bits = _TAG_AND_BIT.unpack_from(data, at)
                self._sink.on_confirm(tag, bits & 1 == 1, method_id == _ACK)
                return
            if method_id == _RETURN:
                code = int.from_bytes(data[at : at + 2], "big")
                text, at = _short(data, at + 2)
                exchange, at = _short(data, at)
                key, _ = _short(data, at)
                self._content = Returned(exchange, key, reply_code=code, reply_text=text)
                return
        _, _, method = frame.unmarshal(data[position : stop + 1])
        if not isinstance(method, base.Frame):
            raise BrokerRefusedError("unreadable method frame")
        self._sink.on_method(channel, method)

    def _delivery(self, data: bytes, tag_at: int) -> None:
        exchange, key, consumer = self._names
        tag, redelivered = _TAG_AND_BIT.unpack_from(data, tag_at)
        self._content = Delivery(exchange, key, queue=consumer, tag=tag, redelivered=redelivered == 1)

    def _header(self, data: bytes, at: int, stop: int) -> None:
        content = self._content
        if content is None:
            raise BrokerRefusedError("content header without its method")
        _, _, size, flags = _CONTENT_HEAD.unpack_from(data, at)
        start = at
        at += 14
        if flags & _F_CONTENT_TYPE:
            if data.startswith(_MSGPACK_SHORT, at):  # nearly always
                content.content_type = MSGPACK
                at += len(_MSGPACK_SHORT)
            else:
                content.content_type, at = _short(data, at)
        if flags & _F_ENCODING:
            _, at = _short(data, at)
        if flags & _F_HEADERS:
            length = int.from_bytes(data[at : at + 4], "big") + 4
            content.raw_headers = data[at : at + length]
            content.raw_properties = data[start:stop]
            at += length
        at += bool(flags & _F_MODE) + bool(flags & _F_PRIORITY)
        if flags & _F_CORRELATION:
            content.correlation_id, at = _short(data, at)
        if flags & _F_REPLY_TO:
            content.reply_to, at = _short(data, at)
        if flags & _F_EXPIRATION:
            _, at = _short(data, at)
        if flags & _F_MESSAGE_ID:
            content.message_id, at = _short(data, at)
        if flags & _F_TIMESTAMP:
            at += 8
        if flags & _F_TYPE:
            content.type, at = _short(data, at)
        self._missing = size
        if size == 0:
            self._complete()

    def _body(self, chunk: bytes) -> None:
        self._missing -= len(chunk)
        if self._content is None or self._missing < 0:
            raise BrokerRefusedError("content body out of place")
        if self._missing or self._chunks:
            self._chunks.append(chunk)
            if self._missing:
                return
            chunk = b"".join(self._chunks)
            self._chunks = []
        self._content.body = chunk
        self._complete()

    def _complete(self) -> None:
        content, self._content = self._content, None
        if isinstance(content, Delivery):
            self._sink.on_delivery(content)
        elif content is not None:
            self._sink.on_return(content)


def _short(data: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + data[at]
    return data[at + 1 : end].decode("utf-8", "replace"), end


_LENGTHS = tuple(bytes((length,)) for length in range(256))


def _short_string(text: str) -> bytes:
    encoded = text.encode("utf-8")
    if len(encoded) > 255:
        raise ValueError("an AMQP short string holds at most 255 bytes")
    return _LENGTHS[len(encoded)] + encoded


@lru_cache(maxsize=2048)
def _publish_method(exchange: str, routing_key: str, mandatory: bool) -> bytes:
    # Exchanges, keys and reply queues recur; correlation ids do not, so only these are cached.
    arguments = b"\x00\x00" + _short_string(exchange) + _short_string(routing_key) + (b"\x01" if mandatory else b"\x00")
    return encode_frame(METHOD, _METHOD_IDS.pack(_BASIC, _PUBLISH) + arguments)


@lru_cache(maxsize=256)
def _cached_short(text: str) -> bytes:
    return _short_string(text)


@lru_cache(maxsize=256)
def _first_properties(content_type: str, persistent: bool) -> tuple[int, bytes]:
    """Flags and values of what comes before the correlation id."""
    mode = b"\x02" if persistent else b"\x01"
    return (_F_CONTENT_TYPE | _F_MODE, _short_string(content_type) + mode) if content_type else (_F_MODE, mode)


def encode_headers(headers: Mapping[str, str]) -> bytes:
    """A headers table of texts; raises ValueError when a name is over 255 bytes."""
    table = b"".join(
        _short_string(name) + b"S" + _LONG.pack(len(encoded := value.encode())) + encoded
        for name, value in headers.items()
    )
    return _LONG.pack(len(table)) + table


def encode_frame(kind: int, payload: bytes, channel: int = CHANNEL) -> bytes:
    """One frame around a payload."""
    return _FRAME_HEAD.pack(kind, channel, len(payload)) + payload + FRAME_END


def encode_publish(
    exchange: str,
    routing_key: str,
    body: bytes,
    *,
    frame_max: int,
    mandatory: bool = False,
    persistent: bool = False,
    correlation_id: str = "",
    reply_to: str = "",
    expiration_ms: int | None = None,
    type: str = "",  # noqa: A002 - AMQP's own name for the property
    message_id: str = "",
    content_type: str = "",
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """The method, header and body frames of a basic.publish; raises ValueError when a string is over 255 bytes."""
    flags, values = _first_properties(content_type, persistent)
    if headers:
        flags |= _F_HEADERS
        values = values[:-1] + encode_headers(headers) + values[-1:]  # they come before the delivery mode
    if correlation_id:
        flags |= _F_CORRELATION
        values += _short_string(correlation_id)
    if reply_to:
        flags |= _F_REPLY_TO
        values += _cached_short(reply_to)
    if expiration_ms is not None:
        flags |= _F_EXPIRATION
        values += _short_string(str(max(expiration_ms, 0)))
    if message_id:
        flags |= _F_MESSAGE_ID
        values += _short_string(message_id)
    if type:
        flags |= _F_TYPE
        values += _cached_short(type)
    header = _CONTENT_HEAD.pack(_BASIC, 0, len(body), flags) + values
    return encode_content(exchange, routing_key, header, body, frame_max=frame_max, mandatory=mandatory)


def encode_content(
    exchange: str, routing_key: str, header: bytes, body: bytes, *, frame_max: int, mandatory: bool
) -> bytes:
    """A basic.publish around a content header that is encoded already."""
    method = _publish_method(exchange, routing_key, mandatory)
    head = _FRAME_HEAD.pack(HEADER, CHANNEL, len(header))
    size, room = len(body), frame_max - FRAME_OVERHEAD
    if 0 < size <= room:  # in one go: the body is copied once
        body_head = _FRAME_HEAD.pack(BODY, CHANNEL, size)
        return b"".join((method, head, header, FRAME_END, body_head, body, FRAME_END))
    chunks = (encode_frame(BODY, body[at : at + room]) for at in range(0, size, room))
    return b"".join((method, head, header, FRAME_END, *chunks))


def encode_ack(tag: int, *, multiple: bool) -> bytes:
    """A basic.ack frame."""
    return encode_frame(METHOD, _METHOD_IDS.pack(_BASIC, _ACK) + _TAG.pack(tag) + (b"\x01" if multiple else b"\x00"))


def encode_reject(tag: int, *, requeue: bool) -> bytes:
    """A basic.reject frame."""
    return encode_frame(METHOD, _METHOD_IDS.pack(_BASIC, _REJECT) + _TAG.pack(tag) + (b"\x01" if requeue else b"\x00"))
