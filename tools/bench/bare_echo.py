"""What `websockets` serves out of the box, for comparison: `python -m tools.bench.bare_echo PORT` echoes text."""

import asyncio
import contextlib
import sys

import uvloop
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol


async def _echo(connection: ServerConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        async for message in connection:
            await connection.send(message)


async def _serve(port: int) -> None:
    async with serve(
        _echo, "127.0.0.1", port, compression=None, ping_interval=None, subprotocols=[Subprotocol("echo")]
    ):
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
