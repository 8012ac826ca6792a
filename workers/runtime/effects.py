"""Effects: what follows a commit, run beside the lanes and bounded."""

import asyncio
from collections import deque

import structlog

from workers import metrics
from workers.runtime.calls import Effect
from workers.runtime.context import ServiceContext

MOST_WAITING = 20_000


class EffectRunner:
    """Runs effects, `side_by_side` at most at a time; `run` is the owner's to await and cancels them when cancelled."""

    def __init__(self, service: str, *, side_by_side: int) -> None:
        self._service = service
        self._side_by_side = side_by_side
        self._waiting: deque[Effect] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._log = structlog.get_logger().bind(service=service)

    def add(self, effect: Effect) -> None:
        """Queue an effect; with no room it is dropped and counted, for effects are made again from the store."""
        if len(self._waiting) >= MOST_WAITING:
            metrics.effects_dropped.labels(self._service).inc()
            return
        self._waiting.append(effect)
        self._wake.set()

    async def run(self, context: ServiceContext) -> None:
        """Run effects until cancelled."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._waiting and len(self._running) < self._side_by_side:
                    task = asyncio.create_task(self._one(self._waiting.popleft(), context))
                    self._running.add(task)
                    task.add_done_callback(self._ended)
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._wake.set()

    async def _one(self, effect: Effect, context: ServiceContext) -> None:
        try:
            await effect(context)
        except Exception as error:  # noqa: BLE001 - the outermost shell of every effect
            self._log.error("effect.failed", exc_info=error)
