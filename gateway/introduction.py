"""Who a peer is: what the socket, the PROXY header, the TLS handshake and a believed proxy's HTTP headers say of it."""

import ipaddress
import ssl
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from websockets.datastructures import Headers
from websockets.http11 import Request as HttpRequest

from gateway import forwarded, metrics
from gateway.client_certificates import Problem, Trust
from gateway.forwarded import Proxies
from gateway.handshake import Refused
from gateway.peer import Peer, Request
from gateway.proxy_protocol import Told

REPEATED_HEADER = Refused(400, "repeated_header", "a header that may come once has come more often")


class Introduction:
    """Puts the facts about peers together; `trust` gives the authorities that are believed just now."""

    def __init__(self, proxies: Proxies, trust: Callable[[], Trust | None]) -> None:
        self.proxies = proxies
        self._trust = trust

    def peer(self, address: str, port: int, told: Told | None, *, tls: bool) -> Peer:
        """What is known before the request."""
        if told is None or not told.address:
            return Peer(address, port, tls or (told is not None and told.tls))
        return Peer(told.address, told.port, tls or told.tls, proxy=address)

    def request(self, peer: Peer, secured: ssl.SSLObject | None, request: HttpRequest) -> Request | Refused:
        """What a request asks for, and all that is known of who asks."""
        headers = request.headers
        credentials = headers.get_all("Authorization")
        known = self._complete(peer, secured, headers)
        if isinstance(known, Refused):
            return known
        if len(credentials) > 1:
            return REPEATED_HEADER
        offered = tuple(headers.get_all("Sec-WebSocket-Protocol"))
        version = next(iter(headers.get_all("Sec-WebSocket-Version")), None)
        trace = next(iter(headers.get_all("traceparent")), None)
        return Request(request.path, offered, known, credentials[0] if credentials else None, version, trace)

    def _complete(self, peer: Peer, secured: ssl.SSLObject | None, headers: Headers) -> Peer | Refused:
        proxies = self.proxies
        present = forwarded.present(headers.get_all, proxies)
        if present:
            if not proxies.speak_first and proxies.listed(peer.address):
                return self._forwarded(peer, headers)
            for header in present:
                metrics.FORWARDED_IGNORED.labels(header).inc()
        shown = () if secured is None else _shown(secured)
        return self._with_certificate(peer, shown) if shown else peer

    def _forwarded(self, proxy: Peer, headers: Headers) -> Peer | Refused:
        """A certificate of the TLS connection itself would be the proxy's own."""
        told = forwarded.read(headers.get_all, self.proxies)
        if told is None:
            return REPEATED_HEADER
        peer = Peer(told.address, tls=told.tls, proxy=proxy.address) if told.address else replace(proxy, tls=told.tls)
        return peer if told.certificate is None else self._with_certificate(peer, (told.certificate,))

    def _with_certificate(self, peer: Peer, shown: Sequence[bytes]) -> Peer:
        trust = self._trust()
        if trust is None:
            return peer
        found = trust.examine(shown, datetime.now(UTC))
        if isinstance(found, Problem):
            return replace(peer, certificate_problem=found.value)
        return replace(peer, certificate=found)


def address_of(name: object) -> tuple[str, int]:
    """Address and port of a socket's name; IPv4 as such also on a socket for both."""
    if not isinstance(name, tuple):
        return "", 0
    address, port = str(name[0]), int(name[1])
    if ":" in address and (mapped := ipaddress.IPv6Address(address).ipv4_mapped) is not None:
        address = str(mapped)
    return address, port


def _shown(secured: ssl.SSLObject) -> tuple[bytes, ...]:
    """The client's certificate, and the intermediates that it sent along."""
    certificate = secured.getpeercert(binary_form=True)
    if certificate is None:
        return ()
    # public only from Python 3.13 on
    inner = secured._sslobj  # type: ignore[attr-defined] # noqa: SLF001
    chain = inner.get_unverified_chain() or ()
    return (certificate, *(one.public_bytes(ssl._ssl.ENCODING_DER) for one in chain[1:]))  # type: ignore[attr-defined] # noqa: SLF001
