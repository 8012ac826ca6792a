"""The whole path in one process: a gateway on a real broker, worker services on a store, and a backend."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from ocpp.charge_point import ChargePoint
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from contracts.actions import Service
from contracts.versions import Version
from gateway.app import Gateway
from gateway.settings import GatewaySettings
from tests.support.calling import until
from tests.support.job_caller import JobCaller, job_caller_on
from tests.support.serving import serving, worker_settings
from tests.support.worker_store import migrated_store
from workers.runtime.application import definition_of
from workers.store.engine import Store

StationT = TypeVar("StationT", bound=ChargePoint)


@dataclass(frozen=True, slots=True)
class Site:
    """A running system; `backend` asks for jobs."""

    gateway: Gateway
    store: Store
    backend: JobCaller

    @asynccontextmanager
    async def socket(self, version: Version, identity: str = "CP-1") -> AsyncIterator[ClientConnection]:
        """A bare WebSocket of a charge point."""
        url = f"ws://127.0.0.1:{self.gateway.port}/ocpp/{identity}"
        subprotocols = [Subprotocol(version.subprotocol)]
        async with connect(url, subprotocols=subprotocols, compression=None, proxy=None) as socket:
            yield socket

    @asynccontextmanager
    async def station(self, kind: type[StationT], version: Version) -> AsyncIterator[StationT]:
        """A charge point of the `ocpp` package, connected and listening."""
        async with self.socket(version) as socket:
            station = kind("CP-1", socket)
            listening = asyncio.create_task(station.start())
            try:
                yield station
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)


@asynccontextmanager
async def site(amqp_url: str, database_url: str, *services: Service, **gateway: Any) -> AsyncIterator[Site]:
    """A site with these services; `gateway` changes settings of the gateway, by field name."""
    values = {"listen_host": "127.0.0.1", "listen_port": 0, "monitor_host": "127.0.0.1", "monitor_port": 0, **gateway}
    settings = worker_settings(amqp_url)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(migrated_store(database_url))
        for service in services:
            await stack.enter_async_context(serving(definition_of(service, settings), settings, store))
        backend = await stack.enter_async_context(job_caller_on(amqp_url))
        edge = Gateway(GatewaySettings.model_validate({"amqp_url": amqp_url, **values}))
        stack.push_async_callback(edge.close)
        await edge.start()
        await until(lambda: edge.link.up)
        yield Site(edge, store, backend)
        assert not backend.dead, "a delivery was dead-lettered"


async def exchange(socket: ClientConnection, unique_id: str, action: str, payload: Any) -> list[Any]:
    """Send a Call as it is and return the answering frame."""
    await socket.send(orjson.dumps([2, unique_id, action, payload]).decode())
    async with asyncio.timeout(30):
        answer: list[Any] = orjson.loads(await socket.recv())
    return answer
