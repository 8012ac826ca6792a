"""PROXY protocol headers as a proxy sends them."""

import ipaddress

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def proxy_header(
    address: str = "203.0.113.7",
    port: int = 40_000,
    *,
    command: int = 0x21,
    tlvs: bytes = b"",
    family: int | None = None,
) -> bytes:
    """A header of version 2 that tells of a TCP connection from this address."""
    source = ipaddress.ip_address(address)
    body = source.packed * 2 + port.to_bytes(2, "big") + b"\x24\x5e" + tlvs
    known = 0x11 if source.version == 4 else 0x21
    return raw_header(command, known if family is None else family, body)


def local_header() -> bytes:
    """What a proxy sends when it checks our health."""
    return raw_header(0x20, 0, b"")


def raw_header(command: int, family: int, body: bytes) -> bytes:
    return SIGNATURE + bytes((command, family)) + len(body).to_bytes(2, "big") + body


def tlv(kind: int, value: bytes) -> bytes:
    return bytes((kind,)) + len(value).to_bytes(2, "big") + value


def ssl_tlv(*, tls: bool = True) -> bytes:
    return tlv(0x20, bytes((1 if tls else 0,)) + bytes(4) + tlv(0x21, b"TLSv1.3"))
