"""The lean websocket client against bytes of our own making, and against the `websockets` package."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from loadtest.crowd.socket import Endpoint, Refused, Socket, basic, connect, frame, tls_context
from tests.support.tls_files import tls_folder

HEAD = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\nSec-WebSocket-Protocol: ocpp1.6\r\n\r\n"
)


class Owner:
    def __init__(self) -> None:
        self.socket: Socket | None = None
        self.texts: list[bytes] = []
        self.code: int | None = None
        self._changed = asyncio.Event()

    def opened(self, socket: Socket) -> None:
        self.socket = socket

    def text(self, payload: bytes) -> None:
        self.texts.append(payload)
        self._changed.set()

    def ended(self, code: int) -> None:
        assert self.code is None
        self.code = code
        self._changed.set()

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def answering(*pieces: bytes) -> AsyncIterator[Endpoint]:
    """Send these pieces, each in a write of its own, after the request; then wait for the client to go."""
    gone = asyncio.Event()

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        await reader.read()
        writer.close()
        gone.set()

    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield Endpoint.of(f"ws://127.0.0.1:{port}/ocpp")
        async with asyncio.timeout(20):
            await gone.wait()


def unmasked(first: int, payload: bytes) -> bytes:
    size = len(payload)
    return bytes((first, size)) + payload if size < 126 else bytes((first, 126)) + size.to_bytes(2) + payload


async def test_a_message_may_come_with_the_head_in_pieces_and_in_fragments():
    long = b"x" * 300
    stream = HEAD + unmasked(0x81, b"one") + unmasked(0x01, b"tw") + unmasked(0x89, b"ping") + unmasked(0x80, b"o")
    stream += unmasked(0x81, long) + bytes((0x81, 127)) + (70_000).to_bytes(8) + b"y" * 70_000
    cuts = [stream[at : at + 7] for at in range(0, 420, 7)] + [stream[420:]]
    owner = Owner()
    async with answering(*cuts) as endpoint:
        socket = await connect(endpoint, "CP", owner)
        await owner.until(lambda: len(owner.texts) == 4)
        assert owner.texts == [b"one", b"two", long, b"y" * 70_000]
        socket.drop()
    assert owner.code is None


@pytest.mark.parametrize(
    ("answer", "why", "retry_after_s"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 17\r\n\r\n", "503", 17.0),
        (b"HTTP/1.1 401 Unauthorized\r\n\r\n", "401", None),
        (HEAD.replace(b"ocpp1.6", b"ocpp2.0.1"), "handshake", None),
        (HEAD.replace(b"ICX+", b"ICX-"), "handshake", None),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "handshake", None),
        (b"x" * 20_000, "handshake", None),
    ],
)
async def test_why_no_session_came_about(answer, why, retry_after_s):
    async with answering(answer) as endpoint:
        with pytest.raises(Refused) as refusal:
            await connect(endpoint, "CP", Owner())
    assert (refusal.value.why, refusal.value.retry_after_s) == (why, retry_after_s)


async def test_nobody_listens_or_nobody_answers():
    async with answering() as endpoint:
        with pytest.raises(Refused, match="timeout"):
            await connect(endpoint, "CP", Owner(), timeout_s=0.05)
    with pytest.raises(Refused, match="tcp"):
        await connect(endpoint, "CP", Owner())


@pytest.mark.parametrize("bad", [unmasked(0xC1, b"compressed"), b"\x81\x83\0\0\0\0abc", unmasked(0x82, b"binary"),
                                 unmasked(0x80, b"continues nothing")])  # fmt: skip
async def test_what_was_not_agreed_on_ends_the_session(bad):
    owner = Owner()
    async with answering(HEAD, bad) as endpoint:
        await connect(endpoint, "CP", owner)
        await owner.until(lambda: owner.code is not None)
    assert owner.code == 1002
    assert not owner.texts


@asynccontextmanager
async def echoing(tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[str, list[ServerConnection]]]:
    peers: list[ServerConnection] = []

    async def echo(connection: ServerConnection) -> None:
        peers.append(connection)
        try:
            async for message in connection:
                await connection.send(message)
        except ConnectionClosed:
            pass

    async with serve(echo, "127.0.0.1", 0, subprotocols=[Subprotocol("ocpp1.6")], ssl=tls) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"{'ws' if tls is None else 'wss'}://127.0.0.1:{port}/ocpp", peers


async def test_a_real_server_takes_requests_frames_and_pongs():
    owner = Owner()
    async with echoing() as (url, peers):
        socket = await connect(Endpoint.of(url), "CP 1/ä", owner, authorization=basic("CP 1/ä", "secret"))
        assert peers[0].request is not None
        assert peers[0].request.path == "/ocpp/CP%201%2F%C3%A4"
        assert peers[0].request.headers["Authorization"] == "Basic Q1AgMS/DpDpzZWNyZXQ="
        sizes = [1, 125, 126, 65_535, 65_536]
        for size in sizes:
            socket.send(b"z" * size)
        await owner.until(lambda: len(owner.texts) == len(sizes))
        assert [len(text) for text in owner.texts] == sizes
        async with asyncio.timeout(20):
            await (await peers[0].ping())
        await peers[0].close(1012)
        await owner.until(lambda: owner.code is not None)
    assert owner.code == 1012
    socket.send(b"nobody hears it")


async def test_a_goodbye_of_ours_is_answered():
    owner = Owner()
    async with echoing() as (url, _):
        socket = await connect(Endpoint.of(url), "CP", owner)
        socket.close(1000)
        await owner.until(lambda: owner.code is not None)
    assert owner.code == 1000


async def test_tls_with_a_trusted_server_and_with_another(tmp_path):
    folder = tls_folder(tmp_path)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(folder.path / "rsa.pem", folder.path / "rsa.key")
    owner = Owner()
    async with echoing(server) as (by_address, _):
        url = by_address.replace("127.0.0.1", "localhost")  # the name on its certificate
        socket = await connect(Endpoint.of(url, tls_context(str(folder.path / "ca.pem"))), "CP", owner)
        socket.send(b"hidden")
        await owner.until(lambda: owner.texts == [b"hidden"])
        socket.drop()
        with pytest.raises(Refused, match="tls"):
            await connect(Endpoint.of(url), "CP", Owner())


def test_frames_have_their_size_and_a_mask_of_zeros():
    assert frame(9, b"") == b"\x89\x80\0\0\0\0"
    assert frame(1, b"a" * 126)[:8] == b"\x81\xfe\x00\x7e\0\0\0\0"
    assert frame(1, b"a" * 65_536)[:14] == b"\x81\xff\0\0\0\0\0\x01\0\0\0\0\0\0"


def test_an_endpoint_is_a_websocket_address():
    assert Endpoint.of("ws://host/ocpp/").path == "/ocpp"
    with pytest.raises(ValueError, match="http"):
        Endpoint.of("http://host/")
