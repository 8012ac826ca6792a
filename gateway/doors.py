"""Listening sockets, and the connections that they accept, before any transport reads of them."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable

import structlog

ACCEPTS_PER_TURN = 64
"""Of one door: a herd at it must not hold up those who are in."""

PAUSE_S = 1.0
_OUT_OF_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

Accepted = Callable[[socket.socket, object], None]
"""Takes an accepted, non-blocking socket and its peer's name."""


class Door:
    """One address to connect to; `close` it in the end."""

    def __init__(self, accepted: Accepted) -> None:
        self._accepted = accepted
        self._listening: list[socket.socket] = []
        self._pauses: dict[socket.socket, asyncio.TimerHandle] = {}

    async def open(self, host: str, port: int, backlog: int) -> int:
        """Listen on all addresses of a host; returns the first one's port. Raises OSError."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, address in dict.fromkeys((family, name[:2]) for family, _, _, _, name in found):
            try:
                listening = socket.create_server(address, family=family, backlog=backlog)
            except OSError:
                self.close()
                raise
            listening.setblocking(False)
            self._listening.append(listening)
        for listening in self._listening:
            loop.add_reader(listening, self._accept, listening)
        taken: int = self._listening[0].getsockname()[1]
        return taken

    def close(self) -> None:
        listening, self._listening = self._listening, []
        for one in listening:
            pause = self._pauses.pop(one, None)
            if pause is not None:
                pause.cancel()
            with contextlib.suppress(RuntimeError):  # no loop: it never opened
                asyncio.get_running_loop().remove_reader(one)
            one.close()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            if listening not in self._listening:
                return
            try:
                accepted, name = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                structlog.get_logger().error("entrance.accept_failed", problem=error.strerror)
                if error.errno in _OUT_OF_ROOM:
                    self._pause(listening)
                return
            accepted.setblocking(False)
            self._accepted(accepted, name)

    def _pause(self, listening: socket.socket) -> None:
        """What waits stays ready to be accepted: to try at once would be to do nothing else."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(listening)
        self._pauses[listening] = loop.call_later(PAUSE_S, self._resume, listening)

    def _resume(self, listening: socket.socket) -> None:
        del self._pauses[listening]
        asyncio.get_running_loop().add_reader(listening, self._accept, listening)
