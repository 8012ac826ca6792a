"""Attackers share the victim's processors: they go at a stated pace, never as fast as they can."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from tools.attacks.outcome import Outcome
from tools.attacks.wire import Refused


async def paced(per_s: float, seconds: float, most: int) -> AsyncIterator[int]:
    """Count from 0 at this pace until time is up or so many are done; what comes late is not caught up with."""
    loop = asyncio.get_running_loop()
    begun = due = loop.time()
    for number in range(most):
        now = loop.time()
        if now - begun >= seconds:
            return
        if due > now:
            await asyncio.sleep(due - now)
        due = max(due, now - 0.05) + 1 / per_s
        yield number


async def swarm(
    outcome: Outcome,
    work: Callable[[int], Awaitable[str]],
    *,
    per_s: float,
    seconds: float,
    most: int,
    at_once: int = 500,
) -> None:
    """Begin so many pieces of work a second, each a task of its own, and note how each has ended; a refusal is an end.

    Returns once all have.
    """
    room = asyncio.Semaphore(at_once)

    async def one(number: int) -> None:
        try:
            end = await work(number)
        except Refused as refused:
            end = refused.end
        finally:
            room.release()
        outcome.note(end)

    async with asyncio.TaskGroup() as tasks:
        async for number in paced(per_s, seconds, most):
            await room.acquire()
            tasks.create_task(one(number))
