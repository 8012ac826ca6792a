"""Run a process: uvloop, signals, one exit code."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

import structlog
import uvloop

EXIT_CRASHED = 1
EXIT_SIGNALLED_TWICE = 130


def run(main: Callable[[asyncio.Event], Awaitable[int]]) -> int:
    """Run `main` until it returns its exit code.

    SIGTERM or SIGINT sets the event it was given: finish and return. A second signal cancels it: exit code 130.
    An exception that escapes it is logged as `process.crashed`: exit code 1.
    """
    try:
        return uvloop.run(_with_signals(main))
    except asyncio.CancelledError:
        return EXIT_SIGNALLED_TWICE
    except Exception:  # noqa: BLE001 - the outermost shell of the process
        structlog.get_logger().critical("process.crashed", exc_info=True)
        return EXIT_CRASHED


async def _with_signals(main: Callable[[asyncio.Event], Awaitable[int]]) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    work = asyncio.ensure_future(main(stop))

    def on_signal() -> None:
        if stop.is_set():
            work.cancel()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    return await work
