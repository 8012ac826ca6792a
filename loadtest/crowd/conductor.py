"""Conducts a crowd in processes of its own: orders to all of them, and one tick a second for them together."""

import asyncio
import os
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import Any, Self

import orjson

from loadtest.crowd.orders import Load, Order, Share, Tick, added

_LONGEST_LINE = 16 * 1024 * 1024
_END_S = 5.0
_SILENCE_S = 60.0
"""A process that told nothing for so long, though a tick is due each second, will not tell anything any more."""
_SUMS = (
    "connected", "booted", "opened", "reconnected", "outlasted", "cut_off", "waiting", "started", "start_confirmed",
    "stop_confirmed", "open_transactions", "unconfirmed", "cpu_s", "rss_bytes",
)  # fmt: skip
_COUNTS = ("refused", "ended", "calls", "answers", "errors", "commands")
_MOST = ("at", "longest_away_s", "lag_s")


class CrowdFailed(Exception):  # noqa: N818 - one of the ends of a run
    """A process of the crowd could not start, or died."""


@dataclass(kw_only=True)
class CrowdTick(Tick):
    """The ticks of all processes in one second: sums, but the longest of times, and the busiest's share of a core."""

    processes: list[Tick] = field(default_factory=list)
    busiest_cpu_share: float = 0.0
    """Of one core, by the busiest process since its last tick."""
    charge_points: int = 0
    """Of the whole crowd, connected or not."""


class Crowd:
    """The processes of these shares: started on entering, ended on leaving, whatever happened in between."""

    def __init__(self, shares: Sequence[Share]) -> None:
        if not shares:
            raise ValueError("a crowd needs at least one share")
        self.charge_points = sum(share.count for share in shares)
        self._processes = [_Process(share) for share in shares]

    async def __aenter__(self) -> Self:
        try:
            for process in self._processes:
                await process.start()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    @property
    def pids(self) -> list[int]:
        """The process ids, in the order of the shares."""
        return [process.pid for process in self._processes]

    async def connect(self) -> None:
        """Have everybody connect, at the ramp of each share, and stay connected."""
        await self._order(Order(what="connect"))

    async def load(self, load: Load) -> None:
        """Have this load from now on; `rate` and `active` are of the whole crowd."""
        counts = [process.share.count for process in self._processes]
        for process, part in zip(self._processes, divided(load, counts), strict=True):
            await process.order(Order(what="load", load=part))

    async def cut(self) -> None:
        """Have everybody lose power at once, come back and boot."""
        await self._order(Order(what="cut"))

    async def finish(self) -> None:
        """Have all transactions end; ticks say `finished` when everything is confirmed."""
        await self._order(Order(what="finish"))

    async def tick(self) -> CrowdTick:
        """The next second of all processes; CrowdFailed when one of them is gone."""
        ticks = [await process.tick() for process in self._processes]
        return total(ticks, [process.cpu_share for process in self._processes], self.charge_points)

    async def _order(self, order: Order) -> None:
        for process in self._processes:
            await process.order(order)

    async def _end(self) -> None:
        await asyncio.gather(*(process.end() for process in self._processes))


