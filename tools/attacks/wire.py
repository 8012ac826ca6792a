"""An attacker's end of the wire: requests, frames, and how the other side took them."""

import asyncio
import ssl
import struct

from loadtest.crowd import socket
from loadtest.crowd.socket import basic
from tools.attacks.outcome import CLOSED, OPEN, RESET, SILENT
from tools.attacks.target import Target

TEXT, CONTINUATION, BINARY, CLOSE, PING = 1, 0, 2, 8, 9
ANSWER_S = 10.0
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Refused(Exception):  # noqa: N818 - the outcome that most attacks are to have
    """No session; `end` says how."""

    def __init__(self, end: str) -> None:
        super().__init__(end)
        self.end = end


def request(
    path: str, *, subprotocol: str = "ocpp1.6", authorization: str | None = None, extensions: str | None = None
) -> bytes:
    """A request to upgrade."""
    plain = socket.request(path, host="attacked", subprotocol=subprotocol, authorization=authorization)
    return plain if extensions is None else plain[:-2] + f"Sec-WebSocket-Extensions: {extensions}\r\n\r\n".encode()


def frame(opcode: int, payload: bytes, *, fin: bool = True, rsv1: bool = False, size: int | None = None) -> bytes:
    """A frame masked with zeros; `size` announces another length than that of the payload."""
    length = len(payload) if size is None else size
    first = (0x80 if fin else 0) | (0x40 if rsv1 else 0) | opcode
    if length < 126:
        head = struct.pack("!BB", first, 0x80 | length)
    elif length < 65536:
        head = struct.pack("!BBH", first, 0xFE, length)
    else:
        head = struct.pack("!BBQ", first, 0xFF, length)
    return head + bytes(4) + payload


async def connect(target: Target, source: str, *, tls: ssl.SSLContext | None = None, secure: bool = False) -> Streams:
    """A TCP connection from that address; raises Refused when there is none."""
    port = target.tls_port if secure or tls is not None else target.port
    try:
        async with asyncio.timeout(ANSWER_S):
            return await asyncio.open_connection(target.host, port, local_addr=(source, 0), ssl=tls, limit=2**20)
    except TimeoutError:
        raise Refused(SILENT) from None
    except ssl.SSLError:
        raise Refused("TLS alert") from None
    except OSError:
        raise Refused(RESET) from None


async def status(reader: asyncio.StreamReader, seconds: float = ANSWER_S) -> str:
    """How the gateway answers a request: `HTTP <status>`, closed, reset, or no answer in time."""
    try:
        async with asyncio.timeout(seconds):
            head = await reader.readuntil(b"\r\n\r\n")
    except TimeoutError:
        return SILENT
    except asyncio.IncompleteReadError as error:
        return f"HTTP {error.partial.split()[1].decode()}" if error.partial.startswith(b"HTTP/") else CLOSED
    except OSError:
        return RESET
    return f"HTTP {head.split()[1].decode()}"


async def ask(target: Target, source: str, content: bytes) -> str:
    """Send these bytes first thing on a connection of their own; how the gateway answers. Raises Refused."""
    reader, writer = await connect(target, source)
    writer.write(content)
    end = await status(reader)
    drop(writer)
    return end


async def session(
    target: Target, identity: str, source: str, *, subprotocol: str = "ocpp1.6", extensions: str | None = None
) -> Streams:
    """A session of a charge point on record, with its right password; raises Refused."""
    reader, writer = await connect(target, source)
    shown = basic(identity, target.password(identity))
    writer.write(
        request(f"{target.path}/{identity}", subprotocol=subprotocol, authorization=shown, extensions=extensions)
    )
    end = await status(reader)
    if end != "HTTP 101":
        writer.close()
        raise Refused(end)
    return reader, writer


async def ending(reader: asyncio.StreamReader, seconds: float) -> str:
    """Read frames to the end: `close <code>`, closed or reset; or still open after so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                first, second = await reader.readexactly(2)
                size = second & 0x7F
                if size == 126:
                    size = int.from_bytes(await reader.readexactly(2))
                elif size == 127:
                    size = int.from_bytes(await reader.readexactly(8))
                payload = await reader.readexactly(size)
                if first & 0x0F == CLOSE:
                    return f"close {int.from_bytes(payload[:2])}"
    except TimeoutError:
        return OPEN
    except asyncio.IncompleteReadError:
        return CLOSED
    except OSError:
        return RESET


async def flush(writer: asyncio.StreamWriter, seconds: float) -> bool:
    """Wait until the peer takes what was written; False when it does not in time, or is gone."""
    try:
        async with asyncio.timeout(seconds):
            await writer.drain()
    except (TimeoutError, OSError):
        return False
    return not writer.is_closing()


def drop(writer: asyncio.StreamWriter) -> None:
    """Be gone at once."""
    writer.transport.abort()
