"""A scripted server and charge points whose hours take milliseconds."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from typing import Any

import ocpp.messages
import pytest

from loadtest.charge_point import ChargePoint
from loadtest.clock import Clock
from loadtest.observer import Unobserved
from loadtest.settings import Behaviour, LinkSettings
from loadtest.v16 import ChargePoint16
from loadtest.v201 import ChargePoint201
from tests.loadtest.csms import PATIENCE_S, Csms, running_csms

SPEED = 20_000.0  # a session of an hour takes 180 ms
PROTOCOL_SPEED = 200.0  # a second's retry wait takes 5 ms
KINDS = {"1.6": ChargePoint16, "2.0.1": ChargePoint201}


@pytest.fixture(autouse=True)
def _validate_in_this_thread(monkeypatch):
    monkeypatch.setattr(ocpp.messages, "ASYNC_VALIDATION", False)


@pytest.fixture
async def csms() -> AsyncIterator[Csms]:
    async with running_csms() as server:
        yield server


class Watching(Unobserved):
    """Lets a test wait for something that only the charge point knows."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def state(self, before: str | None, after: str | None) -> None:
        self._changed.set()

    def protocol_error(self, identity: str, note: str) -> None:
        self._changed.set()

    def connect_failed(self, identity: str, reason: str, again_in_s: float) -> None:
        self._changed.set()

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def living(point: ChargePoint) -> AsyncIterator[ChargePoint]:
    task = asyncio.create_task(point.run())
    try:
        yield point
        assert not task.done(), "the charge point crashed"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


Plug = Callable[..., Any]


@pytest.fixture
async def plug_in(csms: Csms) -> AsyncIterator[Plug]:
    """Give a function that starts a charge point; every one is stopped at the end."""
    async with AsyncExitStack() as stack:

        async def start(
            version: str = "1.6", identity: str = "CP 1/ä", *, online: bool = True, **options: Any
        ) -> ChargePoint:
            behaviour: dict[str, Any] = {"handling_s": 5.0, "battery_wh": 5_000_000.0} | options.pop("behaviour", {})
            link: dict[str, Any] = {"url": csms.url, "backoff_base_s": 1.0} | options
            point = KINDS[version](
                identity,
                LinkSettings(**link),
                Behaviour(**behaviour),
                clock=Clock(SPEED, horizon_s=60.0, protocol_speed=PROTOCOL_SPEED),
                rng=Random(7),
                observer=Watching(),
            )
            await stack.enter_async_context(living(point))
            if online:
                async with asyncio.timeout(20):
                    await point.wait_online()
            return point

        yield start
