"""Wakes: messages that make a shard's active consumer look at what the store holds for a charge point.

They are never the only trace: what must be looked at is due in the store, and found there by the poll.
"""

import asyncio
import uuid
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import structlog

from contracts import topology
from contracts.commands import TrackedState
from contracts.errors import LinkDownError
from workers import metrics
from workers.commands.faces import WAKE
from workers.runtime.context import ServiceContext, utc_now
from workers.runtime.publisher import Publisher
from workers.store import commands, leases
from workers.store.engine import StoreTransaction

POLL_S = 1.0
MOST_AT_ONCE = 1000
LEASE_NAME = "commands.wakes"
LEASE = timedelta(seconds=5)
AGAIN_AFTER = timedelta(seconds=10)
"""A charge point that was woken and is still due: its shard's consumer has much to do, or there is none."""

COUNT_EVERY_S = 15.0
FORGET_EVERY_S = 600.0
FORGET_SLICE = 500

_log = structlog.get_logger()


async def wake(publisher: Publisher, identity: str) -> bool:
    """Publish a wake; False when the broker did not take it. Raises LinkDownError."""
    key = topology.command_key(identity)
    return await publisher.publish(topology.COMMANDS, key, b"", type=WAKE)


async def connected(transaction: StoreTransaction, identities: Collection[str]) -> None:
    """Make due what these charge points, whose sessions opened in this transaction, have held; wake them after it."""
    waiting = await commands.wake_connected(transaction, identities, utc_now())
    if not waiting:
        return

    async def wake_them(context: ServiceContext) -> None:
        await _wake_all(context.publisher, waiting)

    transaction.after_commit(wake_them)


async def wake_what_is_due(context: ServiceContext) -> None:
    """Wake whoever has something due, until cancelled; one replica at a time does so. Raises StoreUnavailableError."""
    holder = uuid.uuid4().hex
    woken: dict[str, datetime] = {}
    while True:
        now = context.now()
        woken = {identity: at for identity, at in woken.items() if now - at < AGAIN_AFTER}
        async with context.store.transaction(read_only=True) as transaction:
            due = await commands.due(transaction, now, MOST_AT_ONCE + len(woken))
        late = [identity for identity in due if identity not in woken]
        if late:
            async with context.store.transaction() as transaction:
                ours = await leases.take(transaction, LEASE_NAME, holder, now=now, until=now + LEASE)
            if ours:
                woken.update(dict.fromkeys(await _wake_all(context.publisher, late), now))
        await asyncio.sleep(POLL_S)


async def _wake_all(publisher: Publisher, identities: Sequence[str]) -> list[str]:
    taken = await asyncio.gather(*(wake(publisher, identity) for identity in identities), return_exceptions=True)
    for one in taken:
        if isinstance(one, BaseException) and not isinstance(one, LinkDownError):
            raise one
    return [identity for identity, one in zip(identities, taken, strict=True) if one is True]


async def count_open(context: ServiceContext) -> None:
    """Keep the gauge of open commands, until cancelled. Raises StoreUnavailableError."""
    while True:
        async with context.store.transaction(read_only=True) as transaction:
            counts = await commands.count_open(transaction)
        for state in (TrackedState.HELD, TrackedState.UNDER_WAY):
            metrics.tracked_open.labels(state.value).set(counts.get(state.value, 0))
        await asyncio.sleep(COUNT_EVERY_S)


async def forget_ended(context: ServiceContext) -> None:
    """Delete commands that ended long ago, a slice at a time, until cancelled. Raises StoreUnavailableError."""
    kept = timedelta(days=context.settings.commands_kept_days)
    while True:
        total = 0
        while True:
            async with context.store.transaction() as transaction:
                gone = await commands.forget_ended(transaction, context.now() - kept, FORGET_SLICE)
            total += gone
            if gone < FORGET_SLICE:
                break
            await asyncio.sleep(0)
        if total:
            _log.info("tracked_commands.forgotten", count=total)
        await asyncio.sleep(FORGET_EVERY_S)
