"""A crowd at work whose ticks are taken as they come, whatever a scenario does meanwhile."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, Self

from loadtest.crowd.conductor import Crowd, CrowdTick
from loadtest.crowd.orders import Load
from loadtest.scenarios.counting import Gathering

_FIRST_TICK_S = 30.0


class RunFailed(Exception):  # noqa: N818 - one of the ends of a run
    """The scenario cannot go on: what it waited for did not come."""


class Watched:
    """A crowd with somebody who watches it, from entering to leaving; `on_tick` hears of every second."""

    def __init__(self, crowd: Crowd, name: str, on_tick: Callable[["Watched", CrowdTick], None]) -> None:
        self.name = name
        """Before the names of its series; empty for the main crowd."""
        self.charge_points = crowd.charge_points
        self._crowd = crowd
        self._on_tick = on_tick
        self._latest: CrowdTick | None = None
        self._failure: Exception | None = None
        self._changed = asyncio.Event()
        self._gatherings: list[Gathering] = []
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._crowd.__aenter__()
        self._task = asyncio.create_task(self._watch())
        try:
            async with asyncio.timeout(_FIRST_TICK_S):
                await self.tick()
        except BaseException as error:
            await self.__aexit__()
            if isinstance(error, TimeoutError):
                raise RunFailed(f"the crowd said nothing for {_FIRST_TICK_S:.0f} s") from None
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._crowd.__aexit__()

    @property
    def latest(self) -> CrowdTick:
        """The last second that was told."""
        if self._latest is None:
            raise RunFailed("the crowd has not said anything yet")
        return self._latest

    async def connect(self) -> None:
        """Have everybody connect, and stay connected."""
        await self._crowd.connect()

    async def load(self, load: Load) -> None:
        """Have this load from now on."""
        await self._crowd.load(load)

    async def cut(self) -> None:
        """Have everybody lose power at once."""
        await self._crowd.cut()

    async def finish(self) -> None:
        """Have all transactions end."""
        await self._crowd.finish()

    async def tick(self) -> CrowdTick:
        """The next second; when there will be none, the reason is raised: CrowdFailed, or what `on_tick` raised."""
        changed = self._changed
        if self._failure is None:
            await changed.wait()
        if self._failure is not None:
            raise self._failure
        return self.latest

    async def pause(self, seconds: float) -> None:
        """Let ticks come for so long."""
        until = monotonic() + seconds
        while monotonic() < until:
            await self.tick()

    async def until(self, holds: Callable[[CrowdTick], bool], limit_s: float, what: str) -> float:
        """Wait for the tick of which this holds; the seconds until then. RunFailed when they are more than allowed."""
        began = monotonic()
        while not holds(await self.tick()):
            if monotonic() - began > limit_s:
                raise RunFailed(f"not within {limit_s:.0f} s: {what} ({_state(self.latest)})")
        return monotonic() - began

    async def settle(self, limit_s: float) -> float:
        """Connect, and wait until everybody is connected and booted; the seconds that it took."""
        await self.connect()
        wanted = self.charge_points
        return await self.until(
            lambda tick: tick.connected == wanted and tick.booted == wanted, limit_s, f"{wanted:,} connected and booted"
        )

    @contextmanager
    def gathering(self) -> Iterator[Gathering]:
        """Sum up the ticks that come meanwhile."""
        gathering = Gathering(self.latest)
        self._gatherings.append(gathering)
        try:
            yield gathering
        finally:
            self._gatherings.remove(gathering)

    async def _watch(self) -> None:
        try:
            while True:
                self._latest = tick = await self._crowd.tick()
                for gathering in self._gatherings:
                    gathering.add(tick)
                self._on_tick(self, tick)
                self._tell()
        except Exception as failure:  # noqa: BLE001 - raised by whoever waits for a tick, and would wait for ever
            self._failure = failure
            self._tell()

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def _state(tick: CrowdTick) -> str:
    counts: dict[str, Any] = {"connected": tick.connected, "booted": tick.booted, "unconfirmed": tick.unconfirmed}
    shown = [f"{name} {count:,}" for name, count in counts.items()]
    shown += [f"refused {why} {count:,}" for why, count in tick.refused.items()]
    shown += [f"{what} {count:,}" for what, count in tick.errors.items()]
    return ", ".join(shown)
