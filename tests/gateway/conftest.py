"""Fixtures: a gateway in this process, on the loop it runs on in production."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from gateway.app import Gateway
from gateway.settings import GatewaySettings
from tests.gateway.memory_link import MemoryLink
from tests.gateway.station import OPENED
from tests.gateway.worker import TinyWorker


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The gateway runs on uvloop only."""
    return {"uvloop": uvloop.new_event_loop}


BARE: dict[str, object] = {
    "authentication": "off",
    "handshakes_per_second": 0,
    "handshakes_per_second_per_address": 0,
    "open_handshakes_per_address": 0,
    "reconnects_per_minute": 0,
    "flap_delay_seconds": 0.1,
    "frames_per_second": 0,
    "bytes_per_second": 0,
}
"""No admission and no rates: all charge points of the tests have one address, and none is on record."""


def settings(**changes: object) -> GatewaySettings:
    values: dict[str, object] = {
        "listen_host": "127.0.0.1",
        "listen_port": 0,
        "monitor_host": "127.0.0.1",
        "monitor_port": 0,
        "frame_log": "off",
        **BARE,
        **changes,
    }
    return GatewaySettings.model_validate(values)


@pytest.fixture
async def start_gateway(amqp_url: str) -> AsyncIterator[Callable[..., object]]:
    """Start a gateway on the test's broker, with the settings given by field name; it is up when this returns."""
    started: list[Gateway] = []

    async def start(**changes: object) -> Gateway:
        gateway = Gateway(settings(**{"amqp_url": amqp_url, **changes}))
        await gateway.start()
        started.append(gateway)
        await until(lambda: gateway.link.up)
        return gateway

    yield start
    for gateway in started:
        await gateway.close()


@pytest.fixture
async def worker(amqp_url: str) -> AsyncIterator[TinyWorker]:
    """A worker for all services that answers `{}`; tests change its `answer`."""
    async with TinyWorker(amqp_url) as tiny:
        yield tiny


@pytest.fixture
async def edge_alone() -> AsyncIterator[Callable[..., object]]:
    """A gateway whose broker link is this process's memory: for what happens on sockets only."""
    started: list[Gateway] = []

    async def start(**changes: object) -> tuple[Gateway, MemoryLink]:
        gateway = Gateway(settings(**changes))
        link = MemoryLink(gateway)
        await gateway.start()
        started.append(gateway)
        return gateway, link

    yield start
    for writer in OPENED:
        writer.transport.abort()
    OPENED.clear()
    for gateway in started:
        await gateway.close()


async def until(condition: Callable[[], object], *, seconds: float = 15.0) -> None:
    """Wait for a condition on state that has no event of its own; AssertionError when it does not come."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not condition():
        assert loop.time() < deadline, "the condition did not come true"
        await asyncio.sleep(0.005)
