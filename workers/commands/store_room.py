"""Few transactions at a time, and notice of a store that hangs: what needs no store must not wait for one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from workers.errors import StoreUnavailableError

PATIENCE_S = 2.0
"""A transaction that takes longer hangs, and so does a store in which none has ended for so long."""


class StoreRoom:
    """Room for so many transactions. Waiting for it is no hanging as long as others come to their ends."""

    def __init__(self, most: int) -> None:
        self._room = asyncio.Semaphore(most)
        self._moved_at = 0.0

    @contextlib.asynccontextmanager
    async def enter(self, hangs: Callable[[], None] | None = None) -> AsyncIterator[None]:
        """Hold room; `hangs` is called, once, when the store does."""
        loop = asyncio.get_running_loop()
        since, inside = loop.time(), False
        timer: asyncio.TimerHandle

        def look() -> None:
            nonlocal timer
            left_s = (since if inside else max(since, self._moved_at)) + PATIENCE_S - loop.time()
            if left_s > 0:
                timer = loop.call_later(left_s, look)
            elif hangs is not None:
                hangs()

        timer = loop.call_later(PATIENCE_S, look)
        try:
            async with self._room:
                since, inside = loop.time(), True
                try:
                    yield
                finally:
                    self._moved_at = loop.time()
        finally:
            timer.cancel()

    @contextlib.asynccontextmanager
    async def enter_or_give_up(self) -> AsyncIterator[None]:
        """Hold room, and cancel what is done with it when the store hangs. Raises StoreUnavailableError then."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as bound, self.enter(lambda: bound.reschedule(loop.time())):
                yield
        except TimeoutError as error:
            raise StoreUnavailableError("the database hangs") from error
