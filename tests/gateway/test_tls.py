"""TLS on real sockets: what is spoken, renewal in place, client certificates, and openings that lead nowhere."""

import asyncio
import dataclasses
import socket
import ssl
import warnings

import pytest
from structlog.testing import capture_logs

from contracts.envelope import AdmissionVerdict
from gateway import metrics, tls
from gateway.app import Gateway
from tests.gateway.conftest import until
from tests.gateway.station import OPENED, call, client_frame, close_code, head_of, plug_in, upgrade_request
from tests.support.certificates import DAY, Authority, Issued, ec_key, rsa_key
from tests.support.tls_files import TlsFolder, client_context, tls_folder

TLS12 = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
TLS13 = (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3)


@pytest.fixture
def folder(tmp_path) -> TlsFolder:
    return tls_folder(tmp_path)


async def dial(gateway: Gateway, context: ssl.SSLContext) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A TLS connection; a fixture ends it."""
    assert gateway.tls_port
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", gateway.tls_port, ssl=context, server_hostname="localhost"
    )
    OPENED.append(writer)
    return reader, writer


async def secured(
    gateway: Gateway, context: ssl.SSLContext, identity: str = "CP-1"
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A session over TLS."""
    reader, writer = await dial(gateway, context)
    writer.write(upgrade_request(f"/ocpp/{identity}"))
    assert (await head_of(reader))[0] == 101
    return reader, writer


