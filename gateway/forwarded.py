"""What proxies that are believed tell of a charge point in HTTP headers: address, TLS, certificate. Pure.

Headers of anybody else are not looked at. Sources: RFC 7239 (Forwarded), RFC 9440 (Client-Cert), the manuals of nginx
(`$ssl_client_escaped_cert`) and Envoy (`x-forwarded-client-cert`).
"""

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Headers = Callable[[str], Sequence[str]]
"""All values of a header, by name."""

FOR, PROTO, FORWARDED = "x-forwarded-for", "x-forwarded-proto", "forwarded"
CERTIFICATE = "client_certificate"
"""The name under which the header of certificates is counted; its own is the operator's choice."""

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")
_XFCC_FIELD = re.compile(r'([A-Za-z]+)=("(?:[^"\\]|\\.)*"|[^;,"]*)')
_ENCRYPTED = {"https", "wss"}
_MOST_HOPS = 20


@dataclass(frozen=True, slots=True)
class Proxies:
    """Whom to believe, and in which form."""

    networks: tuple[Network, ...] = ()
    speak_first: bool = False
    """They tell it in the PROXY protocol: HTTP headers are then as the client wrote them."""
    certificate_header: str = ""
    """Lower case; empty: none."""

    def listed(self, address: str) -> bool:
        """Whether an address is one of theirs."""
        if not self.networks:
            return False
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        return any(found in network for network in self.networks)


@dataclass(frozen=True, slots=True)
class Forwarded:
    """What the headers say."""

    address: str = ""
    """Empty when they name none."""
    tls: bool = False
    certificate: bytes | None = None
    """In DER form, not verified yet; empty when there is one that cannot be read."""


def present(headers: Headers, proxies: Proxies) -> list[str]:
    """Which of the headers that only a proxy should set are there."""
    found = [name for name in (FOR, PROTO, FORWARDED) if headers(name)]
    if proxies.certificate_header and any(headers(proxies.certificate_header)):
        found.append(CERTIFICATE)
    return found


def read(headers: Headers, proxies: Proxies) -> Forwarded | None:
    """Read the headers of a proxy that is believed; None when a certificate is given more than once."""
    elements = [element for line in headers(FORWARDED) for element in line.split(",")]
    hops = [hop for line in headers(FOR) for hop in line.split(",")]
    protocols = [value.strip().lower() for line in headers(PROTO) for value in line.split(",")]
    others = [value for element in elements if (value := _parameter(element, "for"))]
    # the proxy may have set one of the two kinds, and its client the other: then only what both say is believed
    address = _last_outside(hops or others, proxies)
    if hops and others and address != _last_outside(others, proxies):
        address = ""
    kinds = [protocols] if hops or protocols else []
    if elements:
        kinds.append([_parameter(element, "proto").lower() for element in elements])
    certificates = headers(proxies.certificate_header) if proxies.certificate_header else ()
    if len(certificates) > 1:
        return None
    shown = certificates[0].strip() if certificates else ""
    return Forwarded(
        address=address,
        # each hop says how it was reached: one in the clear, and anybody could have listened
        tls=bool(kinds) and all(said and _ENCRYPTED.issuperset(said) for said in kinds),
        certificate=certificate_in(shown) or b"" if shown else None,
    )


def certificate_in(value: str) -> bytes | None:
    """The certificate in a header's value (DER), None when it cannot be read."""
    if value.startswith(":") and value.endswith(":") and len(value) > 2:
        return _decoded(value[1:-1].encode("utf-8", "replace"))
    if not value.startswith("-----BEGIN"):
        found = [text for name, text in _XFCC_FIELD.findall(value) if name.lower() == "cert"]
        if len(found) != 1:
            return None
        value = found[0]
    pem = _PEM.search(unquote_to_bytes(value))
    return None if pem is None else _decoded(b"".join(pem[1].split()))


def _decoded(text: bytes) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True) or None
    except binascii.Error:
        return None


def _parameter(element: str, name: str) -> str:
    for pair in element.split(";"):
        key, _, value = pair.strip().partition("=")
        if key.lower() == name:
            return value.strip('"')
    return ""


def _last_outside(hops: Sequence[str], proxies: Proxies) -> str:
    """The last hop that is none of the proxies: what stands before it, anybody may have written."""
    for hop in list(reversed(hops))[:_MOST_HOPS]:
        address = _address(hop)
        if address is None:
            return ""
        if not proxies.listed(address):
            return address
    return ""


def _address(hop: str) -> str | None:
    text = hop.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
