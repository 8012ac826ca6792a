"""A worker service run inside the test's own process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from workers.runtime.application import Application
from workers.runtime.calls import ServiceDefinition
from workers.settings import WorkerSettings
from workers.store.engine import Store


def worker_settings(amqp_url: str, **changes: Any) -> WorkerSettings:
    """Settings for tests: a free monitor port, short pauses."""
    values: dict[str, Any] = {
        "amqp_url": amqp_url,
        "monitor_host": "127.0.0.1",
        "monitor_port": 0,
        "retry_max_seconds": 0.2,
        "grace_seconds": 10,
        "command_timeout_seconds": 10,
        "interval_jitter": 0,
        **changes,
    }
    return WorkerSettings(**values)


@asynccontextmanager
async def serving(
    definition: ServiceDefinition, settings: WorkerSettings, store: Store, **more: Any
) -> AsyncIterator[Application]:
    """The service, connected; at the end it is stopped in good order and must exit 0."""
    application = Application(definition, settings, store, **more)
    stop = asyncio.Event()
    running = asyncio.create_task(application.run(stop))
    try:
        ready = asyncio.create_task(application.ready.wait())
        await asyncio.wait({ready, running}, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        assert application.ready.is_set()
        yield application
    finally:
        stop.set()
        code = await running
    assert code == 0
