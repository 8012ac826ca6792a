"""A lean websocket client for one charge point: an asyncio.Protocol that costs a few microseconds a message."""

import asyncio
import re
import ssl
from base64 import b64encode
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, cast
from urllib.parse import quote, urlsplit

TEXT, CONTINUATION, BINARY, CLOSE, PING, PONG = 1, 0, 2, 8, 9, 10
ABNORMAL = 1006
OPEN_TIMEOUT_S = 30.0

_FIN = 0x80
_FINAL_TEXT = _FIN | TEXT
_RESERVED = 0x70
_MASKED = 0x80
_MASK_BIT = b"\x80"
_KEY = bytes(4)  # a mask of zeros leaves the payload as it is
_SHORT, _LONG = 126, 65_536
_SHORT_HEADS = tuple(bytes((_FINAL_TEXT, _MASKED | size)) + _KEY for size in range(_SHORT))
_MOST_HEAD = 16_384
# What RFC 6455 makes of the key AAAAAAAAAAAAAAAAAAAAAA==; a constant key needs no hashing.
_ACCEPT = b"ICX+Yqv66kxgM0FcWaLWlFLwTAI="
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3})[ \r]")


class Refused(Exception):  # noqa: N818 - an outcome that load tests expect
    """No session came about. `why` is an HTTP status, `tls`, `tcp`, `timeout`, or `handshake` for a wrong answer."""

    def __init__(self, why: str, retry_after_s: float | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.retry_after_s = retry_after_s


class Taker(Protocol):
    """Whoever owns a socket."""

    def opened(self, socket: "Socket") -> None:
        """The session has begun; comes before everything else."""

    def text(self, payload: bytes) -> None:
        """A whole text message has come."""

    def ended(self, code: int) -> None:
        """The session is over, always once; not called for one that its owner dropped."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where charge points connect to, without identity."""

    host: str
    port: int
    path: str
    tls: ssl.SSLContext | None = None

    @classmethod
    def of(cls, url: str, tls: ssl.SSLContext | None = None) -> "Endpoint":
        """Read a ws:// or wss:// address; `tls` is the context for wss, by default one of the system's trust."""
        parts = urlsplit(url)
        secure = parts.scheme == "wss"
        if parts.scheme not in {"ws", "wss"} or not parts.hostname:
            raise ValueError(f"{url!r} is not a ws:// or wss:// address")
        context = (tls or tls_context()) if secure else None
        return cls(parts.hostname, parts.port or (443 if secure else 80), parts.path.rstrip("/"), context)


@lru_cache(maxsize=8)
def tls_context(ca_file: str | None = None) -> ssl.SSLContext:
    """The context that all sockets with these trust roots share: TLS 1.3, server verified."""
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def basic(identity: str, password: str | bytes) -> str:
    """The value of an Authorization header."""
    secret = password.encode() if isinstance(password, str) else password
    return f"Basic {b64encode(identity.encode() + b':' + secret).decode()}"


def request(path: str, *, host: str = "csms", subprotocol: str = "ocpp1.6", authorization: str | None = None) -> bytes:
    """A request to upgrade."""
    lines = [
        f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Protocol: {subprotocol}",
    ]  # fmt: skip
    if authorization is not None:
        lines.append(f"Authorization: {authorization}")
    return "\r\n".join((*lines, "", "")).encode()


def frame(opcode: int, payload: bytes) -> bytes:
    """A whole frame, masked with zeros."""
    size = len(payload)
    first = _FIN | opcode
    if size < _SHORT:
        return bytes((first, _MASKED | size)) + _KEY + payload
    if size < _LONG:
        return bytes((first, _MASKED | 126)) + size.to_bytes(2) + _KEY + payload
    return bytes((first, _MASKED | 127)) + size.to_bytes(8) + _KEY + payload


class Socket(asyncio.Protocol):
    """One session. `connect` makes it; then `send` and `drop` are its owner's, `text` and `ended` come to the owner."""

    __slots__ = ("_code", "_fragments", "_opening", "_rest", "_subprotocol", "_taker", "_transport", "begun")

    def __init__(self, upgrade: bytes, subprotocol: str, taker: Taker, opening: "asyncio.Future[None]") -> None:
        self._rest = upgrade  # to be sent first; from then on what has come of an unfinished frame or head
        self._subprotocol = subprotocol
        self._taker: Taker | None = taker
        self._opening: asyncio.Future[None] | None = opening
        self._transport: asyncio.Transport | None = None
        self._fragments: bytes | None = None
        self._code = ABNORMAL
        self.begun = False
        """Whether the session came about, be it over by now."""

    def send(self, payload: bytes) -> None:
        """Send a text message; nothing happens when the session is over."""
        transport = self._transport
        if transport is not None:
            size = len(payload)
            if size < _SHORT:
                transport.write(_SHORT_HEADS[size] + payload)
            elif size < _LONG:
                transport.write(b"\x81\xfe%b\0\0\0\0%b" % (size.to_bytes(2), payload))
            else:
                transport.write(frame(TEXT, payload))

    def close(self, code: int = 1000) -> None:
        """Say goodbye; `ended` follows once the peer has closed the connection."""
        if self._transport is not None:
            self._transport.write(frame(CLOSE, code.to_bytes(2)))

    def drop(self) -> None:
        """Be gone at once, without a word; the owner hears nothing more."""
        self._taker = None
        self.abort()

    def give_up(self) -> None:
        """Forget a session that has not come about; nothing happens to one that has."""
        if self._opening is not None:
            self._refuse("timeout")

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    # --- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._opening is None:  # given up meanwhile
            self._transport.abort()
            return
        self._transport.write(self._rest)
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
            self._rest = b""
        if self._opening is not None:
            data = self._head(data)
        # What comes almost always: one whole small message.
        if len(data) > 2 and data[0] == _FINAL_TEXT and data[1] == len(data) - 2 < _SHORT:
            if self._taker is not None:
                self._taker.text(data[2:])
            return
        while data and self._transport is not None:
            if data[0] & _RESERVED or data[1:2] >= _MASK_BIT:
                self._break_off()
                return
            size, start = _size(data)
            if start + size > len(data):
                self._rest = data
                return
            self._frame(data[0], data[start : start + size])
            data = data[start + size :]

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        taker, self._taker = self._taker, None
        if self._opening is not None:
            self._refuse("tls" if isinstance(exc, ssl.SSLError) else "tcp")
        elif taker is not None:
            taker.ended(self._code)

    def _head(self, data: bytes) -> bytes:
        """Take the answer to the request; what is behind it, or nothing while it is incomplete or no session."""
        head, found, rest = data.partition(b"\r\n\r\n")
        if not found:
            if len(data) > _MOST_HEAD:
                self._refuse("handshake")
            else:
                self._rest = data
            return b""
        status = _STATUS.match(head + b"\r")
        headers = _headers(head)
        if status is None:
            self._refuse("handshake")
        elif status[1] != b"101":
            waiting = headers.get(b"retry-after", b"")
            self._refuse(status[1].decode(), float(waiting) if waiting.isdigit() else None)
        elif (
            headers.get(b"sec-websocket-accept") != _ACCEPT
            or headers.get(b"sec-websocket-protocol") != self._subprotocol.encode()
        ):
            self._refuse("handshake")
        elif self._opening is not None:
            opening, self._opening = self._opening, None
            if not opening.done():
                opening.set_result(None)
                self.begun = True
                if self._taker is not None:
                    self._taker.opened(self)
                return rest
        return b""

    def _refuse(self, why: str, retry_after_s: float | None = None) -> None:
        opening, self._opening = self._opening, None
        self._taker = None
        if opening is not None and not opening.done():
            opening.set_exception(Refused(why, retry_after_s))
        self.abort()

    def _frame(self, first: int, payload: bytes) -> None:
        opcode = first & 0x0F
        if opcode in {TEXT, CONTINUATION}:
            self._fragment(first, payload)
        elif opcode == PING:
            if self._transport is not None:
                self._transport.write(frame(PONG, payload))
        elif opcode == CLOSE:
            self._code = int.from_bytes(payload[:2]) if len(payload) > 1 else 1005
            if self._transport is not None:
                self._transport.write(frame(CLOSE, payload[:2]))
                self._transport.close()
        elif opcode != PONG:
            self._break_off()

    def _fragment(self, first: int, payload: bytes) -> None:
        begun = self._fragments
        if (begun is None) == (first & 0x0F == CONTINUATION):
            self._break_off()
        elif first & _FIN:
            self._fragments = None
            if self._taker is not None:
                self._taker.text(payload if begun is None else begun + payload)
        else:
            self._fragments = (begun or b"") + payload

    def _break_off(self) -> None:
        """What came is no websocket that was agreed on: 1002 is the code that its owner hears."""
        self._code = 1002
        self.abort()


async def connect(
    endpoint: Endpoint,
    identity: str,
    taker: Taker,
    *,
    subprotocol: str = "ocpp1.6",
    authorization: str | None = None,
    source_address: str | None = None,
    timeout_s: float = OPEN_TIMEOUT_S,
) -> Socket:
    """Open one charge point's session, which the taker hears of before this returns; raises Refused."""
    loop = asyncio.get_running_loop()
    opening: asyncio.Future[None] = loop.create_future()
    upgrade = request(
        f"{endpoint.path}/{quote(identity, safe='')}",
        host=f"{endpoint.host}:{endpoint.port}",
        subprotocol=subprotocol,
        authorization=authorization,
    )
    socket = Socket(upgrade, subprotocol, taker, opening)
    local = None if source_address is None else (source_address, 0)
    try:
        async with asyncio.timeout(timeout_s):
            await loop.create_connection(
                lambda: socket, endpoint.host, endpoint.port, ssl=endpoint.tls, local_addr=local,
                ssl_handshake_timeout=None if endpoint.tls is None else timeout_s,
            )  # fmt: skip
            await opening
    except TimeoutError:
        if not socket.begun:
            raise Refused("timeout") from None
    except ssl.SSLError as error:
        raise Refused("tls") from error
    except OSError as error:
        raise Refused("tcp") from error
    finally:
        socket.give_up()
    return socket


def _headers(head: bytes) -> dict[bytes, bytes]:
    pairs = (line.partition(b":") for line in head.split(b"\r\n")[1:])
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _size(data: bytes) -> tuple[int, int]:
    """A frame's payload size and where the payload begins; servers do not mask. Too large to be there when unknown."""
    size = data[1] & 0x7F if len(data) > 1 else len(data)
    if size == 126:
        return int.from_bytes(data[2:4]), 4
    if size == 127:
        return int.from_bytes(data[2:10]), 10
    return size, 2
