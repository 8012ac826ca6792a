"""Attacks on the TLS listener, beneath HTTP."""

import asyncio
import random
import secrets
import ssl
import struct

from tools.attacks.dripping import drip
from tools.attacks.outcome import CUT, OPEN, SILENT, Attack, Outcome
from tools.attacks.pace import swarm
from tools.attacks.target import ATTACKERS, Effort, Target
from tools.attacks.wire import connect, drop

HANDSHAKE_RECORD, ALERT = 22, 21
ALERTED = "TLS alert"


def client_hello(version: tuple[int, int] = (3, 3)) -> bytes:
    """A hello that offers this version (3.1 is TLS 1.0) and one suite of its time."""
    body = bytes(version) + secrets.token_bytes(32) + b"\x00" + struct.pack("!H", 2) + b"\x00\x2f" + b"\x01\x00"
    message = b"\x01" + len(body).to_bytes(3) + body
    return bytes((HANDSHAKE_RECORD, 3, 1)) + struct.pack("!H", len(message)) + message


async def _answer(reader: asyncio.StreamReader, seconds: float) -> str:
    """How the listener took it: an alert, closed, reset, or no answer in time."""
    try:
        async with asyncio.timeout(seconds):
            first = await reader.read(1)
    except TimeoutError:
        return SILENT
    except OSError:
        return next(iter(sorted(CUT)))
    if not first:
        return "closed"
    return ALERTED if first[0] == ALERT else f"record {first[0]}"


async def malformed(target: Target, effort: Effort) -> Outcome:
    """Random bytes, broken records, a hello of TLS 1.0, and plain HTTP."""
    rng = random.Random(20260102)  # noqa: S311 - the same noise each time
    rate = effort.of(200)
    outcome = Outcome(f"{rate} malformed openings/s from 4 addresses")

    def opening(number: int) -> bytes:
        return (
            rng.randbytes(300),
            bytes((HANDSHAKE_RECORD, 3, 3, 0xFF, 0xFF)) + rng.randbytes(500),
            client_hello((3, 1)),
            b"GET / HTTP/1.1\r\n\r\n",
        )[number % 4]

    async def one(number: int) -> str:
        reader, writer = await connect(target, ATTACKERS[number % 4], secure=True)
        writer.write(opening(number))
        end = await _answer(reader, 20.0)
        drop(writer)
        return end

    await swarm(outcome, one, per_s=rate, seconds=effort.seconds, most=100_000)
    return outcome


async def slow_hello(target: Target, effort: Effort) -> Outcome:
    """TLS handshakes that never come to their end, byte by byte."""
    return await drip(target, effort, "TLS handshakes", client_hello()[:-1], _answer, secure=True)


async def tls_flood(target: Target, effort: Effort) -> Outcome:
    """Whole TLS handshakes, the dearest thing to ask of a listener, and nothing after them."""
    rate = effort.of(100)
    outcome = Outcome(f"{rate} whole TLS handshakes/s from 4 addresses")
    context = ssl.create_default_context(cafile=target.ca_file)

    async def one(number: int) -> str:
        _, writer = await connect(target, ATTACKERS[number % 4], tls=context)
        drop(writer)
        return "handshake done"

    await swarm(outcome, one, per_s=rate, seconds=effort.seconds, most=100_000)
    return outcome


ATTACKS = (
    Attack("TLS handshake flood", tls_flood, frozenset({"handshake done"}), CUT | {ALERTED, SILENT}),
    Attack("malformed TLS", malformed, CUT | {ALERTED}, frozenset()),
    Attack("TLS slow-loris", slow_hello, CUT | {ALERTED}, frozenset({OPEN})),
)
