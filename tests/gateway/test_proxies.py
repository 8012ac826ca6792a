"""Proxies in front, on real sockets: PROXY headers, forwarded headers, and everybody who is not to be believed."""

import asyncio
from urllib.parse import quote

import pytest
from structlog.testing import capture_logs

from gateway import metrics
from gateway.app import Gateway
from tests.gateway.conftest import until
from tests.gateway.station import client_frame, head_of, opened, raw, upgrade_request
from tests.gateway.tls_station import half_open, peer_of
from tests.support.certificates import Authority
from tests.support.proxy_headers import local_header, proxy_header, ssl_tlv
from tests.support.tls_files import TlsFolder, client_context, tls_folder

V2 = {"proxies": "127.0.0.0/8", "proxy_protocol": "v2"}
LISTED = {"proxies": "127.0.0.1"}
STRANGER = {"proxies": "192.0.2.0/24"}


@pytest.fixture
def folder(tmp_path) -> TlsFolder:
    return tls_folder(tmp_path)


async def upgraded(gateway: Gateway, start: bytes = b"", *headers: str) -> int:
    """Send a request with further headers behind these bytes; returns the status."""
    lines = "".join(f"{header}\r\n" for header in headers).encode()
    reader, _writer = await raw(gateway, start + upgrade_request().replace(b"Host: x\r\n", b"Host: x\r\n" + lines))
    return (await head_of(reader))[0]


def ignored(header: str) -> float:
    value: float = metrics.FORWARDED_IGNORED.labels(header)._value.get()
    return value


# the PROXY protocol


@pytest.mark.parametrize("pieces", [1, 7, 1000])
async def test_a_proxy_header_tells_who_the_charge_point_is(edge_alone, pieces):
    gateway, link = await edge_alone(**V2)
    with capture_logs() as logs:
        reader, writer = await raw(gateway, b"")
        data = proxy_header("203.0.113.7", 40_000, tlvs=ssl_tlv()) + upgrade_request()
        for at in range(0, len(data), pieces):
            writer.write(data[at : at + pieces])
            await asyncio.sleep(0)
        writer.write(client_frame(1, b'[2,"1","Heartbeat",{}]'))
        assert (await head_of(reader))[0] == 101
    peer = peer_of(gateway)
    assert (peer.address, peer.port, peer.tls, peer.proxy) == ("203.0.113.7", 40_000, True, "127.0.0.1")
    assert next(line for line in logs if line["event"] == "session.opened")["remote"] == "203.0.113.7:40000"
    await until(lambda: link.announced)
    assert b"203.0.113.7:40000" in link.announced[-1].body
    await until(lambda: link.calls)


async def test_a_proxy_header_comes_before_tls(edge_alone, folder):
    gateway, _ = await edge_alone(**V2, **folder.mutual())
    certificate = folder.authority.client("SN-9")
    _, writer = await half_open(gateway, proxy_header("2001:db8::7", 1))
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    context = client_context(folder, certificate)
    transport = await asyncio.get_running_loop().start_tls(
        writer.transport, protocol, context, server_hostname="localhost"
    )
    assert transport is not None
    transport.write(upgrade_request())
    assert (await head_of(reader))[0] == 101
    peer = peer_of(gateway)
    assert (str(peer), peer.tls, peer.certificate.common_name) == ("[2001:db8::7]:1", True, "SN-9")
    transport.abort()


async def test_a_proxy_that_speaks_for_itself_is_its_own_peer(edge_alone):
    gateway, _ = await edge_alone(**V2)
    assert await upgraded(gateway, local_header()) == 101
    assert (peer_of(gateway).address, peer_of(gateway).proxy) == ("127.0.0.1", None)


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        (upgrade_request(), "not_proxy_protocol"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "not_proxy_protocol"),
        (proxy_header(tlvs=b"x" * 5000), "too_large"),
        (proxy_header(command=0x2F), "bad_command"),
        (proxy_header(tlvs=b"\x20\xff\xff"), "bad_tlv"),
        (proxy_header()[:20], "timeout"),
    ],
)
async def test_a_listed_proxy_must_send_a_header(edge_alone, start, reason):
    gateway, _ = await edge_alone(**V2, handshake_timeout_seconds=0.3)
    before = metrics.PROXY_HEADERS_REFUSED.labels(reason)._value.get()
    with capture_logs() as logs:
        reader, _writer = await raw(gateway, start)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), 10)
    await until(lambda: gateway.edge.sockets == 0)
    assert metrics.PROXY_HEADERS_REFUSED.labels(reason)._value.get() == before + 1
    assert [line["reason"] for line in logs if line["event"] == "proxy.header_refused"] == [reason]


