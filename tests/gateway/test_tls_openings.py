"""Openings on the TLS port that lead nowhere: each ends, is counted, and touches nobody else."""

import asyncio

import pytest

from gateway import metrics
from tests.gateway.conftest import until
from tests.gateway.station import client_frame
from tests.gateway.tls_station import failed, half_open, secured
from tests.support.tls_files import TlsFolder, client_context, tls_folder


@pytest.fixture
def folder(tmp_path) -> TlsFolder:
    return tls_folder(tmp_path)


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