async def half_open(gateway: Gateway, data: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A TCP connection to the TLS port that stops before TLS."""
    assert gateway.tls_port
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.tls_port)
    OPENED.append(writer)
    writer.write(data)
    return reader, writer


def peer_of(gateway: Gateway):
    (connection,) = gateway.edge.registry
    return connection.peer


def failed(reason: str) -> float:
    value: float = metrics.TLS_FAILED.labels(reason)._value.get()
    return value


# what is spoken


@pytest.mark.parametrize(
    ("ciphers", "versions", "kind"),
    [
        (None, TLS13, None),
        ("ECDHE-ECDSA-AES128-GCM-SHA256", TLS12, "ec"),
        ("ECDHE-ECDSA-AES256-GCM-SHA384", TLS12, "ec"),
        ("ECDHE-RSA-AES128-GCM-SHA256", TLS12, "rsa"),
        ("AES128-GCM-SHA256", TLS12, "rsa"),
        ("AES256-GCM-SHA384", TLS12, "rsa"),
    ],
)
async def test_rsa_and_ecdsa_clients_are_served_side_by_side(edge_alone, folder, ciphers, versions, kind):
    gateway, link = await edge_alone(**folder.settings())
    link.auto = True
    _reader, writer = await secured(gateway, client_context(folder, ciphers=ciphers, versions=versions))
    assert ciphers is None or writer.get_extra_info("cipher")[0] == ciphers
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    assert kind is None or ssl.PEM_cert_to_DER_cert((folder.path / f"{kind}.pem").read_text()) == shown
    assert (peer_of(gateway).tls, peer_of(gateway).address) == (True, "127.0.0.1")


@pytest.mark.parametrize(
    ("ciphers", "versions", "minimum"),
    [
        ("ECDHE-RSA-AES128-SHA256", TLS12, "1.2"),
        ("ECDHE-RSA-CHACHA20-POLY1305", TLS12, "1.2"),
        ("AES128-SHA:@SECLEVEL=0", (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_1), "1.2"),
        (None, TLS12, "1.3"),
    ],
)
async def test_old_versions_and_weak_ciphers_are_refused(edge_alone, folder, ciphers, versions, minimum):
    gateway, _ = await edge_alone(**folder.settings(tls_min_version=minimum))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context = client_context(folder, ciphers=ciphers, versions=versions)
    before = failed("cipher") + failed("version")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await dial(gateway, context)
    await until(lambda: gateway.edge.sockets == 0)
    assert failed("cipher") + failed("version") == before + 1


async def test_plain_and_tls_listen_side_by_side_or_tls_alone(edge_alone, folder):
    gateway, link = await edge_alone(**folder.settings())
    link.auto = True
    async with await plug_in(gateway, "plain") as station:
        await secured(gateway, client_context(folder), "secured")
        assert (await call(station, "1", "Heartbeat"))[0] == 3
        assert {connection.peer.tls for connection in gateway.edge.registry} == {False, True}
    alone, _ = await edge_alone(**folder.settings(plain_listen="off", listen_port=gateway.port))
    await secured(alone, client_context(folder))


# a session over TLS


async def test_frames_sent_with_the_end_of_the_handshake_are_kept(edge_alone, folder):
    gateway, link = await edge_alone(**folder.settings())
    link.auto = True
    context = client_context(folder)
    for number in range(5):  # the end of the handshake and the request come in one segment, or in two
        reader, writer = await dial(gateway, context)
        writer.write(upgrade_request(f"/ocpp/CP-{number}") + client_frame(1, b'[2,"early","Heartbeat",{}]'))
        assert (await head_of(reader))[0] == 101
        assert await asyncio.wait_for(reader.readexactly(16), 10) == b'\x81\x0e[3,"early",{}]'


async def test_a_goodbye_over_tls_ends_the_session_and_the_stream(edge_alone, folder):
    gateway, _ = await edge_alone(**folder.settings())
    reader, writer = await secured(gateway, client_context(folder))
    writer.write(client_frame(8, b"\x03\xe8"))
    assert await close_code(reader) == 1000
    assert await asyncio.wait_for(reader.read(), 10) == b""  # a close_notify, else this would raise
    await until(lambda: gateway.edge.sockets == 0)


async def test_a_refusal_over_tls_is_answered_and_ends_the_stream(edge_alone, folder):
    gateway, _ = await edge_alone(**folder.settings())
    reader, writer = await dial(gateway, client_context(folder))
    writer.write(upgrade_request("/elsewhere"))
    assert (await head_of(reader))[0] == 404
    await asyncio.wait_for(reader.read(), 10)
    await until(lambda: gateway.edge.sockets == 0)


async def test_a_peer_that_does_not_read_over_tls_is_ended(edge_alone, folder):
    gateway, _ = await edge_alone(**folder.settings(write_buffer_bytes=4096))
    _reader, writer = await secured(gateway, client_context(folder))
    transport: asyncio.Transport = writer.transport  # type: ignore[assignment]
    transport.pause_reading()
    (connection,) = gateway.edge.registry
    sent = 0
    while connection.transmit(b"x" * 60_000):
        sent += 60_000
        assert sent < 100_000_000
        await asyncio.sleep(0)
    await until(lambda: gateway.edge.sockets == 0)


async def test_a_full_window_leaves_a_tls_socket_unread_until_there_is_room(edge_alone, folder):
    gateway, link = await edge_alone(**folder.settings(window_calls=1))
    reader, writer = await secured(gateway, client_context(folder))
    writer.write(b"".join(client_frame(1, b'[2,"%d","Heartbeat",{}]' % number) for number in range(3)))
    await until(lambda: link.calls)
    (connection,) = gateway.edge.registry
    assert not connection._transport.is_reading()
    link.auto = True
    link.reply(link.calls[0])
    for number in range(3):
        assert await asyncio.wait_for(reader.readexactly(12), 10) == b'\x81\x0a[3,"%d",{}]' % number
    await until(connection._transport.is_reading)


@pytest.mark.parametrize("politely", [True, False])
async def test_a_peer_that_left_during_the_verdict_gets_no_session(edge_alone, folder, politely):
    gateway, link = await edge_alone(**folder.settings(registration="closed"))
    _reader, writer = await dial(gateway, client_context(folder))
    writer.write(upgrade_request())
    await until(lambda: link.published)
    (connection,) = gateway.edge.everyone()
    assert not connection.peer_left
    (writer.close if politely else writer.transport.abort)()
    await until(lambda: gateway.edge.sockets == 0)
    link.reply(link.published[0], AdmissionVerdict(identity="CP-1", known=True))
    assert len(gateway.edge.registry) == 0


async def test_what_comes_before_the_verdict_is_read_within_bounds(edge_alone, folder):
    gateway, link = await edge_alone(**folder.settings(registration="closed"))
    link.auto = True
    reader, writer = await dial(gateway, client_context(folder))
    writer.write(upgrade_request() + client_frame(1, b"x" * 50_000) + client_frame(1, b'[2,"1","Heartbeat",{}]'))
    await until(lambda: link.published)
    (connection,) = gateway.edge.everyone()
    await until(lambda: not connection._transport.is_reading())
    link.reply(link.published[0], AdmissionVerdict(identity="CP-1", known=True))
    assert (await head_of(reader))[0] == 101
    assert await asyncio.wait_for(reader.readexactly(12), 10) == b'\x81\x0a[3,"1",{}]'


# renewal


async def test_certificates_are_renewed_while_sockets_stay_open(edge_alone, folder):
    gateway, link = await edge_alone(**folder.settings(tls_reload_seconds=0.05))
    link.auto = True
    context = client_context(folder, ciphers="ECDHE-ECDSA-AES128-GCM-SHA256", versions=TLS12)
    reader, writer = await secured(gateway, context, "older")
    with capture_logs() as logs:
        renewed = folder.authority.server(ends=2 * DAY)
        folder.serve(renewed)
        await until(lambda: any(line["event"] == "tls.reloaded" for line in logs))
    _reader, newer = await secured(gateway, context, "newer")
    assert newer.get_extra_info("ssl_object").getpeercert(binary_form=True) == renewed.der
    assert metrics.TLS_NOT_AFTER.labels("ecdsa")._value.get() == renewed.certificate.not_valid_after_utc.timestamp()
    writer.write(client_frame(1, b'[2,"1","Heartbeat",{}]'))
    assert await asyncio.wait_for(reader.readexactly(12), 10) == b'\x81\x0a[3,"1",{}]'


async def test_a_bad_new_file_keeps_the_old_certificate_and_is_named_once(edge_alone, folder):
    gateway, _ = await edge_alone(**folder.settings(tls_reload_seconds=0.02))
    assert gateway.tls
    with capture_logs() as logs:
        (folder.path / "ec.key").write_bytes(folder.authority.server().key_pem)
        await until(lambda: logs)
        gateway.tls.reload_soon()
        await until(lambda: len(logs) > 1)
        for _ in range(10):
            await secured(gateway, client_context(folder))
    assert [line["event"] for line in logs if line["event"].startswith("tls.")] == ["tls.reload_failed"] * 2
    assert "ec.key: not the key of the certificate" in logs[0]["problem"]


async def test_a_revocation_counts_as_soon_as_its_list_was_read(edge_alone, folder):
    gateway, _ = await edge_alone(**folder.mutual(tls_reload_seconds=0.02))
    assert gateway.tls
    bad = folder.authority.client()
    await secured(gateway, client_context(folder, bad))
    assert peer_of(gateway).certificate.serial == bad.serial
    older = gateway.tls.trust
    folder.revoke(bad)
    await until(lambda: gateway.tls.trust is not older)
    await secured(gateway, client_context(folder, bad))
    assert (peer_of(gateway).certificate, peer_of(gateway).certificate_problem) == (None, "revoked")


async def test_an_outdated_revocation_list_still_serves_and_is_warned_about(edge_alone, folder):
    (folder.path / "crl.pem").write_bytes(folder.authority.revocations(starts=-3 * DAY, ends=-2 * DAY))
    with capture_logs() as logs:
        gateway, _ = await edge_alone(**folder.mutual(tls_reload_seconds=0.01))
        await secured(gateway, client_context(folder, folder.authority.client()))
    assert peer_of(gateway).certificate is not None
    assert [line["event"] for line in logs].count("tls.revocations_outdated") == 1


# client certificates


@pytest.mark.parametrize(
    ("of", "problem"),
    [
        (lambda ca: ca.client("SN-1"), None),
        (lambda ca: ca.client("SN-1", key=rsa_key()), None),
        (lambda ca: ca.intermediate().client("SN-1"), None),
        (lambda ca: ca.client(starts=-2 * DAY, ends=-DAY), "expired"),
        (lambda ca: ca.client(starts=DAY, ends=2 * DAY), "not_yet_valid"),
    ],
)
@pytest.mark.parametrize("versions", [TLS12, TLS13])
async def test_client_certificates_are_facts_or_problems(edge_alone, folder, of, problem, versions):
    gateway, _ = await edge_alone(**folder.mutual())
    await secured(gateway, client_context(folder, of(folder.authority), versions=versions))
    peer = peer_of(gateway)
    assert peer.certificate_problem == problem
    assert (peer.certificate is None) is (problem is not None)
    assert problem or peer.certificate.common_name == "SN-1"


async def test_a_client_without_certificate_may_connect(edge_alone, folder):
    gateway, _ = await edge_alone(**folder.mutual())
    await secured(gateway, client_context(folder))
    assert (peer_of(gateway).certificate, peer_of(gateway).certificate_problem) == (None, None)


async def test_an_untrusted_certificate_ends_the_handshake(edge_alone, folder):
    gateway, _ = await edge_alone(**folder.mutual())
    before = failed("client_certificate")
    stranger: Issued = Authority().client(key=ec_key())
    with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        await secured(gateway, client_context(folder, stranger))
    await until(lambda: gateway.edge.sockets == 0)
    assert failed("client_certificate") == before + 1


@pytest.mark.parametrize(("mutual", "versions", "resumed"), [
    (False, TLS12, True), (False, TLS13, True),
    (True, TLS12, True),  # remembered here, with all that the client showed
    (True, TLS13, False),  # would be remembered by the client, without the intermediates
])  # fmt: skip
async def test_resumed_sessions_show_what_the_first_one_showed(edge_alone, folder, mutual, versions, resumed):
    gateway, _ = await edge_alone(**(folder.mutual() if mutual else folder.settings()))
    client = folder.authority.intermediate().client() if mutual else None
    context = client_context(folder, client, versions=versions)
    with capture_logs() as logs:
        assert await asyncio.to_thread(_resumes, context, gateway.tls_port) is resumed
    assert not [line for line in logs if line["event"] == "opening.failed"]


async def test_a_revoked_intermediate_is_noticed_in_a_resumed_session(edge_alone, folder):
    gateway, _ = await edge_alone(**folder.mutual())
    middle = folder.authority.intermediate()
    context = client_context(folder, middle.client(), versions=TLS12)
    (folder.path / "crl.pem").write_bytes(folder.authority.revocations(Issued(middle.certificate, middle.key)))
    problems = []
    peers = gateway.edge.requested
    gateway.edge.requested = lambda connection, request: (
        problems.append(request.peer.certificate_problem),
        peers(connection, request),
    )
    gateway.tls.loaded = dataclasses.replace(gateway.tls.loaded, trust=tls.load(gateway.settings.tls_files).trust)
    assert await asyncio.to_thread(_resumes, context, gateway.tls_port)
    assert problems == ["revoked", "revoked"]


def _resumes(context: ssl.SSLContext, port: int) -> bool:
    """Whether a second connection resumes what the first began; blocking, as only that API takes a session."""
    session = None
    for _ in range(2):
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="localhost", session=session) as connection,
        ):
            connection.sendall(upgrade_request("/elsewhere"))
            connection.recv(4096)
            session, reused = connection.session, connection.session_reused
            connection.unwrap()
    return bool(reused)


# openings that lead nowhere


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"GET / HTTP/1.1\r\n\r\n", "not_tls"), (b"\0" * 100, "not_tls"), (b"\x16\x03\x01\x00\x05hello", "other")],
)
async def test_garbage_on_the_tls_port_ends_its_connection_only(edge_alone, folder, data, reason):
    gateway, link = await edge_alone(**folder.settings())
    link.auto = True
    _bystander, writer = await secured(gateway, client_context(folder), "bystander")
    before = sum(failed(word) for word in ("not_tls", "other"))
    reader, _writer = await half_open(gateway, data)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(1000), 10)
    await until(lambda: gateway.edge.sockets == 1)
    assert sum(failed(word) for word in ("not_tls", "other")) == before + 1
    writer.write(client_frame(1, b'[2,"1","Heartbeat",{}]'))
    assert await asyncio.wait_for(_bystander.readexactly(12), 10) == b'\x81\x0a[3,"1",{}]'


async def test_half_open_handshakes_have_a_deadline_and_are_counted(edge_alone, folder):
    gateway, _ = await edge_alone(**folder.settings(tls_handshake_timeout_seconds=0.5))
    before = failed("timeout")
    peers = [await half_open(gateway, data) for data in (b"", b"\x16", b"\x16\x03\x01\x02\x00\x01")]
    await until(lambda: metrics.TLS_HANDSHAKES._value.get() == 3)
    assert gateway.edge.sockets == 3
    await until(lambda: gateway.edge.sockets == 0)
    assert (failed("timeout"), metrics.TLS_HANDSHAKES._value.get()) == (before + 3, 0)
    assert len(peers) == 3


async def test_half_open_handshakes_are_bounded(edge_alone, folder, monkeypatch):
    monkeypatch.setattr("gateway.edge._SPARE_SOCKETS", 3)
    gateway, _ = await edge_alone(**folder.settings(max_connections=2))
    for _ in range(5):
        await half_open(gateway)
    await until(lambda: gateway.edge.sockets == 5)
    reader, _writer = await half_open(gateway)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(1), 10)
    assert gateway.edge.sockets == 5


async def test_a_peer_that_leaves_in_the_handshake_leaves_nothing_behind(edge_alone, folder):
    gateway, _ = await edge_alone(**folder.settings())
    before = failed("gone")
    for data in (b"", b"\x16\x03\x01"):
        _reader, writer = await half_open(gateway, data)
        await until(lambda: gateway.edge.sockets == 1)
        writer.close()
        await until(lambda: gateway.edge.sockets == 0)
    _reader, writer = await half_open(gateway)
    await until(lambda: gateway.edge.sockets == 1)
    writer.transport.abort()
    await until(lambda: gateway.edge.sockets == 0)
    assert failed("gone") == before + 3


async def test_the_end_of_a_gateway_ends_half_open_handshakes(edge_alone, folder):
    gateway, _ = await edge_alone(**folder.settings())
    reader, _writer = await half_open(gateway, b"\x16\x03")
    await until(lambda: gateway.edge.sockets == 1)
    await gateway.close()  # that no task is left is checked after each test
    assert gateway.edge.sockets == 0
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(1), 10)