async def test_a_health_check_without_a_word_is_nothing_to_complain_of(edge_alone):
    gateway, _ = await edge_alone(**V2)
    with capture_logs() as logs:
        _reader, writer = await raw(gateway, b"")
        await until(lambda: gateway.edge.sockets == 1)
        writer.close()
        await until(lambda: gateway.edge.sockets == 0)
    assert not logs


async def test_a_header_of_somebody_else_is_no_request(edge_alone):
    gateway, _ = await edge_alone(**{**V2, **STRANGER})
    assert await upgraded(gateway, proxy_header()) == 400
    assert await upgraded(gateway) == 101


async def test_behind_the_proxy_protocol_http_headers_are_the_clients_own(edge_alone):
    gateway, _ = await edge_alone(**V2)
    before = ignored("x-forwarded-proto")
    headers = ("X-Forwarded-Proto: https", "X-Forwarded-For: 198.51.100.1")
    assert await upgraded(gateway, proxy_header("203.0.113.7"), *headers) == 101
    assert (peer_of(gateway).address, peer_of(gateway).tls) == ("203.0.113.7", False)
    assert ignored("x-forwarded-proto") == before + 1


# forwarded headers


async def test_a_listed_proxy_is_believed(edge_alone, folder):
    client = folder.authority.client("SN-1")
    gateway, _ = await edge_alone(
        **LISTED, tls_client_ca_file=folder.path / "ca.pem", client_cert_header="X-SSL-Client-Cert"
    )
    status = await upgraded(
        gateway,
        b"",
        "X-Forwarded-For: 1.1.1.1, 203.0.113.7, 127.0.0.1",
        "X-Forwarded-Proto: https",
        f"X-SSL-Client-Cert: {quote(client.pem.decode())}",
    )
    peer = peer_of(gateway)
    assert (status, str(peer), peer.tls, peer.proxy) == (101, "203.0.113.7", True, "127.0.0.1")
    assert peer.certificate.common_name == "SN-1"


async def test_anybody_else_is_not_believed(edge_alone, folder):
    client = folder.authority.client("SN-1")
    gateway, _ = await edge_alone(
        **STRANGER, tls_client_ca_file=folder.path / "ca.pem", client_cert_header="X-SSL-Client-Cert"
    )
    words = ("x-forwarded-for", "x-forwarded-proto", "forwarded", "client_certificate")
    before = [ignored(word) for word in words]
    headers = (
        "X-Forwarded-For: 203.0.113.7",
        "X-Forwarded-Proto: https",
        "Forwarded: for=203.0.113.7;proto=https",
        f"X-SSL-Client-Cert: {quote(client.pem.decode())}",
    )
    assert await upgraded(gateway, b"", *headers) == 101
    peer = peer_of(gateway)
    assert (peer.address, peer.tls, peer.proxy, peer.certificate) == ("127.0.0.1", False, None, None)
    assert [ignored(word) for word in words] == [count + 1 for count in before]


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        (quote(Authority("Other").client().pem.decode()), "untrusted"),
        ("garbage", "unreadable"),
        ("", None),
    ],
)
async def test_a_forwarded_certificate_is_verified_here_too(edge_alone, folder, header, problem):
    gateway, _ = await edge_alone(
        **LISTED, tls_client_ca_file=folder.path / "ca.pem", client_cert_header="X-SSL-Client-Cert"
    )
    assert await upgraded(gateway, b"", "X-Forwarded-Proto: https", f"X-SSL-Client-Cert: {header}") == 101
    assert (peer_of(gateway).certificate, peer_of(gateway).certificate_problem) == (None, problem)


@pytest.mark.parametrize(
    "headers", [("Authorization: Basic eDp5",) * 2, ("X-SSL-Client-Cert: a", "X-SSL-Client-Cert: b")]
)
async def test_what_may_come_once_is_refused_when_it_comes_twice(edge_alone, folder, headers):
    gateway, _ = await edge_alone(
        **LISTED, tls_client_ca_file=folder.path / "ca.pem", client_cert_header="X-SSL-Client-Cert"
    )
    assert await upgraded(gateway, b"", *headers) == 400


async def test_without_proxies_the_socket_tells_all(edge_alone):
    gateway, _ = await edge_alone()
    _reader, writer = await opened(gateway)
    assert str(peer_of(gateway)) == "{}:{}".format(*writer.get_extra_info("sockname"))
