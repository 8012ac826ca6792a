"""A TCP connection before its request: takes a PROXY header byte by byte exactly, and what comes early behind TLS."""

import asyncio
from collections.abc import Callable
from typing import cast

from gateway import proxy_protocol
from gateway.errors import GatewayError
from gateway.proxy_protocol import FIXED_BYTES, BadHeader, Told


class HeaderRefusedError(GatewayError):
    """The PROXY header is bad, or the connection ended within it; `reason` is empty when it ended without a byte."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Arrival(asyncio.BufferedProtocol):
    """The first protocol of each connection. It reads no byte more than the header has: TLS takes over from there."""

    __slots__ = ("_accept", "_buffer", "_filled", "_header", "_transport")

    def __init__(self, accept: Callable[["Arrival", asyncio.Transport], None]) -> None:
        self._accept = accept
        self._buffer = bytearray(0)
        self._filled = 0
        self._header: asyncio.Future[Told] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._accept(self, self._transport)

    async def header(self) -> Told:
        """Wait for the header; reading is paused after it. Raises HeaderRefusedError."""
        self._header = asyncio.get_running_loop().create_future()
        self._go_on()
        return await self._header

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        if not self._buffer:
            self._buffer = bytearray(FIXED_BYTES)
        return memoryview(self._buffer)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        self._go_on()

    def eof_received(self) -> None:
        self._refuse("ended" if self._filled else "")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._refuse("ended" if self._filled else "")

    def _go_on(self) -> None:
        if self._filled < FIXED_BYTES:
            return
        fixed = bytes(self._buffer[:FIXED_BYTES])
        rest = proxy_protocol.rest_of(fixed)
        if isinstance(rest, BadHeader):
            self._refuse(rest)
            return
        whole = FIXED_BYTES + rest
        if len(self._buffer) < whole:
            self._buffer = self._buffer.ljust(whole, b"\0")
        if self._filled < whole or self._header is None:
            return
        told = proxy_protocol.decode(fixed, bytes(self._buffer[FIXED_BYTES:]))
        if isinstance(told, BadHeader):
            self._refuse(told)
        elif not self._header.done():
            self._transport.pause_reading()
            self._header.set_result(told)

    def _refuse(self, reason: str) -> None:
        if self._header is not None and not self._header.done():
            self._transport.pause_reading()
            self._header.set_exception(HeaderRefusedError(reason))


class Early(asyncio.Protocol):
    """Stands in for a connection until whoever waits for its TLS handshake has come to know that it is over."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.successor: asyncio.Protocol | None = None
        """Who is to hear of an end that was on its way to us already."""

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: Exception | None) -> None:
        if self.successor is not None:
            self.successor.connection_lost(exc)
