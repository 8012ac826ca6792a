"""Attacks before a session: half-open, broken, oversized and endless handshakes."""

import asyncio
import random
import secrets
import struct
from collections.abc import Callable
from contextlib import suppress

from tools.attacks.dripping import drip
from tools.attacks.outcome import BUSY, CUT, OPEN, Attack, Outcome
from tools.attacks.pace import swarm
from tools.attacks.target import ATTACKERS, Effort, Target
from tools.attacks.wire import ask, flush, request, status


async def _flood(target: Target, effort: Effort, what: str, content: Callable[[int], bytes], per_s: float) -> Outcome:
    """Requests at a pace, each on a connection of its own, from four addresses."""
    outcome = Outcome(f"{effort.of(per_s)} {what}/s from 4 addresses")

    async def one(number: int) -> str:
        return await ask(target, ATTACKERS[number % 4], content(number))

    await swarm(outcome, one, per_s=effort.of(per_s), seconds=effort.seconds, most=100_000)
    return outcome


async def slow_loris(target: Target, effort: Effort) -> Outcome:
    """Handshakes that never come to their end, byte by byte."""
    return await drip(target, effort, "handshakes", request(f"{target.path}/LORIS"), status)


async def handshake_flood(target: Target, effort: Effort) -> Outcome:
    """Whole requests for a place that does not exist: the cheapest way to make a gateway work."""
    return await _flood(target, effort, "requests", lambda _: request("/elsewhere/X"), 500)


async def random_bytes(target: Target, effort: Effort) -> Outcome:
    """Noise instead of HTTP."""
    rng = random.Random(20260101)  # noqa: S311 - the same noise each time
    return await _flood(target, effort, "openings of 300 random bytes", lambda _: rng.randbytes(300), 200)


async def header_bombs(target: Target, effort: Effort) -> Outcome:
    """Headers too long, too many, and never ending."""
    opening = request(f"{target.path}/BOMB")[:-2]
    bombs = (
        opening + b"X-Bomb: " + b"b" * 1_000_000 + b"\r\n\r\n",
        opening + b"".join(b"X-%d: b\r\n" % number for number in range(20_000)) + b"\r\n",
        b"GET " + b"/" * 1_000_000,
        opening + b"X-Bomb: b\r\n b" * 50_000,
    )
    return await _flood(target, effort, "requests of up to 1 MB", lambda number: bombs[number % len(bombs)], 20)


async def proxy_header(target: Target, effort: Effort) -> Outcome:
    """A PROXY header that claims another address, from one that is no proxy."""
    addresses = bytes((192, 0, 2, 1, 127, 0, 0, 1)) + struct.pack("!HH", 4711, target.port)
    head = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11" + struct.pack("!H", len(addresses)) + addresses
    line = b"PROXY TCP4 192.0.2.1 127.0.0.1 4711 80\r\n"
    wanted = request(f"{target.path}/{target.victim}")
    return await _flood(target, effort, "PROXY headers", lambda number: (head, line)[number % 2] + wanted, 50)


async def unknown_identities(target: Target, effort: Effort) -> Outcome:
    """Charge points that nobody knows, each asked for once."""
    stem = secrets.token_hex(4)
    return await _flood(
        target, effort, "unknown identities", lambda number: request(f"{target.path}/X-{stem}-{number}"), 300
    )


async def dribble(writer: asyncio.StreamWriter, content: bytes, seconds: float) -> bool:
    """Write in slices, as far as the peer takes them."""
    with suppress(OSError):
        for at in range(0, len(content), 65536):
            writer.write(content[at : at + 65536])
            if not await flush(writer, seconds):
                return False
    return True


_BAD = frozenset({"HTTP 400"})
ATTACKS = (
    Attack("slow-loris", slow_loris, CUT | {"HTTP 408"}, BUSY | {OPEN}, frozenset({"handshake_timeout"})),
    Attack("handshake flood", handshake_flood, frozenset({"HTTP 404"}), BUSY | CUT, frozenset({"bad_path"})),
    Attack("random bytes as HTTP", random_bytes, _BAD, BUSY | CUT, frozenset({"bad_request"})),
    Attack("header bombs", header_bombs, _BAD | {"HTTP 431"}, BUSY | CUT, frozenset({"large_request", "bad_request"})),
    Attack("PROXY header, unlisted source", proxy_header, _BAD | CUT, BUSY, frozenset()),
    Attack(
        "unknown identities", unknown_identities, frozenset({"HTTP 404"}), BUSY | CUT, frozenset({"unknown_identity"})
    ),
)
