"""A run of a scenario: its crowds, what is measured meanwhile, and the verdicts at its end."""

import argparse
import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from time import monotonic
from typing import Any, Self

from loadtest.crowd.conductor import Crowd, CrowdTick, shares_for
from loadtest.crowd.orders import Load
from loadtest.report.model import Figure, Moment, Report
from loadtest.scenarios import arguments
from loadtest.scenarios.counting import Gathering, together, unanswered
from loadtest.scenarios.live import Display, Now
from loadtest.scenarios.measuring import QUEUES, Snapshot, Window, queues, snapshot, window_of
from loadtest.scenarios.system import System, SystemFailed, Usage
from loadtest.scenarios.tracing import Traces
from loadtest.scenarios.verdicts import about_answers, about_transactions
from loadtest.scenarios.watching import RunFailed, Watched

WATCH_EVERY_S = 2.0
_AFTERMATH_S = 30.0
_SILENCE = Load(kind="heartbeat", rate=1e-3)
"""Without any load the charge points would go on with their Heartbeats."""


class Run:
    """What a scenario plays with; the report fills while it runs. `options` are the arguments of the command line."""

    def __init__(self, system: System, report: Report, tell: Display, options: argparse.Namespace) -> None:
        self.system = system
        self.report = report
        self.tell = tell
        self.options = options
        self.crowds: list[Watched] = []
        """All that were ever made, also those that are gone: the transactions of each count in the end."""
        self._began = monotonic()
        self._traces = Traces(report, self._began)
        self._cpu: dict[str, float] = {}
        self._store_before: dict[str, int] | None = None
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        stored = await asyncio.to_thread(self.system.transactions)
        self._store_before = None if stored is None else dict(stored)
        if stored is None:
            self.report.notes.append("the store was not looked into: transactions are as confirmed to charge points")
        self._watching = asyncio.create_task(self._watch_system())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.report.seconds = self.seconds
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return monotonic() - self._began

    @property
    def urls(self) -> Sequence[str]:
        """Where charge points connect: by TLS when that is asked, or when there is nothing else."""
        system = self.system
        if self.options.tls and not system.secure_urls:
            raise SystemFailed("--tls: no wss:// endpoint is known")
        return system.secure_urls if self.options.tls or not system.urls else system.urls

    def crowd(
        self, charge_points: int | None = None, *, name: str = "", urls: Sequence[str] | None = None, **others: Any
    ) -> Watched:
        """A crowd as the options say, to be entered; `others` are fields of its shares that differ from them.

        Crowds that live at the same time need prefixes of their own; `name` goes before the names of their series.
        """
        options = self.options
        count = options.charge_points if charge_points is None else charge_points
        urls = self.urls if urls is None else urls
        fields: dict[str, Any] = {
            "prefix": options.prefix,
            "share_201": options.share_201,
            "password_template": options.password_template,
            "ca_file": options.ca_file or self.system.ca_file,
            "source_addresses": arguments.source_addresses(options, urls, count),
            "id_tags": options.id_tags,
            "ramp_per_s": options.ramp,
            "call_timeout_s": options.call_timeout_seconds,
            "heartbeat_s": options.heartbeat_seconds,
            "seed": options.seed,
        }
        processes = arguments.processes(options, count)
        shares = shares_for(urls=urls, charge_points=count, processes=processes, **{**fields, **others})
        watched = Watched(Crowd(shares), name, self._ticked)
        self.crowds.append(watched)
        return watched

    async def settle(self, crowd: Watched) -> float:
        """Connect everybody and wait until all are booted; the seconds that it took.

        Then, for a while at most, until what they say after booting is said: it is no part of what comes next.
        """
        self.tell.say(f"connecting {crowd.charge_points:,} charge points")
        took = await crowd.settle(self.options.settle_seconds)
        self.moment(f"all {crowd.charge_points:,} connected and booted")
        until = monotonic() + _AFTERMATH_S
        while (await crowd.tick()).waiting and monotonic() < until:
            pass
        return took

    async def put_under_load(self, crowd: Watched, rate: float) -> None:
        """Settle the crowd, have it send Calls of the options' kind at this rate, and let that warm up."""
        await self.settle(crowd)
        await crowd.load(Load(kind=self.options.kind, rate=rate))
        await crowd.pause(self.options.warm_up_seconds)

    async def begin(self, title: str, *crowds: Watched) -> "Stretch":
        """Begin to measure; `end` of what comes back gives the Window."""
        return await Stretch(self, title, crowds).begin()

    async def window(self, title: str, seconds: float, *crowds: Watched) -> Window:
        """Measure for so long what these crowds do together."""
        self.tell.say(f"{title}: measuring for {seconds:.0f} s")
        stretch = await self.begin(title, *crowds)
        await crowds[0].pause(seconds)
        return await stretch.end()

    def moment(self, text: str) -> None:
        """Note something that happened now."""
        self.report.moments.append(Moment(at_s=round(self.seconds, 3), text=text))
        self.tell.say(f"at {self.seconds:.0f} s: {text}")

    def figure(self, name: str, value: float | None, unit: str, **more: Any) -> Figure:
        """Put a figure into the report."""
        figure = Figure(name=name, value=value, unit=unit, **more)
        self.report.figures.append(figure)
        return figure

    def fail(self, *texts: str) -> None:
        """The run has failed, for these reasons."""
        self.report.failures.extend(texts)

    async def conclude(self, *crowds: Watched, faultless: bool = True) -> None:
        """End the load and all transactions, and judge what is left: by default errors and lost sockets too."""
        self.tell.say("ending all transactions")
        for crowd in crowds:
            await crowd.load(Load())
            await crowd.finish()
        for crowd in crowds:
            try:
                await crowd.until(lambda tick: tick.finished, self.options.finish_seconds, "all transactions confirmed")
                await self._await_answers(crowd)
            except RunFailed as failure:
                self.fail(str(failure))
        if faultless:
            self.fail(*about_answers([crowd.latest for crowd in crowds]))
        stored = await asyncio.to_thread(self.system.transactions)
        self.fail(*about_transactions([crowd.latest for crowd in self.crowds], self._store_before, stored))

    async def _await_answers(self, crowd: Watched) -> None:
        """Fall silent, and wait until nothing is in flight, or whatever was must have timed out, which is an error."""
        await crowd.load(_SILENCE)
        until = monotonic() + self.options.call_timeout_seconds + 2
        while unanswered(crowd.latest) and monotonic() < until:
            await crowd.tick()

    def _ticked(self, crowd: Watched, tick: CrowdTick) -> None:
        seen = self._traces.ticked(crowd.name, tick)
        if crowd is not self.crowds[-1] and crowd.name:
            return
        self.tell.show(
            Now(
                seconds=self.seconds,
                charge_points=crowd.charge_points,
                connected=tick.connected,
                booted=tick.booted,
                rate=seen.rate,
                p50_ms=seen.p50_ms,
                p99_ms=seen.p99_ms,
                errors=sum(tick.errors.values()) + tick.cut_off,
                waiting=tick.waiting,
                generator_share=tick.busiest_cpu_share,
                lag_ms=tick.lag_s * 1000,
                cpu=self._cpu,
            )
        )

    async def _watch_system(self) -> None:
        before: Snapshot | None = None
        while True:
            seen = await asyncio.to_thread(snapshot, self.system, QUEUES)
            self._traces.system(seen.at, seen.usage, queues(self.system, seen))
            if before is not None:
                self._cpu = _shares(before, seen)
                self._traces.cpu(seen.at, self._cpu)
            before = seen
            await asyncio.sleep(WATCH_EVERY_S)


class Stretch:
    """A stretch of a run that is being measured."""

    def __init__(self, run: Run, title: str, crowds: Sequence[Watched]) -> None:
        self._run = run
        self._title = title
        self._crowds = crowds
        self._open = ExitStack()
        self._gathered: list[Gathering] = []

    async def begin(self) -> Self:
        """Take the first readings: of crowds before those of the system, as at the end."""
        self._gathered = [self._open.enter_context(crowd.gathering()) for crowd in self._crowds]
        self._before = await asyncio.to_thread(snapshot, self._run.system)
        return self

    async def end(self) -> Window:
        """Take the last readings; what they say together."""
        self._open.close()
        after = await asyncio.to_thread(snapshot, self._run.system)
        counts = together([gathering.counts() for gathering in self._gathered])
        return window_of(self._title, counts, self._run.system, self._before, after)


def _shares(before: Snapshot, after: Snapshot) -> dict[str, float]:
    seconds = max(1e-6, after.at - before.at)
    nothing = Usage(0.0, 0.0)
    return {
        name: max(0.0, used.cpu_s - before.usage.get(name, nothing).cpu_s) / seconds
        for name, used in after.usage.items()
        if name in before.usage
    }
