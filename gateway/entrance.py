"""The way in: plain and TLS doors side by side, and what a connection must show before its request is read.

The front judges each connection before a byte of it is read. A believed proxy's PROXY header comes next, then the TLS
handshake with the certificates in force at that moment; both have a deadline, and a task that ends with the entrance.
"""

import asyncio
import socket
import ssl
from functools import partial

import structlog

from gateway import metrics, proxy_protocol
from gateway.connection import Connection
from gateway.doors import Door
from gateway.errors import GatewayError
from gateway.front import Front
from gateway.introduction import Introduction, address_of
from gateway.peer import Peer
from gateway.proxy_protocol import FIXED_BYTES, BadHeader, Told
from gateway.settings import GatewaySettings
from gateway.throttle import Throttle
from gateway.tls import Tls
from gateway.tls_settings import PlainListen

_REASONS = {
    "HTTP_REQUEST": "not_tls",
    "HTTPS_PROXY_REQUEST": "not_tls",
    "WRONG_VERSION_NUMBER": "not_tls",
    "UNKNOWN_PROTOCOL": "not_tls",
    "BAD_RECORD_TYPE": "not_tls",
    "PACKET_LENGTH_TOO_LONG": "not_tls",
    "UNSUPPORTED_PROTOCOL": "version",
    "VERSION_TOO_LOW": "version",
    "NO_SHARED_CIPHER": "cipher",
    "NO_SUITABLE_SIGNATURE_ALGORITHM": "cipher",
    "CERTIFICATE_VERIFY_FAILED": "client_certificate",
    "EE_KEY_TOO_SMALL": "client_certificate",
    "UNEXPECTED_EOF_WHILE_READING": "gone",
}
"""Of OpenSSL's many reasons those that an operator can act on; alerts of the peer are `alert`, the rest `other`."""


class _HeaderRefusedError(GatewayError):
    """A proxy's connection begins with no usable header; the text is the reason, empty when it sent nothing at all."""


class Entrance:
    """Listens for charge points and gives each connection to the front; `close` ends what is still on its way there."""

    def __init__(self, settings: GatewaySettings, front: Front, tls: Tls | None) -> None:
        self._settings = settings
        self._front = front
        self._tls = tls
        self._introduction = Introduction(settings.known_proxies, lambda: None if tls is None else tls.trust)
        self._doors: list[Door] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._throttle = Throttle(per_second=10)
        self._log = structlog.get_logger()
        self.port = settings.listen_port
        """The port really taken, once open; the same with TLS."""
        self.tls_port = settings.tls_listen_port

    async def open(self) -> None:
        """Listen; raises OSError when an address cannot be taken."""
        settings = self._settings
        if settings.plain_listen is PlainListen.ON:
            self.port = await self._open(settings.listen_host, settings.listen_port, tls=False)
        if settings.tls_listen_port is not None:
            self.tls_port = await self._open(settings.tls_listen_host, settings.tls_listen_port, tls=True)

    async def close(self) -> None:
        """Listen no more, and end the TLS handshakes under way."""
        doors, self._doors = self._doors, []
        for door in doors:
            door.close()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _open(self, host: str, port: int, *, tls: bool) -> int:
        door = Door(partial(self._accepted, tls=tls))
        self._doors.append(door)
        return await door.open(host, port, self._settings.listen_backlog)

    def _accepted(self, sock: socket.socket, name: object, *, tls: bool) -> None:
        address, port = address_of(name)
        if not self._front.arrived(address):
            sock.close()
            return
        connection = Connection(self._front, Peer(address, port, tls), self._introduction)
        task = asyncio.create_task(self._receive(sock, connection, tls=tls), name="opening")
        self._tasks.add(task)
        task.add_done_callback(partial(self._received, sock, connection, address))

    def _received(self, sock: socket.socket, connection: Connection, address: str, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not connection.made:  # else it settles that itself
            sock.close()
            self._front.settled(address)

    async def _receive(self, sock: socket.socket, connection: Connection, *, tls: bool) -> None:
        proxies, peer = self._introduction.proxies, connection.peer
        try:
            if proxies.speak_first and proxies.listed(peer.address):
                told = await self._header(sock, peer, tls=tls)
                connection.peer = self._introduction.peer(peer.address, peer.port, told, tls=tls)
            if tls:
                await self._handshake(sock, connection)
            else:
                await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, sock)
        except (_HeaderRefusedError, OSError):
            pass  # counted where it happened
        except Exception:  # noqa: BLE001 - outermost shell of an opening
            self._log.exception("opening.failed")

    async def _header(self, sock: socket.socket, proxy: Peer, *, tls: bool) -> Told:
        settings = self._settings
        patience = settings.tls_handshake_timeout_seconds if tls else settings.handshake_timeout_seconds
        try:
            async with asyncio.timeout(patience):
                return await _read_header(sock)
        except (_HeaderRefusedError, TimeoutError) as error:
            reason = "timeout" if isinstance(error, TimeoutError) else str(error)
            if reason:  # a health check may come and go without a word
                metrics.PROXY_HEADERS_REFUSED.labels(reason).inc()
                if self._throttle.passes(asyncio.get_running_loop().time()):
                    held_back = self._throttle.take_suppressed()
                    self._log.warning("proxy.header_refused", reason=reason, remote=str(proxy), held_back=held_back)
            raise

    async def _handshake(self, sock: socket.socket, connection: Connection) -> None:
        context = None if self._tls is None else self._tls.context
        assert context is not None  # noqa: S101 - the settings ask for certificates where they ask for the listener
        settings = self._settings
        metrics.TLS_HANDSHAKES.inc()
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection,
                sock,
                ssl=context,
                ssl_handshake_timeout=settings.tls_handshake_timeout_seconds,
                ssl_shutdown_timeout=settings.close_timeout_seconds,
            )
            if not connection.made:  # the loop knows no error where the peer just left
                raise ConnectionResetError
        except OSError as error:
            reason = _reason_of(error)
            metrics.TLS_FAILED.labels(reason).inc()
            if self._throttle.passes(asyncio.get_running_loop().time()):
                held_back, remote = self._throttle.take_suppressed(), connection.remote
                self._log.info("tls.handshake_failed", reason=reason, remote=remote, held_back=held_back)
            raise
        finally:
            metrics.TLS_HANDSHAKES.dec()


async def _read_header(sock: socket.socket) -> Told:
    """Reads not one byte more than the header has: what follows is for TLS."""
    fixed = await _read_exactly(sock, FIXED_BYTES)
    size = proxy_protocol.rest_of(fixed)
    told = size if isinstance(size, BadHeader) else proxy_protocol.decode(fixed, await _read_exactly(sock, size))
    if isinstance(told, BadHeader):
        raise _HeaderRefusedError(told)
    return told


async def _read_exactly(sock: socket.socket, size: int) -> bytes:
    loop = asyncio.get_running_loop()
    data = bytearray(size)
    filled = 0
    while filled < size:
        count = await loop.sock_recv_into(sock, memoryview(data)[filled:])
        if not count:
            raise _HeaderRefusedError("ended" if filled else "")
        filled += count
    return bytes(data)


def _reason_of(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        reason = error.reason or ""
        return _REASONS.get(reason, "alert" if "ALERT" in reason else "other")
    return "timeout" if isinstance(error, TimeoutError | ConnectionAbortedError) else "gone"
