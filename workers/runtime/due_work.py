"""Stored work that falls due: found by polling, attempted side by side, never forgotten."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog

from workers.runtime.context import ServiceContext
from workers.store.engine import StoreTransaction

POLL_S = 1.0
MOST_AT_ONCE = 100
LEASE_MARGIN = timedelta(seconds=30)
"""A claim outlives the command that it is for by this much: then whoever claimed it has died."""

FindDue = Callable[[StoreTransaction, datetime, int], Coroutine[Any, Any, Sequence[str]]]
"""The names of at most so many pieces of work that are due now, the longest waiting first."""

Attempt = Callable[[ServiceContext, str], Coroutine[Any, Any, None]]
"""Claims a piece of work by its name, does it, and stores when it is due again, if ever."""

_log = structlog.get_logger()


async def attempt_what_is_due(context: ServiceContext, kind: str, find_due: FindDue, attempt: Attempt) -> None:
    """Attempt what is due, until cancelled. Any number of replicas may do so. Raises StoreUnavailableError."""
    under_way: dict[str, asyncio.Task[None]] = {}
    try:
        while True:
            room = MOST_AT_ONCE - len(under_way)
            if room > 0:
                async with context.store.transaction(read_only=True) as transaction:
                    due = await find_due(transaction, context.now(), room)
                for name in due:
                    if name not in under_way:
                        under_way[name] = asyncio.create_task(attempt(context, name))
            await asyncio.sleep(POLL_S)
            for name in [name for name, task in under_way.items() if task.done()]:
                error = under_way.pop(name).exception()
                if error is not None:  # the trouble of one is not the others'
                    _log.error("due_work.failed", kind=kind, name=name, exc_info=error)
    finally:
        for task in under_way.values():
            task.cancel()
        await asyncio.gather(*under_way.values(), return_exceptions=True)
