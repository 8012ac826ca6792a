"""A TCP proxy in front of a real server, to cut, stall and count connections in mid-flight."""

import asyncio
import contextlib
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit


class CuttingProxy:
    """Forwards a free local port to `host:port`; use as an async context manager."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._refusing = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self.connections = 0
        self.port = 0

    @classmethod
    def before(cls, url: str) -> "CuttingProxy":
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        return cls(parts.hostname, parts.port)

    def url(self, url: str) -> str:
        """The same URL, through this proxy."""
        parts = urlsplit(url)
        login = parts.netloc.rpartition("@")[0]
        netloc = f"{login}@127.0.0.1:{self.port}" if login else f"127.0.0.1:{self.port}"
        return urlunsplit(parts._replace(netloc=netloc))

    def cut(self) -> None:
        """Reset every connection now."""
        for writer in self._writers:
            writer.transport.abort()

    @property
    def busy(self) -> bool:
        """Whether a connection is still being carried."""
        return bool(self._pumps)

    def refuse(self, refusing: bool) -> None:
        """Close every new connection at once, or accept again."""
        self._refusing = refusing

    def stall(self) -> None:
        """Hold every byte back, with the connections open."""
        self._flowing.clear()

    def flow(self) -> None:
        self._flowing.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for pump in tuple(self._pumps):
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pumps.add(task)
        self._writers.add(writer)
        try:
            if self._refusing:
                return
            self.connections += 1
            onward_reader, onward_writer = await asyncio.open_connection(*self._target)
            self._writers.add(onward_writer)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pump(reader, onward_writer))
                    group.create_task(self._pump(onward_reader, writer))
            finally:
                self._writers.discard(onward_writer)
                onward_writer.transport.abort()
        except* OSError:
            pass
        finally:
            self._writers.discard(writer)
            self._pumps.discard(task)
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._flowing.wait()
            writer.write(data)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
        raise ConnectionResetError
