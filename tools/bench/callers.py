"""Thousands of bare sockets that send Calls, as cheaply as one process can."""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import cast

MASK = b"\x37\xfa\x21\x3d"
REQUEST = (
    "GET /ocpp/{identity} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: {subprotocol}\r\n\r\n"
)
CALL = (
    b'[2,"%s","MeterValues",{"connectorId":1,"transactionId":1234567,"meterValue":[{"timestamp":'
    b'"2024-05-05T12:00:00.000Z","sampledValue":[{"value":"1234567","context":"Sample.Periodic","measurand":'
    b'"Energy.Active.Import.Register","unit":"Wh"},{"value":"16.0","measurand":"Current.Import","unit":"A"}]}]}]'
)
OCPP, ECHO = "ocpp1.6", "echo"
REFUSAL = b"[4,"
TLS_PATIENCE_S = 300.0
"""For a handshake: thousands may wait for one core."""


class Caller(asyncio.Protocol):
    """One charge point: `call` sends, `answered` is told of the answer."""

    __slots__ = ("_answered", "_frame", "_opened", "_request", "_transport")

    def __init__(self, identity: str, answered: "Callable[[Caller, bytes], None]", subprotocol: str) -> None:
        self._request = REQUEST.format(identity=identity, subprotocol=subprotocol).encode()
        self._frame = masked(CALL % identity.encode())
        self._answered = answered
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None

    async def open(self, port: int, context: ssl.SSLContext | None) -> None:
        """Connect, and return once the handshake is done."""
        loop = asyncio.get_running_loop()
        patience = None if context is None else TLS_PATIENCE_S
        await loop.create_connection(lambda: self, "127.0.0.1", port, ssl=context, ssl_handshake_timeout=patience)
        await self._opened

    def call(self) -> None:
        if self._transport is not None:
            self._transport.write(self._frame)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self._opened.done():
            if data.startswith(b"HTTP/1.1 101"):
                self._opened.set_result(None)
            else:
                self._opened.set_exception(ConnectionError(data[:100].decode()))
            return
        while len(data) >= 2:  # several frames may come at once
            kind, length, begin = data[0], data[1], 2
            if length == 126:
                length, begin = int.from_bytes(data[2:4]), 4
            payload, data = data[begin : begin + length], data[begin + length :]
            if kind == 0x81:
                self._answered(self, payload)
            elif kind == 0x89 and self._transport is not None:  # the answer to a ping is its payload
                self._transport.write(bytes((0x8A, 0x80 | length)) + bytes(4) + payload)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self._opened.done():
            self._opened.set_exception(exc or ConnectionError("closed"))


class Callers:
    """Open sockets of one server, and so many Calls in flight over all of them; `close` them in the end."""

    def __init__(self, port: int, *, context: ssl.SSLContext | None = None, subprotocol: str = OCPP) -> None:
        self._port = port
        self._context = context
        self._subprotocol = subprotocol
        self._callers: list[Caller] = []
        self._idle: deque[Caller] = deque()
        self._left = 0
        self._in_flight = 0
        self._refusal = b""
        self._done = asyncio.Event()

    async def grow(self, count: int, at_once: int) -> None:
        """Open more, until there are so many."""
        room = asyncio.Semaphore(at_once)

        async def open_one(number: int) -> Caller:
            async with room:
                caller = Caller(f"BENCH-{number:05}", self._answered, self._subprotocol)
                await caller.open(self._port, self._context)
                return caller

        opened = await asyncio.gather(*(open_one(number) for number in range(len(self._callers), count)))
        self._callers += opened
        self._idle += opened

    async def calls(self, count: int, in_flight: int) -> None:
        """Send so many, in turns over all sockets, and return when all are answered; SystemExit when one is refused."""
        self._left = count
        self._done.clear()
        for _ in range(min(in_flight, len(self._idle), count)):
            self._next()
        async with asyncio.timeout(300):
            await self._done.wait()
        if self._refusal:  # it costs other than what is to be measured
            raise SystemExit(f"a Call was refused: {self._refusal.decode()}")

    def close(self) -> None:
        for caller in self._callers:
            caller.close()

    def _next(self) -> None:
        self._left -= 1
        self._in_flight += 1
        self._idle.popleft().call()

    def _answered(self, caller: Caller, answer: bytes) -> None:
        if answer.startswith(REFUSAL):
            self._refusal = answer
            self._done.set()
            return
        self._in_flight -= 1
        self._idle.append(caller)
        if self._left:
            self._next()
        elif not self._in_flight:
            self._done.set()


def masked(payload: bytes) -> bytes:
    """A text frame as a client sends it."""
    covered = bytes(byte ^ MASK[at % 4] for at, byte in enumerate(payload))
    return b"\x81\xfe" + len(payload).to_bytes(2) + MASK + covered
