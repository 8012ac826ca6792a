"""A process of a crowd: `python -m loadtest.crowd.process`, which reads a Share and then Orders, and tells Ticks."""

import asyncio
import os
import resource
import signal
import sys
from typing import Any

import orjson

from loadtest.crowd.herd import Herd
from loadtest.crowd.orders import Order, Share, Tick

_LONGEST_LINE = 64 * 1024 * 1024
_SPARE_FILES = 64


async def live() -> int:
    """Play one share until told to end, or until nobody gives orders any more."""
    reader = asyncio.StreamReader(limit=_LONGEST_LINE)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    line = await reader.readline()
    if not line:
        return 0
    share = share_of(line)
    lack = too_few_files(share.count)
    if lack is not None:
        print(lack, file=sys.stderr)
        return 1
    asyncio.get_running_loop().set_exception_handler(_crash)
    herd = Herd(share, _tell)
    while line := await reader.readline():
        order = Order.decode(line)
        if order.what == "end":
            await herd.end()
            break
        herd.obey(order)
    return 0


def share_of(line: bytes) -> Share:
    """The share of a line of JSON."""
    said: dict[str, Any] = orjson.loads(line)
    for name, value in said.items():
        if isinstance(value, list):
            said[name] = tuple(value)
    return Share(**said)


def too_few_files(sockets: int) -> str | None:
    """Raise the limit of open files as far as it goes; what to say when that is too little for so many sockets."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < sockets + _SPARE_FILES:
        return f"{sockets} sockets need {sockets + _SPARE_FILES} open files, and the hard limit is {hard} (ulimit -Hn)"
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return None


def _crash(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """End when something of ours went wrong: a process that has lost its calendar would be silent for ever."""
    loop.default_exception_handler(context)
    if "handle" in context:  # a callback of ours; what went wrong with one connection is that one's end only
        sys.stderr.flush()
        os._exit(1)


def _tell(tick: Tick) -> None:
    sys.stdout.buffer.write(tick.encode())
    sys.stdout.buffer.flush()


def main() -> int:
    """Run it; Ctrl-C is for its conductor, which then says what to do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from uvloop import new_event_loop

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(live())


if __name__ == "__main__":
    sys.exit(main())
