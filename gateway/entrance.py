"""The doors: plain and TLS listeners side by side, and what a connection must show before its request is read.

The front judges each connection before a byte of it is read. A believed proxy's PROXY header comes next, then the TLS
handshake with the certificates in force at that moment; both have a deadline, and a task that ends with the entrance.
"""

import asyncio
import ssl
from functools import partial

import structlog

from gateway import metrics
from gateway.arrival import Arrival, Early, HeaderRefusedError
from gateway.connection import Connection
from gateway.front import Front
from gateway.introduction import Introduction, address_of
from gateway.peer import Peer
from gateway.proxy_protocol import Told
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


class Entrance:
    """Listens for charge points and gives each connection to the front; `close` ends what is still on its way there."""

    def __init__(self, settings: GatewaySettings, front: Front, tls: Tls | None) -> None:
        self._settings = settings
        self._front = front
        self._tls = tls
        self._introduction = Introduction(settings.known_proxies, lambda: None if tls is None else tls.trust)
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[bool]] = set()
        self._throttle = Throttle(per_second=10)
        self._log = structlog.get_logger()
        self.port = settings.listen_port
        """The port really taken, once open; the same with TLS."""
        self.tls_port = settings.tls_listen_port

    async def open(self) -> None:
        """Listen; raises OSError when an address cannot be taken."""
        settings = self._settings
        if settings.plain_listen is PlainListen.ON:
            self.port = await self._listen(settings.listen_host, settings.listen_port, tls=False)
        if settings.tls_listen_port is not None:
            self.tls_port = await self._listen(settings.tls_listen_host, settings.tls_listen_port, tls=True)

    async def close(self) -> None:
        """Listen no more, and end the TLS handshakes under way."""
        servers, self._servers = self._servers, []
        for server in servers:
            server.close()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self, host: str, port: int, *, tls: bool) -> int:
        accept = partial(self._accept, tls=tls)
        server = await asyncio.get_running_loop().create_server(
            lambda: Arrival(accept), host, port, backlog=self._settings.listen_backlog
        )
        self._servers.append(server)
        taken: int = server.sockets[0].getsockname()[1]
        return taken

    def _accept(self, arrival: Arrival, transport: asyncio.Transport, *, tls: bool) -> None:
        address, port = address_of(transport.get_extra_info("peername"))
        if not self._front.arrived(address):
            transport.abort()
            return
        proxies = self._introduction.proxies
        proxied = proxies.speak_first and proxies.listed(address)
        if not proxied and not tls:
            self._hand_on(transport, self._introduction.peer(address, port, None, tls=False))
            return
        task = asyncio.create_task(
            self._receive(arrival if proxied else None, transport, (address, port), tls=tls), name="opening"
        )
        self._tasks.add(task)
        task.add_done_callback(partial(self._received, transport, address))

    def _received(self, transport: asyncio.Transport, address: str, task: asyncio.Task[bool]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or not task.result():
            transport.abort()
            self._front.settled(address)

    async def _receive(
        self, arrival: Arrival | None, transport: asyncio.Transport, name: tuple[str, int], *, tls: bool
    ) -> bool:
        """Whether the connection was handed on."""
        try:
            told = None if arrival is None else await self._header(arrival, *name, tls=tls)
            peer = self._introduction.peer(*name, told, tls=tls)
            if tls:
                secured, early = await self._handshake(transport, peer)
                early.successor = self._hand_on(secured, peer)
                if early.data:
                    early.successor.data_received(bytes(early.data))
            else:
                self._hand_on(transport, peer)
                transport.resume_reading()
        except (HeaderRefusedError, OSError):
            return False  # counted where it happened
        except Exception:  # noqa: BLE001 - outermost shell of an opening
            self._log.exception("opening.failed")
            return False
        return True

    async def _header(self, arrival: Arrival, address: str, port: int, *, tls: bool) -> Told:
        settings = self._settings
        patience = settings.tls_handshake_timeout_seconds if tls else settings.handshake_timeout_seconds
        try:
            async with asyncio.timeout(patience):
                return await arrival.header()
        except (HeaderRefusedError, TimeoutError) as error:
            reason = error.reason if isinstance(error, HeaderRefusedError) else "timeout"
            if reason:  # a health check may come and go without a word
                metrics.PROXY_HEADERS_REFUSED.labels(reason).inc()
                self._complain("proxy.header_refused", reason, f"{address}:{port}")
            raise

    async def _handshake(self, transport: asyncio.Transport, peer: Peer) -> tuple[asyncio.Transport, Early]:
        context = None if self._tls is None else self._tls.context
        assert context is not None  # noqa: S101 - the settings ask for certificates where they ask for the listener
        early = Early()
        settings = self._settings
        metrics.TLS_HANDSHAKES.inc()
        try:
            secured = await asyncio.get_running_loop().start_tls(
                transport,
                early,
                context,
                server_side=True,
                ssl_handshake_timeout=settings.tls_handshake_timeout_seconds,
                ssl_shutdown_timeout=settings.close_timeout_seconds,
            )
            if secured is None or transport.is_closing():  # the loop calls an end without an error a success
                raise ConnectionResetError
        except OSError as error:
            reason = _reason_of(error)
            metrics.TLS_FAILED.labels(reason).inc()
            self._complain("tls.handshake_failed", reason, str(peer))
            raise
        finally:
            metrics.TLS_HANDSHAKES.dec()
        return secured, early

    def _hand_on(self, transport: asyncio.Transport, peer: Peer) -> Connection:
        connection = Connection(self._front, peer, self._introduction)
        transport.set_protocol(connection)
        connection.connection_made(transport)
        return connection

    def _complain(self, event: str, reason: str, remote: str) -> None:
        if self._throttle.passes(asyncio.get_running_loop().time()):
            held_back = self._throttle.take_suppressed()
            self._log.info(event, reason=reason, remote=remote, held_back=held_back)


def _reason_of(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        reason = error.reason or ""
        return _REASONS.get(reason, "alert" if "ALERT" in reason else "other")
    if isinstance(error, TimeoutError | ConnectionAbortedError):
        return "timeout"
    return "gone"
