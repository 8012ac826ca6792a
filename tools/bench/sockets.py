"""Thousands of bare OCPP 1.6 sockets in one process: they answer every Call at once, and come back when cut off."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast
from urllib.parse import urlsplit

import orjson

_REQUEST = (
    "GET {path} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: ocpp1.6\r\n\r\n"
)
RETRY_S = 0.05
CONNECTING_AT_ONCE = 500
TEXT, CLOSE, PING = 1, 8, 9


class Socket(asyncio.Protocol):
    """One charge point's socket. `opened` is called at the 101; `ended` when the connection is gone, always once."""

    def __init__(self, request: bytes, opened: Callable[[], None], ended: Callable[[], None]) -> None:
        self._request = request
        self._opened = opened
        self._ended = ended
        self._buffer = b""
        self._upgraded = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.transport = None
        self._ended()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._upgraded:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self._close()
                return
            self._upgraded, self._buffer = True, rest
            self._opened()
        while (frame := self._next_frame()) is not None:
            self._frame(*frame)

    def _next_frame(self) -> tuple[int, bytes] | None:
        """Take the next frame off the buffer; servers do not mask."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, start = buffer[1] & 0x7F, 2
        if size == 126:
            size, start = int.from_bytes(buffer[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(buffer[2:10], "big"), 10
        if len(buffer) < start + size:
            return None
        self._buffer = buffer[start + size :]
        return buffer[0] & 0x0F, buffer[start : start + size]

    def _frame(self, opcode: int, payload: bytes) -> None:
        if opcode == TEXT:
            message = orjson.loads(payload)
            if message[0] == 2:
                self._send(TEXT, orjson.dumps([3, message[1], {"status": "Accepted"}]))
        elif opcode == PING:
            self._send(PING + 1, payload)
        elif opcode == CLOSE:
            self._close()

    def _send(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        head = bytes((0x80 | opcode, 0x80 | size)) if size < 126 else bytes((0x80 | opcode, 0xFE)) + size.to_bytes(2)
        if self.transport is not None:
            self.transport.write(head + bytes(4) + payload)

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class Crowd:
    """Charge points that stay connected to the gateway of the moment. `close` ends them all."""

    def __init__(self, identities: Sequence[str], url: str) -> None:
        self.url = url
        """Where the next connection goes."""
        self.open: set[str] = set()
        self.changed = asyncio.Event()
        """Set whenever one has opened."""
        self._identities = identities
        self._sockets: dict[str, Socket] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(CONNECTING_AT_ONCE)
        self._closing = False

    def start(self) -> None:
        """Connect them all, as fast as they can."""
        for identity in self._identities:
            self._connect_soon(identity)

    async def all_open(self) -> None:
        """Return when every one is connected."""
        while len(self.open) < len(self._identities):
            self.changed.clear()
            await self.changed.wait()

    async def close(self) -> None:
        """Drop every connection."""
        self._closing = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for socket in self._sockets.values():
            if socket.transport is not None:
                socket.transport.abort()

    def _connect_soon(self, identity: str) -> None:
        task = asyncio.create_task(self._connect(identity))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, identity: str) -> None:
        loop = asyncio.get_running_loop()
        while True:
            parts = urlsplit(self.url)
            request = _REQUEST.format(path=f"{parts.path}/{identity}").encode()
            socket = Socket(request, partial(self._opened, identity), partial(self._ended, identity))
            try:
                async with self._room:
                    await loop.create_connection(partial(_the, socket), parts.hostname or "", parts.port or 0)
            except OSError:
                await asyncio.sleep(RETRY_S)
            else:
                self._sockets[identity] = socket
                return

    def _opened(self, identity: str) -> None:
        self.open.add(identity)
        self.changed.set()

    def _ended(self, identity: str) -> None:
        self.open.discard(identity)
        if not self._closing:
            self._connect_soon(identity)


def _the(socket: Socket) -> Socket:
    return socket
