"""PROXY protocol headers: real bytes, and any bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy_protocol import FIXED_BYTES, MOST_BYTES, BadHeader, Told, decode, rest_of
from tests.support.proxy_headers import SIGNATURE, local_header, proxy_header, raw_header, ssl_tlv, tlv

# From the specification's own layout; the TLVs are what HAProxy and AWS add.
HAPROXY = bytes.fromhex("0d0a0d0a000d0a515549540a 21 11 000c c0000201 c6336402 d903 01bb".replace(" ", ""))


def read(header: bytes) -> Told | BadHeader:
    rest = rest_of(header[:FIXED_BYTES])
    return rest if isinstance(rest, BadHeader) else decode(header[:FIXED_BYTES], header[FIXED_BYTES:])


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (HAPROXY, Told("192.0.2.1", 55555)),
        (proxy_header("2001:db8::1", 1), Told("2001:db8::1", 1)),
        (proxy_header("::ffff:192.0.2.1", 1), Told("192.0.2.1", 1)),
        (local_header(), Told()),
        (raw_header(0x20, 0x11, bytes(12)), Told()),
        (proxy_header(tlvs=ssl_tlv()), Told("203.0.113.7", 40_000, tls=True)),
        (proxy_header(tlvs=ssl_tlv(tls=False)), Told("203.0.113.7", 40_000)),
        (proxy_header(tlvs=tlv(0xEA, b"\1vpce-1") + tlv(3, b"\0\0\0\0") + tlv(4, b"") + ssl_tlv()),
         Told("203.0.113.7", 40_000, tls=True)),
        (raw_header(0x21, 0x00, ssl_tlv()), Told(tls=True)),
        (raw_header(0x21, 0x31, bytes(216)), Told()),
        (proxy_header(family=0x12), Told()),
        (SIGNATURE, BadHeader.FOREIGN),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", BadHeader.FOREIGN),
        (b"GET /ocpp/CP-1 HTTP/1.1\r\n\r\n", BadHeader.FOREIGN),
        (raw_header(0x11, 0x11, bytes(12)), BadHeader.COMMAND),
        (raw_header(0x22, 0x11, bytes(12)), BadHeader.COMMAND),
        (raw_header(0x21, 0x11, bytes(MOST_BYTES)), BadHeader.TOO_LARGE),
        (raw_header(0x21, 0x21, bytes(12)), BadHeader.TRUNCATED),
        (proxy_header()[:-1], BadHeader.TRUNCATED),
        (proxy_header(tlvs=b"\x20\x00"), BadHeader.BAD_TLV),
        (proxy_header(tlvs=b"\xea\x00\x05abc"), BadHeader.BAD_TLV),
        (proxy_header(tlvs=tlv(0x20, b"\1\0\0\0")), BadHeader.BAD_TLV),
    ],
)  # fmt: skip
def test_headers_are_read_or_named_bad(header: bytes, told: Told | BadHeader) -> None:
    assert read(header) == told


@given(st.binary(max_size=400), st.sampled_from([0x20, 0x21, 0x31]), st.integers(0, 255))
def test_any_body_ends_in_a_documented_result(body: bytes, command: int, family: int) -> None:
    assert isinstance(read(raw_header(command, family, body)), Told | BadHeader)


@given(st.binary(max_size=40), st.binary(max_size=400))
def test_any_bytes_end_in_a_documented_result(fixed: bytes, rest: bytes) -> None:
    assert isinstance(decode(fixed, rest), Told | BadHeader)
    assert isinstance(rest_of(fixed), int | BadHeader)
