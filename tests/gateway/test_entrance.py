"""Doors that cannot be opened, that run out of descriptors, and the signal that reads certificates anew."""

import asyncio
import errno
import os
import signal
import socket
from typing import Any

from structlog.testing import capture_logs

from gateway import doors
from gateway.app import serve
from gateway.doors import Door
from tests.gateway.conftest import settings, until
from tests.support.tls_files import tls_folder


async def test_sighup_reads_the_certificates_anew_and_the_gateway_serves_on(tmp_path):
    folder = tls_folder(tmp_path)
    stop = asyncio.Event()
    chosen = settings(
        amqp_url="amqp://127.0.0.1:1/", drain_grace_seconds=0.2, tls_reload_seconds=3600, **folder.settings()
    )
    with capture_logs() as logs:
        serving = asyncio.create_task(serve(chosen, stop))
        await until(lambda: any(line["event"] == "gateway.started" for line in logs))
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: any(line["event"] == "tls.reloaded" for line in logs))
        stop.set()
        assert await serving == 0
    reloaded = next(line for line in logs if line["event"] == "tls.reloaded")
    assert [len(fingerprint) for fingerprint in reloaded["fingerprints"]] == [64, 64]


async def test_a_tls_port_that_is_taken_is_said_and_nothing_is_left(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken, capture_logs() as logs:
        port = taken.getsockname()[1]
        chosen = settings(**{**tls_folder(tmp_path).settings(), "tls_listen_port": port})
        assert await serve(chosen, asyncio.Event()) == 1
    (line,) = [line for line in logs if line["event"] == "gateway.not_started"]
    assert "Address already in use" in line["problem"]


async def test_without_descriptors_a_door_waits_and_then_goes_on(monkeypatch):
    monkeypatch.setattr(doors, "PAUSE_S", 0.05)
    accepted: list[socket.socket] = []
    door = Door(lambda sock, _name: accepted.append(sock))
    port = await door.open("127.0.0.1", 0, 10)
    real = door._listening[0]
    full: Any = _Full(real)
    asyncio.get_running_loop().remove_reader(real)
    door._listening = [full]
    asyncio.get_running_loop().add_reader(real, door._accept, full)
    with capture_logs() as logs:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        await until(lambda: accepted)
    assert [line["problem"] for line in logs] == ["Too many open files"]
    for sock in accepted:
        sock.close()
    writer.transport.abort()
    door.close()


class _Full:
    """A listening socket for which there is no descriptor at first."""

    def __init__(self, real: socket.socket) -> None:
        self._real = real
        self._failures = 1

    def accept(self) -> tuple[socket.socket, object]:
        if self._failures:
            self._failures -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return self._real.accept()

    def fileno(self) -> int:
        return self._real.fileno()

    def close(self) -> None:
        self._real.close()