class _Process:
    def __init__(self, share: Share) -> None:
        self.share = share
        self.cpu_share = 0.0
        self._process: asyncio.subprocess.Process | None = None
        self._reading: list[asyncio.Task[None]] = []
        self._unread: list[Tick] = []
        self._last: Tick | None = None
        self._said: deque[str] = deque(maxlen=20)
        self._changed = asyncio.Event()
        self._over = False

    @property
    def pid(self) -> int:
        return 0 if self._process is None else self._process.pid

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "loadtest.crowd.process",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        self._reading = [asyncio.create_task(self._read_ticks()), asyncio.create_task(self._read_words())]
        await self._write(orjson.dumps(asdict(self.share)) + b"\n")

    async def order(self, order: Order) -> None:
        await self._write(order.encode())

    async def tick(self) -> Tick:
        """What it told since it was last asked, at least one tick."""
        while not self._unread:
            if self._over:
                raise await self._failure()
            self._changed.clear()
            try:
                async with asyncio.timeout(_SILENCE_S):
                    await self._changed.wait()
            except TimeoutError:
                raise CrowdFailed(f"the process of {self._who} said nothing for {_SILENCE_S:.0f} s") from None
        ticks, self._unread = self._unread, []
        tick = ticks[-1]
        for earlier in ticks[:-1]:
            tick = replace(tick, latency=_merged(tick.latency, earlier.latency), lag_s=max(tick.lag_s, earlier.lag_s))
        last = self._last
        if last is not None and tick.at > last.at:
            self.cpu_share = (tick.cpu_s - last.cpu_s) / (tick.at - last.at)
        self._last = tick
        return tick

    async def end(self) -> None:
        process = self._process
        if process is None:
            return
        if process.returncode is None and process.stdin is not None:
            try:
                process.stdin.write(Order(what="end").encode())
                process.stdin.close()
                async with asyncio.timeout(_END_S):
                    await process.wait()
            except (TimeoutError, OSError):
                if process.returncode is None:
                    process.kill()
        await process.wait()
        await asyncio.gather(*self._reading)

    async def _write(self, line: bytes) -> None:
        process = self._process
        if self._over or process is None or process.stdin is None:
            raise await self._failure()
        try:
            process.stdin.write(line)
            await process.stdin.drain()
        except OSError:
            raise await self._failure() from None

    async def _read_ticks(self) -> None:
        if self._process is None or self._process.stdout is None:
            return
        while line := await self._process.stdout.readline():
            self._unread.append(Tick.decode(line))
            self._changed.set()
        self._over = True
        self._changed.set()

    async def _read_words(self) -> None:
        if self._process is None or self._process.stderr is None:
            return
        while line := await self._process.stderr.readline():
            self._said.append(line.decode(errors="replace").rstrip())

    async def _failure(self) -> CrowdFailed:
        code = None
        if self._process is not None:
            code = await self._process.wait()
            await asyncio.gather(*self._reading)
        return CrowdFailed("\n".join((f"the process of {self._who} ended with exit code {code}", *self._said)))

    @property
    def _who(self) -> str:
        share = self.share
        return f"{share.prefix}-{share.first} to {share.prefix}-{share.first + share.count - 1}"


def shares_for(*, urls: Sequence[str], charge_points: int, processes: int, **others: Any) -> list[Share]:
    """Divide charge points evenly over processes; `others` are the further fields of every Share.

    `first` is the number of the first charge point; `ramp_per_s` and `connecting_at_once` are of the whole crowd.
    """
    processes = max(1, min(processes, charge_points))
    first = others.pop("first", 0)
    for name, kind in (("ramp_per_s", float), ("connecting_at_once", int)):
        if name in others:
            others[name] = max(kind(1), kind(others[name] / processes))
    bounds = [charge_points * index // processes for index in range(processes + 1)]
    return [
        Share(urls=tuple(urls), first=first + begin, count=end - begin, **others) for begin, end in pairwise(bounds)
    ]


def divided(load: Load, counts: Sequence[int]) -> list[Load]:
    """The part of a load for each process, by its number of charge points; the parts add up."""
    whole, seen, given, parts = max(1, sum(counts)), 0, 0, []
    for count in counts:
        seen += count
        until = round(load.active * seen / whole)
        parts.append(replace(load, rate=load.rate * count / whole, active=until - given))
        given = until
    return parts


def total(ticks: Sequence[Tick], cpu_shares: Sequence[float], charge_points: int) -> CrowdTick:
    """The ticks of all processes as one."""
    tick = CrowdTick(
        processes=list(ticks), busiest_cpu_share=max(cpu_shares, default=0.0), charge_points=charge_points,
        finished=all(one.finished for one in ticks),
    )  # fmt: skip
    for one in ticks:
        for name in _SUMS:
            setattr(tick, name, getattr(tick, name) + getattr(one, name))
        for name in _MOST:
            setattr(tick, name, max(getattr(tick, name), getattr(one, name)))
        for name in _COUNTS:
            setattr(tick, name, added(getattr(tick, name), getattr(one, name)))
        tick.latency = _merged(tick.latency, one.latency)
    return tick


def _merged(one: Mapping[str, Mapping[int, int]], other: Mapping[str, Mapping[int, int]]) -> dict[str, dict[int, int]]:
    merged = {action: dict(buckets) for action, buckets in one.items()}
    for action, buckets in other.items():
        into = merged.setdefault(action, {})
        for bucket, count in buckets.items():
            into[bucket] = into.get(bucket, 0) + count
    return merged
