"""Client certificates on real TLS sockets."""

import asyncio
import dataclasses
import socket
import ssl

import pytest
from structlog.testing import capture_logs

from gateway import tls
from gateway.connection import Connection
from gateway.peer import Request
from tests.gateway.conftest import until
from tests.gateway.station import upgrade_request
from tests.gateway.tls_station import TLS12, TLS13, failed, peer_of, secured
from tests.support.certificates import DAY, Authority, Issued, ec_key, rsa_key
from tests.support.tls_files import TlsFolder, client_context, tls_folder


@pytest.fixture
def folder(tmp_path) -> TlsFolder:
    return tls_folder(tmp_path)


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
    problems: list[str | None] = []
    requested = gateway.edge.requested

    def noted(connection: Connection, request: Request) -> None:
        problems.append(request.peer.certificate_problem)
        requested(connection, request)

    gateway.edge.requested = noted
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
