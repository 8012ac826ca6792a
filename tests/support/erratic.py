"""Charge points that do with commands what real ones do: late, double or no answers, drops, half-open sockets."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

CALL, CALL_RESULT = 2, 3
BEHAVIOURS = {
    "prompt": 56,
    "late": 8,
    "twice": 8,
    "never": 6,
    "drop": 8,
    "answer_and_drop": 6,
    "half_open": 8,
}
"""How a charge point treats a command, and how often out of a hundred."""

LATE_S = (2.0, 9.0)
OFFLINE_S = (0.1, 3.0)
CONNECT_TIMEOUT_S = 10


def marker_of(action: str, payload: dict[str, Any]) -> str:
    """The text by which the checker knows a command again."""
    return str(payload["data"] if action == "DataTransfer" else payload["key"])


@dataclass(slots=True)
class Diary:
    """What one charge point saw and did."""

    received: list[tuple[float, str]] = field(default_factory=list)
    """When (monotonic) and which marker, once for each time that it was received."""
    answered: set[str] = field(default_factory=set)
    behaved: Counter[str] = field(default_factory=Counter)


class ErraticStation:
    """An OCPP 1.6 charge point on any of several gateways; `run` ends after `end`, and leaves nothing open."""

    def __init__(self, identity: str, urls: Sequence[str], rng: Random) -> None:
        self.identity = identity
        self.diary = Diary()
        self._urls = list(urls)
        self._rng = rng
        self._ending = asyncio.Event()
        self._open: list[ClientConnection] = []
        self._answers: set[asyncio.Task[None]] = set()
        self._at = rng.randrange(len(self._urls))

    def end(self) -> None:
        """Come to an end."""
        self._ending.set()

    async def run(self) -> None:
        """Connect, serve commands in erratic ways, connect elsewhere, until told to end."""
        try:
            while not self._ending.is_set():
                socket = await self._connected()
                if socket is not None:
                    self._open.append(socket)
                    await self._serve(socket)
                self._at = self._rng.randrange(len(self._urls))
        finally:
            for task in self._answers:
                task.cancel()
            await asyncio.gather(*self._answers, return_exceptions=True)
            for socket in self._open:
                socket.transport.abort()
                await socket.wait_closed()

    async def _connected(self) -> ClientConnection | None:
        try:
            return await connect(
                f"{self._urls[self._at]}/{self.identity}",
                subprotocols=[Subprotocol("ocpp1.6")],
                compression=None,
                ping_interval=None,
                proxy=None,
                open_timeout=CONNECT_TIMEOUT_S,
            )
        except (OSError, InvalidHandshake, TimeoutError):
            await self._pause(*OFFLINE_S)
            return None

    async def _pause(self, least: float, most: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), self._rng.uniform(least, most))

    async def _serve(self, socket: ClientConnection) -> None:
        """Until this socket is of no more use; it may stay open behind our back."""
        ending = asyncio.create_task(self._ending.wait())
        try:
            while True:
                reading = asyncio.create_task(socket.recv())
                await asyncio.wait({reading, ending}, return_when=asyncio.FIRST_COMPLETED)
                if not reading.done():
                    reading.cancel()
                    await asyncio.gather(reading, return_exceptions=True)
                    return
                message = json.loads(reading.result())
                if message[0] == CALL and not await self._treat(socket, *message[1:]):
                    return
        except ConnectionClosed:
            await self._pause(0.0, 0.5)
        finally:
            ending.cancel()
            await asyncio.gather(ending, return_exceptions=True)

    async def _treat(self, socket: ClientConnection, unique_id: str, action: str, payload: dict[str, Any]) -> bool:
        """Treat one command; False when the charge point has left this socket."""
        marker = marker_of(action, payload)
        self.diary.received.append((asyncio.get_running_loop().time(), marker))
        (behaviour,) = self._rng.choices(list(BEHAVIOURS), list(BEHAVIOURS.values()))
        self.diary.behaved[behaviour] += 1
        if behaviour == "late":
            task = asyncio.create_task(self._answer_late(socket, unique_id, action, marker))
            self._answers.add(task)
            task.add_done_callback(self._answers.discard)
        elif behaviour in {"prompt", "twice", "answer_and_drop"}:
            await self._answer(socket, unique_id, action, marker)
            if behaviour == "twice":
                await self._answer(socket, unique_id, action, marker)
        if behaviour in {"drop", "answer_and_drop"}:
            if behaviour == "drop":
                socket.transport.abort()
            else:
                await socket.close()
            await self._pause(*OFFLINE_S)
            return False
        if behaviour == "half_open":
            socket.transport.pause_reading()  # neither reads nor says goodbye
            return False
        return True

    async def _answer_late(self, socket: ClientConnection, unique_id: str, action: str, marker: str) -> None:
        await asyncio.sleep(self._rng.uniform(*LATE_S))
        with contextlib.suppress(ConnectionClosed):
            await self._answer(socket, unique_id, action, marker)

    async def _answer(self, socket: ClientConnection, unique_id: str, action: str, marker: str) -> None:
        answer = {"status": "Accepted"} if action != "DataTransfer" else {"status": "Accepted", "data": marker}
        self.diary.answered.add(marker)  # before it is sent: the outcome may be faster than our return
        await socket.send(json.dumps([CALL_RESULT, unique_id, answer]))
