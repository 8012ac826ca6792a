"""The bare sockets of the bench: what counts as an answer, and that they stay connected."""

import asyncio
from collections.abc import Callable

import pytest

from tools.bench.callers import Caller, Callers


class Wire(asyncio.Transport):
    """A transport that keeps what is written, and tells who wants to hear."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.heard: Callable[[], None] = lambda: None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))
        self.heard()


def text(payload: bytes) -> bytes:
    return bytes((0x81, len(payload))) + payload


async def test_an_answer_behind_a_ping_counts_and_the_ping_is_answered_with_its_payload():
    heard: list[bytes] = []
    caller, wire = Caller("CP", lambda _, payload: heard.append(payload), "ocpp1.6"), Wire()
    caller.connection_made(wire)
    caller.data_received(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    caller.data_received(b"\x89\x04abcd" + text(b'[3,"CP",{}]') + b"\x89\x00")
    assert heard == [b'[3,"CP",{}]']
    assert wire.written[1:] == [b"\x8a\x84" + bytes(4) + b"abcd", b"\x8a\x80" + bytes(4)]


async def test_a_refused_call_is_no_answer():
    callers = Callers(0)
    caller, wire = Caller("CP", callers._answered, "ocpp1.6"), Wire()
    caller.connection_made(wire)
    caller.data_received(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    callers._idle.append(caller)
    answers = iter([b'[3,"CP",{}]', b'[4,"CP","InternalError","",{}]'])
    wire.heard = lambda: caller.data_received(text(next(answers)))
    with pytest.raises(SystemExit, match="InternalError"):
        await callers.calls(3, 1)
