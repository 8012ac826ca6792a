"""An echo by the Sans-I/O core of `websockets` in a protocol on uvloop: what our gateway's sockets are made of.

Nothing is done but the library's own parsing and framing: no schema, no limit, no metric, no keepalive.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from loadtest.anchors.child import Serving, port_of

_SILENT = logging.getLogger("loadtest.anchors.websockets")
_SILENT.setLevel(logging.CRITICAL)
_SUBPROTOCOLS = [Subprotocol("ocpp1.6")]
_BACKLOG = 4096


class Echo(asyncio.Protocol):
    """One connection."""

    __slots__ = ("_transport", "_ws")

    def __init__(self) -> None:
        self._ws = ServerProtocol(subprotocols=_SUBPROTOCOLS, logger=_SILENT)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        ws = self._ws
        ws.receive_data(data)
        for event in ws.events_received():
            if isinstance(event, Request):
                ws.send_response(ws.accept(event))
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                ws.send_text(event.data)
        for piece in ws.data_to_send():
            if piece:
                self._transport.write(piece)
            else:  # the library's word for "no more"
                self._transport.close()


@asynccontextmanager
async def serving() -> AsyncIterator[Serving]:
    """Serve on a free loopback port."""
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0, backlog=_BACKLOG)
    async with server:
        yield Serving(port_of(server.sockets))
