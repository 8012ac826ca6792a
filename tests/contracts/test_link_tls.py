"""The broker link over TLS, against a real broker: who is let in, who is refused, and in which words."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import structlog

from contracts.broker import BrokerLink, TlsFiles
from contracts.broker.declare import count, declare
from contracts.client import CommandClient
from contracts.errors import LinkDownError
from contracts.topology import DEAD_LETTERS, TOPOLOGY
from tests.contracts.test_link import Recorder
from tests.support.authority import Authority
from tests.support.nodes import state_dir
from tools.nodes.binaries import rabbitmq_server
from tools.nodes.faces import NodeUnavailable
from tools.nodes.management import ManagementApi
from tools.nodes.rabbitmq import PrivateRabbit

try:
    rabbitmq_server()
except NodeUnavailable:  # a container of ours has no TLS listener
    pytest.skip("needs RabbitMQ on this machine", allow_module_level=True)


@pytest.fixture(scope="module")
def node() -> Iterator[PrivateRabbit]:
    broker = PrivateRabbit(state_dir("rabbit"), tls=True)
    Authority(broker.tls_dir).issue("server", "localhost")
    try:
        broker.start()
        yield broker
    finally:
        broker.discard()


def trusting(node: PrivateRabbit, **more: str) -> TlsFiles:
    return TlsFiles(ca_file=str(node.tls_dir / "ca.pem"), **more)


@asynccontextmanager
async def linked(url: str, files: TlsFiles) -> AsyncIterator[tuple[BrokerLink, Recorder, asyncio.Queue[str]]]:
    failures: asyncio.Queue[str] = asyncio.Queue()
    recorder = Recorder()
    link = BrokerLink(url, recorder, name="tls test", topology=None, files=files, on_failure=failures.put_nowait)
    running = asyncio.create_task(link.run())
    try:
        yield link, recorder, failures
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_it_connects_publishes_and_comes_back_after_a_cut(node):
    await declare(node.amqps_url, TOPOLOGY, trusting(node))
    async with linked(node.amqps_url, trusting(node)) as (link, recorder, _):
        await recorder.until(lambda: link.up)
        link.publish("", DEAD_LETTERS, b"x" * 300_000, token="large")
        await recorder.until(lambda: recorder.confirms == ["large"])
        api = ManagementApi(node.management_url)
        assert link._wire is not None
        link._wire._abort()
        await recorder.until(lambda: recorder.ups == 2)
        assert api.answers()
    assert await count(node.amqps_url, DEAD_LETTERS, trusting(node)) == 1


async def test_the_client_takes_its_files_from_the_caller_or_the_environment(node, monkeypatch):
    async with CommandClient(node.amqps_url, files=trusting(node)) as client:
        assert client.connected
    monkeypatch.setenv("OCPP_AMQP_CA_FILE", str(node.tls_dir / "ca.pem"))
    async with CommandClient(node.amqps_url) as client:
        assert client.connected


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("system roots", "certificate is refused"),
        ("other authority", "certificate is refused"),
        ("other name", "Hostname mismatch|IP address mismatch"),
        ("plain port", "no TLS with the broker"),
        ("client certificate of nobody", "no TLS with the broker|closed|lost"),
    ],
)
async def test_what_is_not_right_is_refused_in_words_and_tried_again(node, tmp_path, case, words):
    url, files = node.amqps_url.replace("guest:guest", "guest:SECRET"), trusting(node)
    if case == "system roots":
        files = TlsFiles()
    elif case == "other authority":
        files = TlsFiles(str(Authority(tmp_path, "Somebody").file))
    elif case == "other name":
        url = url.replace("localhost", "127.0.0.1")
    elif case == "plain port":
        url = node.amqp_url.replace("amqp:", "amqps:").replace("guest:guest", "guest:SECRET")
    else:
        certificate, key = Authority(tmp_path, "Somebody").issue("client", "client")
        files = trusting(node, cert_file=str(certificate), key_file=str(key))
    with structlog.testing.capture_logs() as logs:
        async with linked(url, files) as (link, _, failures):
            async with asyncio.timeout(30):
                reasons = [await failures.get() for _ in range(2)]
            assert not link.up
    assert all(any(word in reason for word in words.split("|")) for reason in reasons), reasons
    assert "SECRET" not in repr((reasons, logs, link))


async def test_an_expired_certificate_is_refused(tmp_path):
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server", "localhost", lasts=timedelta(days=-1))
    context = TlsFiles(cert_file=str(certificate), key_file=str(key))
    async with serving_tls(context) as port:
        with pytest.raises(LinkDownError, match="certificate has expired"):
            await declare(f"amqps://localhost:{port}/", TOPOLOGY, TlsFiles(str(authority.file)))


@asynccontextmanager
async def serving_tls(files: TlsFiles) -> AsyncIterator[int]:
    import ssl

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.cert_file, files.key_file)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


def test_files_that_cannot_be_used_are_found_at_start(tmp_path: Path):
    certificate, key = (str(file) for file in Authority(tmp_path).issue("client", "client"))
    (tmp_path / "other.key").write_text((tmp_path / "client.pem").read_text())
    assert TlsFiles(str(tmp_path / "ca.pem"), certificate, key).problem() is None
    for files in (
        TlsFiles(str(tmp_path / "none.pem")),
        TlsFiles(key),
        TlsFiles(cert_file=certificate),
        TlsFiles(key_file=key),
        TlsFiles(cert_file=certificate, key_file=str(tmp_path / "other.key")),
    ):
        assert files.problem() is not None
