"""A herd in this process, against the scripted server."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import ocpp.messages
import pytest

from loadtest.crowd.herd import Herd
from loadtest.crowd.orders import Order, Share, Tick
from tests.loadtest.csms import Csms, running_csms


@pytest.fixture(autouse=True)
def _validate_in_this_thread(monkeypatch):
    monkeypatch.setattr(ocpp.messages, "ASYNC_VALIDATION", False)


@pytest.fixture
async def csms() -> AsyncIterator[Csms]:
    async with running_csms() as server:
        yield server


Grazing = Callable[..., Any]


@pytest.fixture
def grazing(csms: Csms) -> Grazing:
    @asynccontextmanager
    async def graze(count: int = 1, **more: Any) -> AsyncIterator[tuple[Herd, list[Tick]]]:
        ticks: list[Tick] = []
        options = {"urls": (csms.url,), "backoff_s": 0.01, "backoff_random_s": 0.01, "ramp_per_s": 1e4, **more}
        herd = Herd(Share(count=count, **options), ticks.append)
        herd.obey(Order(what="connect"))
        try:
            yield herd, ticks
        finally:
            await herd.end()

    return graze
