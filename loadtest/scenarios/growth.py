"""`growth`: what a Call and a socket cost one gateway with few sockets and with many."""

import argparse
from contextlib import AsyncExitStack

from loadtest.crowd.orders import Load
from loadtest.scenarios import memory
from loadtest.scenarios.running import Run
from loadtest.scenarios.scenario import Scenario
from loadtest.scenarios.watching import Watched

_FLAT = 1.15
_TELLING = 500
"""With fewer sockets the difference in a process's memory is chance."""


async def play(run: Run, options: argparse.Namespace) -> None:
    """Add sockets to one gateway, step by step, with the same rate of Calls spread over all of them each time."""
    costs: dict[int, float] = {}
    sizes: dict[int, float] = {}
    crowds: list[Watched] = []
    async with memory.warmed(run) as before, AsyncExitStack() as stack:
        for count in sorted(options.counts):
            more = count - sum(crowd.charge_points for crowd in crowds)
            crowd = run.crowd(more, name=f"to {count}:", urls=run.urls[:1], prefix=f"{options.prefix}-{count}")
            crowds.append(await stack.enter_async_context(crowd))
            await run.settle(crowd)
            each = memory.kb_per_connection(before, await memory.gateway_bytes(run), count)
            if each is not None:
                sizes[count] = each
            for one in crowds:
                await one.load(Load(kind=options.kind, rate=options.rate * one.charge_points / count))
            await crowd.pause(options.warm_up_seconds)
            window = await run.window(f"{count:,} sockets", options.seconds, *crowds)
            cost = window.cpu_us("gateway")
            if cost is not None:
                costs[count] = cost
            run.figure(f"p99_ms_{count}", window.counts.quantile_ms(0.99), "ms", title=f"p99 with {count:,} sockets",
                       at_most=options.limit_p99_ms, better="less")  # fmt: skip
            run.report.stages = window.stages
            run.report.generator_limited = run.report.generator_limited or window.counts.generator_limited
            for one in crowds:
                await one.load(Load())
        await run.conclude(*crowds)
    _compare(run, costs, "gateway_cpu_us_per_call", "µs", "Gateway CPU per Call")
    _compare(run, sizes, "gateway_kb_per_connection", "KB", "Gateway memory per socket")


def _compare(run: Run, values: dict[int, float], name: str, unit: str, title: str) -> None:
    for count, value in values.items():
        run.figure(f"{name}_{count}", value, unit, title=f"{title}, {count:,} sockets", better="less")
    counts = set(run.options.counts)
    if len(counts) < 2:
        run.report.notes.append(f"{title}: one number of sockets shows no growth")
        return
    if counts - values.keys():
        run.figure(
            f"{name}_growth", None, "ratio", title=f"{title}: growth", better="less",
            at_most=_FLAT if memory.expected(run) and min(counts) >= _TELLING else None,
            note="not all gateways told it each time: give --metrics of each",
        )  # fmt: skip
        return
    fewest = min(values)
    first, most = values[fewest], max(value for count, value in values.items() if count != fewest)
    few = fewest < _TELLING
    run.figure(
        f"{name}_growth", most / first if first > 0 else None, "ratio",
        title=f"{title}: the most by that of the fewest sockets", at_most=None if few else _FLAT, better="less",
        note=f"fewer than {_TELLING} sockets tell little" if few else "",
    )  # fmt: skip


def add_to(parser: argparse.ArgumentParser) -> None:
    """What only this scenario takes."""
    parser.add_argument(
        "--counts", type=_counts, default="1000,5000,18000", metavar="N,N,...",
        help="sockets of one gateway, in steps (default %(default)s)",
    )  # fmt: skip


def _counts(text: str) -> tuple[int, ...]:
    try:
        counts = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        counts = ()
    if not counts or counts[0] < 1 or counts[-1] > 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} are no numbers of sockets, as 1000,5000")
    return counts


SCENARIO = Scenario(
    name="growth",
    title="Growth with the number of sockets",
    help="CPU per Call and memory per socket of one gateway with more and more sockets: both have to stay flat.",
    play=play,
    defaults={"rate": 500.0, "kind": "heartbeat", "seconds": 20.0},
    add_to=add_to,
)
