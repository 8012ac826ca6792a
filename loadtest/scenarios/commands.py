"""`commands`: backends command charge points, which send their own Calls meanwhile."""

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic, process_time

from contracts.client import CommandClient
from contracts.envelope import OutcomeKind
from contracts.errors import ContractError
from loadtest.parsing import number
from loadtest.report.model import Series
from loadtest.scenarios.backend import Backend
from loadtest.scenarios.counting import BUSY_SHARE, LATE_S
from loadtest.scenarios.figures import least_sustained
from loadtest.scenarios.running import Run
from loadtest.scenarios.scenario import Scenario
from loadtest.scenarios.system import SystemFailed
from loadtest.scenarios.watching import Watched

_MOST_UNDER_WAY = 20_000
_TICKS_TO_SEE = 2


async def play(run: Run, options: argparse.Namespace) -> None:
    """Each command has exactly one outcome, a good one, and is obeyed exactly once."""
    if run.system.amqp_url is None:
        raise SystemFailed("commands goes through the broker: give --amqp-url")
    async with run.crowd() as crowd, _client(run.system.amqp_url) as client:
        await run.put_under_load(crowd, options.uplink_rate)
        identities = [f"{options.prefix}-{number}" for number in range(crowd.charge_points)]
        backend = Backend(client, identities, options.rate, options.command_timeout_seconds)
        stretch = await run.begin("commands", crowd)
        obeyed_before = sum(crowd.latest.commands.values())
        share, seconds = await _command(run, crowd, backend, options.seconds)
        in_time = backend.latency.count  # what ends later, with no more to do, is no throughput
        window = await stretch.end()
        run.tell.say("waiting for the last outcomes")
        await backend.finish()
        await crowd.pause(_TICKS_TO_SEE)
        obeyed = sum(crowd.latest.commands.values()) - obeyed_before
        _tell(run, backend, in_time / seconds)
        _judge(run, backend, obeyed)
        counts = window.counts
        run.figure(
            "uplink_calls_per_second", counts.per_second, "Calls/s", title="Calls of charge points", better="more"
        )
        run.figure("uplink_p99_ms", counts.quantile_ms(0.99), "ms", title="p99 of these", better="less")
        run.figure("backend_share", share, "share", title="CPU of the backend's side, of a core")
        run.report.stages = window.stages
        run.report.generator_limited = _limited(backend, share) or counts.generator_limited
        await run.conclude(crowd)


@asynccontextmanager
async def _client(amqp_url: str) -> AsyncIterator[CommandClient]:
    client = CommandClient(amqp_url, name="load test", most_calls=_MOST_UNDER_WAY)
    try:
        await client.__aenter__()
    except ContractError as error:
        raise SystemFailed(f"the broker: {error}") from None
    try:
        yield client
    finally:
        await client.close()


async def _command(run: Run, crowd: Watched, backend: Backend, seconds: float) -> tuple[float, float]:
    """Let the backend work for so long; our own share of a core meanwhile, and how long it was."""
    run.tell.say(f"commands: measuring for {seconds:.0f} s")
    ended = Series(name="commands ended", unit="Calls/s", group="throughput")
    slow = Series(name="commands p99", unit="ms", group="latency")
    waiting = Series(name="commands without an outcome", unit="count", group="queue")
    run.report.series += [ended, slow, waiting]
    began, used = monotonic(), process_time()
    seen_at, seen = began, 0
    working = asyncio.create_task(backend.run())
    try:
        while seen_at - began < seconds:
            await crowd.tick()
            now, total = monotonic(), backend.ended.total()
            ended.add(run.seconds, (total - seen) / max(1e-3, now - seen_at))
            seen_at, seen = now, total
            if backend.second.count:
                slow.add(run.seconds, backend.second.quantile(0.99) * 1000)
                backend.second = type(backend.second)()
            waiting.add(run.seconds, backend.under_way)
        took = monotonic() - began
        return (process_time() - used) / took, took
    except BaseException:
        await backend.abandon()
        raise
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


def _tell(run: Run, backend: Backend, per_second: float) -> None:
    options, latency = run.options, backend.latency
    run.figure("rate_asked", options.rate, "Calls/s", title="Commands a second to be given")
    run.figure(
        "commands_per_second", per_second, "Calls/s", title="Commands answered by charge points",
        at_least=least_sustained(options.rate, options.seconds), better="more",
    )  # fmt: skip
    for name, share, limit in (("p50", 0.5, None), ("p99", 0.99, options.limit_p99_ms), ("p999", 0.999, None)):
        value = latency.quantile(share) * 1000 if latency.count else None
        run.figure(
            f"command_{name}_ms", value, "ms", title=f"From a command's time to its outcome, {name}", at_most=limit,
            better="less",
        )  # fmt: skip
    for outcome, count in sorted(backend.ended.items()):
        run.figure(f"commands_{outcome.replace(' ', '_')}", count, "count", title=f"Commands that ended as {outcome}")


def _judge(run: Run, backend: Backend, obeyed: int) -> None:
    ended = backend.ended
    if bad := {kind: count for kind, count in sorted(ended.items()) if kind != OutcomeKind.RESULT}:
        listed = ", ".join(f"{kind} {count:,}" for kind, count in bad.items())
        run.fail(f"{sum(bad.values()):,} commands had another end than a result: {listed}")
    if missing := backend.issued - ended.total():
        run.fail(f"{missing:,} commands had no outcome")
    if obeyed > backend.issued:
        run.fail(f"charge points were commanded {obeyed:,} times, but only {backend.issued:,} commands were given")
    if obeyed < ended[OutcomeKind.RESULT]:
        run.fail(f"{ended[OutcomeKind.RESULT]:,} commands ended with a result, but only {obeyed:,} were obeyed")


def _limited(backend: Backend, share: float) -> str:
    if share > BUSY_SHARE:
        return f"the backend's side, which is this process, used {share:.0%} of a core"
    late_s = backend.late.quantile(0.95)
    return f"commands were given up to {late_s * 1000:.0f} ms late" if late_s > LATE_S else ""


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add its own arguments."""
    add = parser.add_argument_group("commands").add_argument
    add("--uplink-rate", type=number(0.01, 1_000_000), default=200.0, metavar="R",
        help="Calls a second of the charge points; --rate is of commands (%(default)s)")  # fmt: skip
    add("--command-timeout-seconds", type=number(0.1, 3600), default=10.0, metavar="S",
        help="within which a command is to be done (%(default)s)")  # fmt: skip


SCENARIO = Scenario(
    name="commands",
    title="Commands",
    help="Backends command charge points at a given rate through the broker, while these send Calls of their own.",
    play=play,
    defaults={"rate": 200.0},
    add_to=add_to,
)
