"""Run a process: uvloop, signals, one exit code."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable

import structlog
import uvloop

from contracts.process.metrics import tell_build, watch_loop
from contracts.tracing import Tracing

EXIT_CRASHED = 1
EXIT_SIGNALLED_TWICE = 130


def run(main: Callable[[asyncio.Event], Awaitable[int]], component: str, tracing: Tracing | None = None) -> int:
    """Run `main` until it returns its exit code; `component` is what metrics call this process.

    At the end the spans that are left are handed over, which may take a collector that is away a few seconds.

    SIGTERM or SIGINT sets the event it was given: finish and return. A second signal cancels it: exit code 130.
    An exception that escapes it is logged as `process.crashed`: exit code 1.
    """
    tell_build(component)
    try:
        return uvloop.run(_with_signals(main))
    except asyncio.CancelledError:
        return EXIT_SIGNALLED_TWICE
    except Exception:  # noqa: BLE001 - the outermost shell of the process
        structlog.get_logger().critical("process.crashed", exc_info=True)
        return EXIT_CRASHED
    finally:
        if tracing is not None:
            tracing.close()


async def _with_signals(main: Callable[[asyncio.Event], Awaitable[int]]) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    work = asyncio.ensure_future(main(stop))
    watching = asyncio.create_task(watch_loop(), name="loop-lag")

    def on_signal() -> None:
        if stop.is_set():
            work.cancel()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    try:
        return await work
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
