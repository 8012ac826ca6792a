"""Thousands of bare OCPP 1.6 sockets in one process: they answer every Call at once, and come back when cut off."""

import asyncio
from collections.abc import Sequence

import orjson

from loadtest.crowd.socket import Endpoint, Refused, Socket, connect

RETRY_S = 0.05
CONNECTING_AT_ONCE = 500


class Crowd:
    """Charge points that stay connected to the gateway of the moment. `close` ends them all."""

    def __init__(self, identities: Sequence[str], url: str) -> None:
        self.url = url
        """Where the next connection goes."""
        self.open: set[str] = set()
        self.changed = asyncio.Event()
        """Set whenever one has opened."""
        self._identities = identities
        self._sockets: dict[str, Socket] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(CONNECTING_AT_ONCE)
        self._closing = False

    def start(self) -> None:
        """Connect them all, as fast as they can."""
        for identity in self._identities:
            self.connect_soon(identity)

    async def all_open(self) -> None:
        """Return when every one is connected."""
        while len(self.open) < len(self._identities):
            self.changed.clear()
            await self.changed.wait()

    async def close(self) -> None:
        """Drop every connection."""
        self._closing = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for socket in self._sockets.values():
            socket.drop()

    def connect_soon(self, identity: str) -> None:
        if not self._closing:
            task = asyncio.create_task(self._connect(identity))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def opened(self, identity: str, socket: Socket) -> None:
        self._sockets[identity] = socket
        self.open.add(identity)
        self.changed.set()

    async def _connect(self, identity: str) -> None:
        while True:
            try:
                async with self._room:
                    await connect(Endpoint.of(self.url), identity, _ChargePoint(identity, self))
            except Refused:
                await asyncio.sleep(RETRY_S)
            else:
                return


class _ChargePoint:
    def __init__(self, identity: str, crowd: Crowd) -> None:
        self._identity = identity
        self._crowd = crowd
        self._socket: Socket | None = None

    def opened(self, socket: Socket) -> None:
        self._socket = socket
        self._crowd.opened(self._identity, socket)

    def text(self, payload: bytes) -> None:
        message = orjson.loads(payload)
        if message[0] == 2 and self._socket is not None:
            self._socket.send(orjson.dumps([3, message[1], {"status": "Accepted"}]))

    def ended(self, code: int) -> None:
        del code
        self._crowd.open.discard(self._identity)
        self._crowd.connect_soon(self._identity)
