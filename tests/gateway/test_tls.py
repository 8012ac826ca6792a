"""TLS on real sockets: what is spoken, sessions over it, and renewal in place."""

import asyncio
import ssl
import warnings

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from contracts.envelope import AdmissionVerdict
from gateway import metrics
from tests.gateway.conftest import until
from tests.gateway.station import call, client_frame, close_code, head_of, plug_in, upgrade_request
from tests.gateway.tls_station import TLS12, TLS13, dial, failed, peer_of, secured
from tests.support.certificates import DAY, rsa_key
from tests.support.tls_files import TlsFolder, client_context, tls_folder

NOT_AFTER = "ocpp_tls_certificate_not_after_seconds"


@pytest.fixture
def folder(tmp_path) -> TlsFolder:
    return tls_folder(tmp_path)


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
    gateway, link = await edge_alone(**folder.settings(authentication="on", registration="closed"))
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
    gateway, link = await edge_alone(**folder.settings(authentication="on", registration="closed"))
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


async def test_a_kind_of_certificate_that_was_replaced_no_longer_has_an_end(edge_alone, folder):
    settings = folder.settings(tls_reload_seconds=0.05)
    only_one = {name: str(settings[name]).partition(",")[0] for name in ("tls_cert_files", "tls_key_files")}
    await edge_alone(**settings | only_one)
    with capture_logs() as logs:
        await until(lambda: REGISTRY.get_sample_value(NOT_AFTER, {"key_type": "ecdsa"}))
        folder.serve(folder.authority.server(key=rsa_key()))
        await until(lambda: any(line["event"] == "tls.reloaded" for line in logs))
    assert REGISTRY.get_sample_value(NOT_AFTER, {"key_type": "rsa"})
    assert REGISTRY.get_sample_value(NOT_AFTER, {"key_type": "ecdsa"}) is None


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
