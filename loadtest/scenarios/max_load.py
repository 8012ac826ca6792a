"""`max`: more and more load until p99, errors or the throughput say that it is enough."""

import argparse
from dataclasses import dataclass

from loadtest.crowd.orders import Load
from loadtest.parsing import number
from loadtest.scenarios import figures
from loadtest.scenarios.counting import Counts, unanswered
from loadtest.scenarios.measuring import Window
from loadtest.scenarios.running import Run
from loadtest.scenarios.scenario import Scenario
from loadtest.scenarios.watching import Watched

_FIRST_ACTIVE = 8
_GROWTH = 1.03
"""Less more throughput than that is none: the load has reached what there is."""
_BARREN_STEPS = 2
_CALM_RATE = 1.0
_CALM_CALLS = 10
_CALM_WITHIN_TICKS = 60


@dataclass(frozen=True)
class Step:
    """A load, and what came of it."""

    load: Load
    window: Window

    @property
    def per_second(self) -> float:
        """Answered Calls."""
        return self.window.counts.per_second

    def broken(self, limit_p99_ms: float) -> str:
        """Why it was too much; empty when it was not."""
        counts, rate = self.window.counts, self.load.rate
        p99 = counts.quantile_ms(0.99)
        if p99 is None:
            return "nothing was answered"
        if trouble := troubles(counts):
            return f"{trouble:,} errors and lost Calls"
        if p99 > limit_p99_ms:
            return f"p99 {p99:,.0f} ms"
        if rate and self.per_second < figures.least_sustained(rate, counts.seconds):
            return f"{self.per_second:,.0f} of {rate:,.0f} Calls/s were answered"
        return ""


def troubles(counts: Counts) -> int:
    """Errors, Calls cut off and sockets lost: a load that has any is too much."""
    return sum(counts.errors.values()) + counts.cut_off + sum(counts.ended.values())


def _judge(run: Run, window: Window) -> None:
    if trouble := troubles(window.counts):
        run.fail(f"{window.title}: {trouble:,} errors and lost Calls")


async def play(run: Run, options: argparse.Namespace) -> None:
    """Rise by steps; measure the highest that was sustained once more for long, and half of it."""
    async with run.crowd() as crowd:
        await run.settle(crowd)
        best = await _rise(run, crowd, options)
        if best is not None:
            await _work_off(crowd, options)
            await crowd.load(best.load)
            await crowd.pause(options.warm_up_seconds)
            window = await run.window("the highest sustained step", options.seconds, crowd)
            figures.tell(run, window, at_least=options.at_least, limit_p99_ms=options.limit_p99_ms)
            _judge(run, window)
            if best.load.active:
                run.figure("active_points", best.load.active, "count", title="Charge points active at once")
            await _half(run, crowd, options, window.counts.per_second / 2)
        await run.conclude(crowd, faultless=False)


async def _rise(run: Run, crowd: Watched, options: argparse.Namespace) -> Step | None:
    best: Step | None = None
    barren = 0
    for load in _loads(options):
        await crowd.load(load)
        await crowd.pause(1)
        step = Step(load, await run.window(_named(load), options.step_seconds, crowd))
        p99, why = step.window.counts.quantile_ms(0.99) or 0.0, step.broken(options.limit_p99_ms)
        run.moment(
            f"{_named(load)}: {step.per_second:,.0f} Calls/s, p99 {p99:,.1f} ms{f', broken: {why}' if why else ''}"
        )
        run.report.notes.append(
            f"{_named(load)}: {step.per_second:,.0f} Calls/s, p99 {p99:,.1f} ms{f' ({why})' if why else ''}"
        )
        if why:
            run.report.generator_limited = step.window.counts.generator_limited
            if best is None:
                run.fail(f"the first step already was too much: {why}")
            break
        if best is not None and step.per_second < best.per_second * _GROWTH:
            barren += 1
        else:
            barren = 0
        if best is None or step.per_second > best.per_second:
            best = step
        if barren >= _BARREN_STEPS:
            run.report.generator_limited = step.window.counts.generator_limited
            break
    else:
        run.report.notes.append("every step was sustained: there is more to be had than was asked for")
    return best


async def _work_off(crowd: Watched, options: argparse.Namespace) -> None:
    """What the step that was too much has piled up must not be in what is measured next."""
    await crowd.load(Load(kind=options.kind, rate=_CALM_RATE))
    for _ in range(_CALM_WITHIN_TICKS):
        tick = await crowd.tick()
        if tick.waiting + unanswered(tick) <= _CALM_CALLS:
            return


def _loads(options: argparse.Namespace) -> list[Load]:
    """Each about twice (closed loop) or a quarter (open loop) more than the one before."""
    loads: list[Load] = []
    if options.loop == "closed":
        active = min(_FIRST_ACTIVE, options.charge_points)
        while len(loads) < options.steps and (not loads or loads[-1].active < options.charge_points):
            loads.append(Load(kind=options.kind, active=active))
            active = min(active * 2, options.charge_points)
        return loads
    return [Load(kind=options.kind, rate=options.rate * 1.25**index) for index in range(options.steps)]


async def _half(run: Run, crowd: Watched, options: argparse.Namespace, rate: float) -> None:
    """At half the load latency is not that of queues any more."""
    await crowd.load(Load(kind=options.kind, rate=max(1.0, rate)))
    await crowd.pause(options.warm_up_seconds)
    window = await run.window("half of it, in an open loop", options.seconds, crowd)
    _judge(run, window)
    run.figure("half_load_calls_per_second", window.counts.per_second, "Calls/s", title="Half of that load, open loop")
    run.figure(
        "half_load_p99_ms", window.counts.quantile_ms(0.99), "ms",
        title="p99 at half load", at_most=options.limit_half_p99_ms, better="less",
    )  # fmt: skip


def _named(load: Load) -> str:
    return f"{load.active:,} active charge points" if load.active else f"{load.rate:,.0f} Calls/s asked"


def add_to(parser: argparse.ArgumentParser) -> None:
    """What only this scenario takes."""
    add = parser.add_argument_group("steps").add_argument
    add("--loop", choices=("closed", "open"), default="closed",
        help="closed: more and more points send when answered; open: more and more Calls/s from --rate on")  # fmt: skip
    add("--steps", type=number(1, 100, int), default=16, metavar="N", help="at most (default %(default)s)")
    add("--step-seconds", type=number(1, 3600), default=4.0, metavar="S", help="(default %(default)s)")
    add("--at-least", type=number(0, 10_000_000), metavar="R", help="Calls/s that have to be reached")
    add("--limit-half-p99-ms", type=number(0.1, 3_600_000), default=20.0, metavar="MS", help="(default %(default)s)")


SCENARIO = Scenario(
    name="max",
    title="Highest load",
    help="The highest throughput that is sustained with p99 under its limit, and p99 at half of it.",
    play=play,
    defaults={"seconds": 15.0, "kind": "heartbeat"},
    add_to=add_to,
)
