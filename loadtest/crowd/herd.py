"""All charge points of one process: one calendar, one table of who waits, no task of a point's own."""

import asyncio
import gc
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from random import Random

from loadtest.backoff import retry_back_off
from loadtest.crowd.calendar import Calendar, Due
from loadtest.crowd.orders import Load, Order, Share, Tick
from loadtest.crowd.point import Point
from loadtest.crowd.socket import Endpoint, Refused, basic, connect, tls_context
from loadtest.crowd.speech import Stamps
from loadtest.crowd.tally import Tally
from loadtest.crowd.timeline import Pace, Step, Timeline, even, natural_rate, timeline

_DEFAULT_HEARTBEAT_S = 300.0
_SECOND_MS = 1000
_GOODBYE_S = 2.0
_TAKE_UP_S = 0.00003
"""About what it takes one charge point to begin with a load; nothing is due before all have."""
_DEFAULT_TAGS = ("DEMO-0001",)
_GOLDEN = 0.618033988749895


class Herd:
    """The charge points of a share, in the running event loop. `end` closes them all."""

    def __init__(self, share: Share, tell: Callable[[Tick], None]) -> None:
        self.tally = Tally()
        self.in_flight: dict[Point, float] = {}
        self.away: dict[Point, float] = {}
        self._share = share
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._rng = Random(f"{share.seed}-{share.first}")
        self._timer: asyncio.TimerHandle | None = None
        self._calendar = Calendar(self._arm)
        self.plan: Callable[[int, Due], None] = self._calendar.plan
        self._stamps = Stamps()
        self._unix_ms = int((time.time() - time.monotonic()) * 1000)
        urls = (*share.urls, *share.fallback_urls)
        tls = tls_context(share.ca_file) if any(url.startswith("wss:") for url in urls) else None
        self._endpoints = [Endpoint.of(url, tls) for url in share.urls]
        self._fallback = [Endpoint.of(url, tls) for url in share.fallback_urls]
        self._tags = share.id_tags or _DEFAULT_TAGS
        self.points = [self._point(number) for number in range(share.first, share.first + share.count)]
        self._queue: deque[Point] = deque()
        self._opening: set[asyncio.Task[None]] = set()
        self._connecting = False
        self._left = asyncio.Event()  # all are gone, after `end`
        self._load: Load | None = None
        self._pace: Pace | None = None
        self._heartbeat_s = share.heartbeat_s or _DEFAULT_HEARTBEAT_S
        self._finishing = False
        self.plan((int(time.monotonic()) + 1) * _SECOND_MS, self._second)

    def _point(self, number: int) -> Point:
        share = self._share
        speaks_201 = (number * _GOLDEN) % 1.0 < share.share_201
        return Point(number, f"{share.prefix}-{number}", self, speaks_201=speaks_201)

    # --- orders

    def obey(self, order: Order) -> None:
        """Carry out an order; `end` is its process's."""
        if order.what == "connect":
            self._connect_all()
        elif order.what == "load":
            self._take_up(order.load or Load())
        elif order.what == "cut":
            for point in self.points:
                point.cut()
        elif order.what == "finish":
            self._finish()

    async def end(self) -> None:
        """Close every connection, in a hurry after a while, and plan nothing more."""
        self._connecting = False
        self._queue.clear()
        for task in self._opening:
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        for point in self.points:
            point.leave()
        with suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE_S if self.tally.connected else 0):
                await self._left.wait()
        if self._timer is not None:
            self._timer.cancel()

    def _connect_all(self) -> None:
        if self._connecting:
            return
        self._connecting = True
        begin_ms = _now_ms()
        for index, point in enumerate(self.points):
            self.plan(begin_ms + int(index * _SECOND_MS / self._share.ramp_per_s), _connecting(self, point))

    def _take_up(self, load: Load) -> None:
        gc.collect()
        gc.freeze()  # what lives now lives long; looking through it again and again would only delay Calls
        before, self._load = self._load, load
        self._finishing = False
        now_s, count = time.monotonic(), max(1, len(self.points))
        if load.rate > 0:
            fold = load.rate / natural_rate(load.kind, count, share_201=self._share.share_201)
            begin_s = now_s + count * _TAKE_UP_S
            same = before is not None and before.rate > 0 and before.kind == load.kind and self._pace is not None
            if same and self._pace is not None:
                self._pace = Pace(begin_s, self._pace.at_s(now_s), fold)
                for point in self.points:
                    point.repace(self._pace)
            else:
                self._pace = Pace(begin_s, 0.0, fold)
                for point in self.points:
                    point.follow(self._timeline(load, point), self._pace)
            return
        self._pace = None
        active = {index * count // load.active for index in range(min(load.active, count))}
        for index, point in enumerate(self.points):
            if index in active:
                point.follow(self._timeline(load, point), None)
            else:
                self._let_beat(point)

    def _timeline(self, load: Load, point: Point) -> Timeline:
        return timeline(load.kind, point.number, seed=self._share.seed, speaks_201=point.speaks_201)

    def _let_beat(self, point: Point) -> None:
        point.follow(even(Step.HEARTBEAT, point.number), Pace(time.monotonic(), 0.0, 1.0 / self._heartbeat_s))

    def _finish(self) -> None:
        self._take_up(Load())
        self._finishing = True
        begin_ms = _now_ms()
        for index, point in enumerate(point for point in self.points if point.charging is not None):
            self.plan(begin_ms + int(index * _SECOND_MS / self._share.ramp_per_s), _stopping(point))

    # --- for the points

    def stamp(self, at_ms: int) -> bytes:
        return self._stamps.of(self._unix_ms + at_ms)

    def tag(self, point: Point) -> str:
        return self._tags[point.number % len(self._tags)]

    def booted(self, point: Point, interval_s: float) -> None:
        if not self._share.heartbeat_s:
            self._heartbeat_s = float(interval_s)
        if self._load is None:
            self._let_beat(point)

    def come_back(self, point: Point, *, failures: int = 0, retry_after_s: float | None = None) -> float:
        """Plan its next connection; the seconds until then."""
        if not self._connecting and not self.tally.connected:
            self._left.set()
        share = self._share
        most_s = share.backoff_most_s
        wait_s = retry_back_off(failures, share.backoff_s, share.backoff_random_s, 16, self._rng)
        wait_s = min(wait_s, most_s + share.backoff_random_s)
        patience_s = wait_s
        if retry_after_s is not None:
            patience_s = retry_after_s + wait_s
            wait_s = retry_after_s + self._rng.uniform(0.0, share.backoff_random_s)
        self.plan(int((time.monotonic() + wait_s) * _SECOND_MS), _connecting(self, point))
        return patience_s

    # --- connections

    def want(self, point: Point) -> None:
        """Connect it as soon as there is room."""
        if self._connecting and not point.wanted and not point.connected:
            point.wanted = True
            self._queue.append(point)
            self._fill()

    def _fill(self) -> None:
        while self._queue and len(self._opening) < self._share.connecting_at_once:
            task = self._loop.create_task(self._open(self._queue.popleft()))
            self._opening.add(task)
            task.add_done_callback(self._opened)

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        if not task.cancelled():
            task.result()
            self._fill()

    async def _open(self, point: Point) -> None:
        share = self._share
        sources = share.source_addresses
        endpoints = self._fallback if self._fallback and point.displaced else self._endpoints
        try:
            await connect(
                endpoints[point.where % len(endpoints)],
                point.identity,
                point,
                subprotocol=point.subprotocol,
                authorization=self._authorization(point.identity),
                source_address=sources[point.number % len(sources)] if sources else None,
                timeout_s=share.call_timeout_s,
            )
        except Refused as refusal:
            point.refused(refusal)

    def _authorization(self, identity: str) -> str | None:
        template = self._share.password_template
        return None if template is None else basic(identity, template.replace("{identity}", identity))

    # --- time

    def _arm(self, at_ms: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(at_ms / _SECOND_MS, self._run)

    def _run(self) -> None:
        now_ms = time.monotonic() * _SECOND_MS
        self.tally.lag_s = max(self.tally.lag_s, self._calendar.late_ms(now_ms) / _SECOND_MS)
        self._calendar.run(int(now_ms))

    def _second(self, at_ms: int) -> None:
        now_s = time.monotonic()
        self._give_up(now_s - self._share.call_timeout_s)
        self.plan(max(at_ms, int(now_s) * _SECOND_MS) + _SECOND_MS, self._second)
        longest_s = now_s - next(iter(self.away.values())) if self.away else 0.0
        tally = self.tally
        finished = self._finishing and tally.open_transactions == 0 and tally.unconfirmed == 0
        self._tell(tally.tick(longest_away_s=longest_s, finished=finished))

    def _give_up(self, before_s: float) -> None:
        while self.in_flight:
            point, since_s = next(iter(self.in_flight.items()))
            if since_s >= before_s:
                return
            point.timed_out()


def _connecting(herd: Herd, point: Point) -> Due:
    return lambda _: herd.want(point)


def _stopping(point: Point) -> Due:
    return lambda _: point.stop()


def _now_ms() -> int:
    return int(time.monotonic() * _SECOND_MS)
