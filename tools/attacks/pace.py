"""Attackers share the victim's processors: they go at a stated pace, never as fast as they can."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable


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
    work: Callable[[int], Awaitable[None]], *, per_s: float, seconds: float, most: int, at_once: int = 500
) -> int:
    """Begin so many pieces of work a second, each a task of its own; returns how many, once all have ended."""
    room = asyncio.Semaphore(at_once)
    begun = 0

    async def one(number: int) -> None:
        try:
            await work(number)
        finally:
            room.release()

    async with asyncio.TaskGroup() as tasks:
        async for number in paced(per_s, seconds, most):
            await room.acquire()
            tasks.create_task(one(number))
            begun += 1
    return begun
