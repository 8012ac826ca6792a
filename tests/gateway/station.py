"""A charge point's end of the socket, as bare as tests need it."""

import asyncio
import json
from typing import Any, Protocol

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol


class Listening(Protocol):
    """Whatever listens for charge points: a gateway in this process, or a process of its own."""

    port: int


OPENED: list[asyncio.StreamWriter] = []


def url(gateway: Listening, identity: str = "CP-1") -> str:
    return f"ws://127.0.0.1:{gateway.port}/ocpp/{identity}"


async def plug_in(
    gateway: Listening, identity: str = "CP-1", subprotocol: str = "ocpp1.6", **options: Any
) -> ClientConnection:
    """Connect; the caller closes."""
    options = {"compression": None, "ping_interval": None, "proxy": None, **options}
    return await connect(url(gateway, identity), subprotocols=[Subprotocol(subprotocol)], **options)


async def say(station: ClientConnection, *message: Any) -> None:
    await station.send(json.dumps(message))


async def hear(station: ClientConnection, seconds: float = 10) -> Any:
    async with asyncio.timeout(seconds):
        return json.loads(await station.recv())


async def call(station: ClientConnection, unique_id: str, action: str, payload: dict[str, Any] | None = None) -> Any:
    """Send a Call and return the next message."""
    await say(station, 2, unique_id, action, payload or {})
    return await hear(station)


async def raw(gateway: Listening, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a TCP connection and send bytes; a fixture closes it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    OPENED.append(writer)
    writer.write(request)
    return reader, writer


def upgrade_request(path: str = "/ocpp/CP-1", subprotocol: str = "ocpp1.6") -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: {subprotocol}\r\n\r\n"
    ).encode()


def client_frame(opcode: int, payload: bytes, *, fin: bool = True, length: int | None = None) -> bytes:
    """A masked frame (mask of zeros); `length` announces another size than is sent."""
    size = len(payload) if length is None else length
    first = (0x80 if fin else 0) | opcode
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 65536:
        head = bytes((first, 0xFE)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, 0xFF)) + size.to_bytes(8, "big")
    return head + bytes(4) + payload


async def head_of(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Status and headers of an HTTP response."""
    async with asyncio.timeout(10):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    status, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(status.split()[1]), headers


async def close_code(reader: asyncio.StreamReader) -> int:
    """Read frames until a close frame; 1006 when the stream ends without one."""
    async with asyncio.timeout(15):
        try:
            while True:
                first, second = await reader.readexactly(2)
                size = second & 0x7F
                if size == 126:
                    size = int.from_bytes(await reader.readexactly(2), "big")
                payload = await reader.readexactly(size)
                if first & 0x0F == 8:
                    return int.from_bytes(payload[:2], "big")
        except (asyncio.IncompleteReadError, ConnectionResetError):
            return 1006


async def opened(
    gateway: Listening, identity: str = "CP-1", subprotocol: str = "ocpp1.6"
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A session on a bare TCP connection."""
    reader, writer = await raw(gateway, upgrade_request(f"/ocpp/{identity}", subprotocol))
    status, _ = await head_of(reader)
    assert status == 101
    return reader, writer
