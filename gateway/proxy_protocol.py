"""The PROXY protocol, version 2: what a proxy tells of the connection that it passes on. Pure.

Source: HAProxy's proxy-protocol.txt, section 2.2.
"""

import ipaddress
from dataclasses import dataclass
from enum import StrEnum

FIXED_BYTES = 16
MOST_BYTES = 4096
"""Of a whole header: addresses take 36, what remains are TLVs."""

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_LOCAL, _PROXY = 0x20, 0x21
_TCP4, _TCP6 = 0x11, 0x21
_ADDRESS_BYTES = {0: 0, 1: 12, 2: 36, 3: 216}
"""By address family: unspecified, IPv4, IPv6, Unix."""
_SSL_TLV, _SSL_CLIENT_BIT, _SSL_FIXED_BYTES = 0x20, 0x01, 5


class BadHeader(StrEnum):
    """Why bytes are no header that can be used."""

    FOREIGN = "not_proxy_protocol"
    COMMAND = "bad_command"
    TOO_LARGE = "too_large"
    TRUNCATED = "truncated"
    BAD_TLV = "bad_tlv"


@dataclass(frozen=True, slots=True)
class Told:
    """What the header says. `address` is empty when the proxy speaks for itself, or of no Internet address."""

    address: str = ""
    port: int = 0
    tls: bool = False
    """Whether the connection came to the proxy over TLS that ends there."""


def rest_of(fixed: bytes) -> int | BadHeader:
    """How many bytes follow the first FIXED_BYTES of a header."""
    if len(fixed) < FIXED_BYTES or not fixed.startswith(_SIGNATURE):
        return BadHeader.FOREIGN
    if fixed[12] not in {_LOCAL, _PROXY}:
        return BadHeader.COMMAND
    rest = int.from_bytes(fixed[14:16], "big")
    return BadHeader.TOO_LARGE if FIXED_BYTES + rest > MOST_BYTES else rest


def decode(fixed: bytes, rest: bytes) -> Told | BadHeader:
    """Read a header; its checksum is not looked at, as TCP has its own."""
    expected = rest_of(fixed)
    if isinstance(expected, BadHeader):
        return expected
    if len(rest) != expected:
        return BadHeader.TRUNCATED
    if fixed[12] == _LOCAL:
        return Told()
    family = fixed[13]
    size = _ADDRESS_BYTES.get(family >> 4, 0)
    if size > len(rest):
        return BadHeader.TRUNCATED
    tls = _tls_in(rest[size:])
    if isinstance(tls, BadHeader):
        return tls
    if family == _TCP4:
        return Told(str(ipaddress.IPv4Address(rest[:4])), int.from_bytes(rest[8:10], "big"), tls)
    if family == _TCP6:
        address = ipaddress.IPv6Address(rest[:16])
        return Told(str(address.ipv4_mapped or address), int.from_bytes(rest[32:34], "big"), tls)
    return Told(tls=tls)


def _tls_in(tlvs: bytes) -> bool | BadHeader:
    """Whether a TLV says TLS; unknown ones are skipped."""
    tls, at = False, 0
    while at < len(tlvs):
        end = at + 3 + int.from_bytes(tlvs[at + 1 : at + 3], "big")
        if at + 3 > len(tlvs) or end > len(tlvs):
            return BadHeader.BAD_TLV
        if tlvs[at] == _SSL_TLV:
            if end - at - 3 < _SSL_FIXED_BYTES:
                return BadHeader.BAD_TLV
            tls = bool(tlvs[at + 3] & _SSL_CLIENT_BIT)
        at = end
    return tls
