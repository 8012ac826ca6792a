"""An anchor's process as its parent sees it, and what the two say to each other: one JSON object a line."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import orjson

_START_S = 60.0
_TELL_S = 10.0
_END_S = 5.0


Echo = Literal["websockets_echo", "sans_io_echo"]
Kind = Echo | Literal["ocpp_csms", "broker_sender", "broker_answerer"]


class AnchorFailed(Exception):  # noqa: N818 - one of the ends of a measurement
    """Something else could not be measured; the text says which and why."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """The first line to a process: what it is to be. The fields beside `kind` are for the ends at the broker."""

    kind: Kind
    amqp_url: str = field(default="", repr=False)
    queue: str = ""
    action: str = ""
    reply_every: int = 1

    def encode(self) -> bytes:
        """The line."""
        return orjson.dumps(asdict(self)) + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> "Task":
        """The task of a line."""
        return cls(**orjson.loads(line))


@dataclass(frozen=True, slots=True)
class Serving:
    """What an anchor tells when it works: where it listens, or how far it has counted."""

    port: int = 0
    count: Callable[[], int] = int


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used up and counted by the time it was asked."""

    at: float
    """Of the monotonic clock, which all processes of a machine share."""
    cpu_s: float
    rss_bytes: int
    count: int


class Child:
    """A running anchor; made by `running`."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self._name = name
        self._process = process
        self.port = 0

    @property
    def url(self) -> str:
        """Where charge points connect to."""
        return f"ws://127.0.0.1:{self.port}/ocpp"

    @property
    def pid(self) -> int:
        return self._process.pid

    async def usage(self) -> Usage:
        """Ask it."""
        self._say(b"usage\n")
        return Usage(**await self._told(_TELL_S))

    async def begin(self, task: Task) -> None:
        """Give it its task and wait until it works."""
        self._say(task.encode())
        self.port = (await self._told(_START_S))["port"]

    async def end(self) -> None:
        """End it, if need be without asking."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), _END_S)
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    def _say(self, line: bytes) -> None:
        if self._process.stdin is not None:
            self._process.stdin.write(line)

    async def _told(self, within_s: float) -> dict[str, Any]:
        output = self._process.stdout
        if output is None:
            raise AnchorFailed(f"{self._name} cannot be heard")
        try:
            line = await asyncio.wait_for(output.readline(), within_s)
        except TimeoutError:
            raise AnchorFailed(f"{self._name} said nothing for {within_s:g} s") from None
        if not line:
            raise AnchorFailed(f"{self._name} ended before its time; what it said on standard error tells why")
        said: dict[str, Any] = orjson.loads(line)
        return said


@asynccontextmanager
async def running(task: Task) -> AsyncIterator[Child]:
    """A process with that task, ended with the body; it would end with this process too. Raises AnchorFailed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "loadtest.anchors.process",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    child = Child(task.kind, process)
    try:
        await child.begin(task)
        yield child
    finally:
        await child.end()


def port_of(sockets: Iterable[socket.socket]) -> int:
    """The port on which a server listens."""
    port: int = next(iter(sockets)).getsockname()[1]
    return port
