"""Many simulated charge points at once, bounded in number and in time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random

from loadtest.charge_point import ChargePoint
from loadtest.clock import Clock
from loadtest.ledger import Ledger
from loadtest.metrics import Metrics
from loadtest.settings import Behaviour, LinkSettings
from loadtest.summary import Report
from loadtest.v16 import ChargePoint16
from loadtest.v201 import ChargePoint201

DEMO_TAGS = tuple(f"DEMO-{number:04d}" for number in range(1, 11))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A fleet's make-up. The same seed gives the same cars, tags, faults and pauses."""

    link: LinkSettings
    behaviour: Behaviour = field(default_factory=Behaviour)
    count: int = 10
    share_201: float = 0.0
    ramp_per_s: float = 50.0
    source_addresses: int = 0  # 0: the system chooses; N: 127.0.0.2 and on, since one address has some 28,000 ports
    identity_prefix: str = "SIM"
    id_tags: tuple[str, ...] = DEMO_TAGS
    session_s: float = 3600.0
    pause_s: float = 300.0
    seed: int = 1
    speed: float = 1.0
    protocol_speed: float = 1.0  # for tests; a real server's timers run at 1
    seconds: float | None = None
    until_transactions: int | None = None
    grace_s: float = 30.0
    keep_readings: bool = False


class Fleet:
    """Runs a plan once; at its end sessions are finished within the grace, and what is left is reported as lost."""

    def __init__(self, plan: Plan, on_crash: Callable[[str, BaseException], None] | None = None) -> None:
        self.plan = plan
        self.metrics = Metrics(self._count_transaction)
        horizon_s = (plan.seconds or 900.0) + plan.grace_s
        self.clock = Clock(plan.speed, horizon_s=horizon_s, protocol_speed=plan.protocol_speed)
        self.charge_points: list[ChargePoint] = [self._build(index) for index in range(plan.count)]
        self.crashes = 0
        self._on_crash = on_crash
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End the run; safe to call from a signal handler."""
        self._stopping.set()

    async def run(self) -> Report:
        """Run until time is up, the transactions are done, or `stop`; then finish within the grace and report."""
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self.plan.seconds, self.stop) if self.plan.seconds is not None else None
        started = loop.time()
        running: list[asyncio.Task[None]] = []
        starter = loop.create_task(self._start(running))
        try:
            await self._stopping.wait()
            starter.cancel()
            await asyncio.gather(*(point.finish(self.plan.grace_s) for point in self.charge_points[: len(running)]))
        finally:
            if timer is not None:
                timer.cancel()
            starter.cancel()
            for task in running:
                task.cancel()
            await asyncio.gather(starter, *running, return_exceptions=True)
        return self._report(loop.time() - started, len(running))

    async def _start(self, running: list[asyncio.Task[None]]) -> None:
        begun = asyncio.get_running_loop().time()
        for index, point in enumerate(self.charge_points):
            due = begun + index / self.plan.ramp_per_s
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
            running.append(asyncio.create_task(self._live(point, index)))

    async def _live(self, point: ChargePoint, index: int) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(point.run())
                for connector_id in point.connectors:
                    slot = index * len(point.connectors) + connector_id - 1
                    tasks.create_task(self._sessions(point, connector_id, slot))
        except Exception as crash:  # noqa: BLE001 - the outermost shell of one charge point; the others go on
            self.crashes += 1
            if self._on_crash is not None:
                self._on_crash(point.identity, crash)
            if self.crashes >= len(self.charge_points):
                self.stop()

    async def _sessions(self, point: ChargePoint, connector_id: int, slot: int) -> None:
        plan, rng = self.plan, Random(f"{self.plan.seed}-{slot}-sessions")
        tags = tags_of(slot, plan.count * len(point.connectors), plan.id_tags)
        await point.wait_online()
        await point.pause(rng.uniform(0.0, plan.pause_s))
        while not point.finishing:
            await point.charge(connector_id, rng.choice(tags), plan.session_s * rng.uniform(0.5, 1.5))
            await point.pause(plan.pause_s * rng.uniform(0.5, 1.5))

    def _build(self, index: int) -> ChargePoint:
        plan = self.plan
        link = plan.link
        if plan.source_addresses:
            link = replace(link, source_address=f"127.0.0.{2 + index % plan.source_addresses}")
        identity = f"{plan.identity_prefix}-{index + 1:05d}"
        # Spread evenly, so that any part of the fleet has the same mix.
        newer = int((index + 1) * plan.share_201) > int(index * plan.share_201)
        kind: type[ChargePoint16 | ChargePoint201] = ChargePoint201 if newer else ChargePoint16
        return kind(
            identity,
            link,
            plan.behaviour,
            clock=self.clock,
            rng=Random(f"{plan.seed}-{index}"),
            ledger=Ledger(identity, kind.version, keep_readings=plan.keep_readings),
            observer=self.metrics,
        )

    def _count_transaction(self) -> None:
        if self.plan.until_transactions is not None and self.metrics.completed >= self.plan.until_transactions:
            self.stop()

    def _report(self, seconds: float, started: int) -> Report:
        return Report(
            [point.ledger for point in self.charge_points],
            seconds,
            never_started=self.plan.count - started,
            crashes=self.crashes,
            wanted_transactions=self.plan.until_transactions,
            frames=dict(self.metrics.frames),
        )


def tags_of(slot: int, slots: int, tags: tuple[str, ...]) -> tuple[str, ...]:
    """Give the tags used at one connector; no two share one while there are enough, lest they be ConcurrentTx."""
    return tags[slot::slots] or (tags[slot % len(tags)],)
