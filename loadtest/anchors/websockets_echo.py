"""A bare echo by `serve()` of `websockets`: the least that any server on the asyncio face of that library costs.

Set up in its own favour: uvloop, the library's C speed-ups, no compression, no keepalive, text kept as bytes, its
logger off.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from loadtest.anchors.child import Serving, port_of

_SILENT = logging.getLogger("loadtest.anchors.websockets")
_SILENT.setLevel(logging.CRITICAL)
_BACKLOG = 4096


@asynccontextmanager
async def serving() -> AsyncIterator[Serving]:
    """Serve on a free loopback port."""
    async with serve(
        _echo, "127.0.0.1", 0, subprotocols=[Subprotocol("ocpp1.6")], compression=None, ping_interval=None,
        logger=_SILENT, backlog=_BACKLOG,
    ) as server:  # fmt: skip
        yield Serving(port_of(server.sockets))


async def _echo(connection: ServerConnection) -> None:
    try:
        while True:
            await connection.send(await connection.recv(decode=False), text=True)
    except ConnectionClosed:
        return
