"""A process of one anchor: `python -m loadtest.anchors.process`, which reads a Task and then tells usage when asked.

It works until its standard input ends. The garbage collector is set as in our gateway: what lives at the start is
frozen, and the collector is left as it is otherwise.
"""

import asyncio
import gc
import os
import signal
import sys
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from pathlib import Path

import orjson

from loadtest.anchors.child import Serving, Task, Usage
from loadtest.crowd.process import too_few_files

_STATM = Path("/proc/self/statm")


async def live() -> int:
    """Be what the first line says until nobody asks any more."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    line = await reader.readline()
    if not line:
        return 0
    async with anchor(Task.decode(line)) as serving:
        gc.collect()
        gc.freeze()
        _tell({"port": serving.port})
        while await reader.readline():
            _tell(asdict(_usage(serving)))
    return 0


def anchor(task: Task) -> AbstractAsyncContextManager[Serving]:
    """The anchor of a task; only its own libraries are loaded, or its memory would not be its own."""
    match task.kind:
        case "websockets_echo":
            from loadtest.anchors import websockets_echo

            return websockets_echo.serving()
        case "sans_io_echo":
            from loadtest.anchors import sans_io_echo

            return sans_io_echo.serving()
        case "ocpp_csms":
            from loadtest.anchors import ocpp_csms

            return ocpp_csms.serving()
        case "broker_sender" | "broker_answerer":
            import structlog

            from loadtest.anchors import broker_ends

            structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # the parent reads the other
            end = broker_ends.Sender if task.kind == "broker_sender" else broker_ends.Answerer
            return broker_ends.running(end(task))


def _usage(serving: Serving) -> Usage:
    rss_bytes = int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    return Usage(time.monotonic(), time.process_time(), rss_bytes, serving.count())


def _tell(said: dict[str, object]) -> None:
    sys.stdout.buffer.write(orjson.dumps(said) + b"\n")
    sys.stdout.buffer.flush()


def main() -> int:
    """Run it; Ctrl-C is for its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    too_few_files(0)  # raises the limit; a lack shows in the parent, which needs as many
    from uvloop import new_event_loop

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(live())


if __name__ == "__main__":
    sys.exit(main())
