"""Tracked commands in the store: taken once, looked at in order, ended once with their event.

Of a charge point's open commands the first one (by number) is at the front: only it is attempted. What is behind it
need not be looked at before its own deadline; when the front ends, the next one is due at once, in the same commit.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, delete, func, or_, select, update

from contracts.commands import CommandOutcome, TrackedState
from contracts.events import CommandCompleted
from workers.store import outbox
from workers.store.command_tables import commands
from workers.store.engine import StoreTransaction
from workers.store.tables import presence
from workers.store.upserts import insert_new_returning

_c = commands.c
_IS_OPEN = _c.ended_at.is_(None)


@dataclass(frozen=True, slots=True)
class TrackedCommand:
    """A tracked command as stored; all times are UTC."""

    number: int
    command_id: str
    identity: str
    shard: str
    action: str
    payload: dict[str, Any]
    request_digest: str
    only_session: str | None
    state: str
    session: str | None
    """That of the last attempt: while it is under way, the only one that it may have reached."""
    attempts: int
    next_attempt_at: datetime | None
    created_at: datetime
    deadline_at: datetime
    uncertain: dict[str, Any] | None
    """The outcome of an earlier attempt that may have reached the charge point."""
    outcome: dict[str, Any] | None
    outcome_kind: str | None
    reason: str | None
    ended_at: datetime | None


_SELECT = select(*(_c[name] for name in TrackedCommand.__dataclass_fields__))


def _command(row: Row[Any]) -> TrackedCommand:
    return TrackedCommand(**row._asdict())


async def _one(transaction: StoreTransaction, query: Select[Any]) -> TrackedCommand | None:
    row = await transaction.first(query)
    return None if row is None else _command(row)


async def find(transaction: StoreTransaction, command_id: str) -> TrackedCommand | None:
    """The command with that id."""
    return await _one(transaction, _SELECT.where(_c.command_id == command_id))


async def submit(transaction: StoreTransaction, row: Mapping[str, Any]) -> TrackedCommand | None:
    """Store a new command as held, due at once when nothing is before it; None when its id is taken."""
    # Whoever ends the front at this moment is waited for: either it sees the new one, or we see that it has ended.
    front = await next_of(transaction, row["identity"])
    values = {
        **row,
        "state": TrackedState.HELD.value,
        "attempts": 0,
        "next_attempt_at": row["created_at"] if front is None else row["deadline_at"],
    }
    stored = await transaction.first(insert_new_returning(commands, transaction.dialect, "number"), values)
    return None if stored is None else await _one(transaction, _SELECT.where(_c.number == stored.number))


async def next_of(transaction: StoreTransaction, identity: str) -> TrackedCommand | None:
    """The open command at the front of a charge point's, locked until the commit; None when none is open."""
    query = _SELECT.where(_c.identity == identity, _IS_OPEN).order_by(_c.number).limit(1)
    return await _one(transaction, query.with_for_update())


async def overdue_of(transaction: StoreTransaction, identity: str, now: datetime) -> Sequence[TrackedCommand]:
    """A charge point's held commands whose deadline has passed, locked."""
    query = _SELECT.where(
        _c.identity == identity, _IS_OPEN, _c.state == TrackedState.HELD.value, _c.deadline_at <= now
    ).order_by(_c.number)
    return [_command(row) for row in await transaction.rows(query.with_for_update())]


async def open_identities(transaction: StoreTransaction, shard: str) -> set[str]:
    """The charge points of a shard that have open commands."""
    rows = await transaction.rows(select(_c.identity).where(_c.shard == shard, _IS_OPEN).distinct())
    return {row.identity for row in rows}


async def due(transaction: StoreTransaction, now: datetime, limit: int) -> Sequence[str]:
    """The charge points with commands that somebody must look at now, the longest waiting first."""
    first = func.min(_c.next_attempt_at)
    query = select(_c.identity).where(_IS_OPEN, _c.next_attempt_at <= now).group_by(_c.identity)
    return [row.identity for row in await transaction.rows(query.order_by(first).limit(limit))]


async def wake_connected(transaction: StoreTransaction, identities: Collection[str], now: datetime) -> Sequence[str]:
    """Make due what these charge points, now connected, have held; those of them that have any.

    One that pauses because it may have reached the charge point before goes on pausing: it may be what broke the
    connection.
    """
    waiting = or_(_c.uncertain.is_(None), _c.next_attempt_at == _c.deadline_at)
    fronts = select(func.min(_c.number)).where(_c.identity.in_(identities), _IS_OPEN).group_by(_c.identity)
    change = (
        update(commands)
        .where(_c.number.in_(fronts), _IS_OPEN, _c.state == TrackedState.HELD.value, waiting)
        .values(next_attempt_at=now)
        .returning(_c.identity)
    )
    return [row.identity for row in await transaction.rows(change)]


async def is_connected(transaction: StoreTransaction, identity: str) -> bool:
    """Whether the charge point's session that gateways announced last is open."""
    query = select(presence.c.identity).where(
        presence.c.identity == identity, presence.c.opened_at.is_not(None), presence.c.closed_at.is_(None)
    )
    return await transaction.first(query) is not None


async def change(transaction: StoreTransaction, command: TrackedCommand, values: Mapping[str, Any]) -> bool:
    """Update an open command; False when it is no longer as it was read."""
    unchanged = (
        _c.number == command.number,
        _IS_OPEN,
        _c.state == command.state,
        _c.attempts == command.attempts,
        _c.session.is_not_distinct_from(command.session),
    )
    return await transaction.run(update(commands).where(*unchanged).values(**values)) > 0


async def claim(
    transaction: StoreTransaction,
    command: TrackedCommand,
    *,
    session: str,
    attempt: int,
    shard: str,
    look_again_at: datetime,
) -> bool:
    """Put a command under way on a session; False when it is no longer as it was read."""
    values = {
        "state": TrackedState.UNDER_WAY.value,
        "session": session,
        "attempts": attempt,
        "shard": shard,
        "next_attempt_at": look_again_at,
    }
    return await change(transaction, command, values)


async def hold(
    transaction: StoreTransaction,
    command: TrackedCommand,
    look_again_at: datetime,
    *,
    uncertain: CommandOutcome | None = None,
) -> bool:
    """Hold a command (again); with `uncertain`, the attempt that this outcome is of may have reached its goal."""
    values: dict[str, Any] = {
        "state": TrackedState.HELD.value,
        "next_attempt_at": min(look_again_at, command.deadline_at),
    }
    if uncertain is not None:
        values["uncertain"] = uncertain.model_dump(mode="json")
    return await change(transaction, command, values)


async def settle(
    transaction: StoreTransaction, command: TrackedCommand, outcome: CommandOutcome, now: datetime
) -> bool:
    """End a command with its outcome, tell by `command.completed`, and have the next one looked at.

    False, with nothing done, when it is no longer as it was read.
    """
    ending = {
        "state": TrackedState.ENDED.value,
        "next_attempt_at": None,
        "outcome": outcome.model_dump(mode="json"),
        "outcome_kind": outcome.outcome.value,
        "reason": outcome.reason,
        "ended_at": now,
    }
    if not await change(transaction, command, ending):
        return False
    outbox.emit(transaction, command.identity, CommandCompleted(outcome=outcome), occurred_at=now, now=now)
    following = await next_of(transaction, command.identity)
    if following is not None and following.number > command.number:
        await change(transaction, following, {"next_attempt_at": now})
    return True


async def list_commands(
    transaction: StoreTransaction, *, identity: str | None = None, open_only: bool | None = None, limit: int = 100
) -> Sequence[TrackedCommand]:
    """Commands, newest first; `open_only` False gives those that have ended."""
    query = _SELECT.order_by(_c.number.desc()).limit(limit)
    if identity is not None:
        query = query.where(_c.identity == identity)
    if open_only is not None:
        query = query.where(_IS_OPEN if open_only else _c.ended_at.is_not(None))
    return [_command(row) for row in await transaction.rows(query)]


async def count_open(transaction: StoreTransaction) -> dict[str, int]:
    """How many commands are held and under way."""
    rows = await transaction.rows(select(_c.state, func.count().label("many")).where(_IS_OPEN).group_by(_c.state))
    return {row.state: row.many for row in rows}


async def forget_ended(transaction: StoreTransaction, before: datetime, limit: int) -> int:
    """Delete at most so many commands that ended before; how many it were."""
    old = select(_c.number).where(_c.ended_at < before).order_by(_c.ended_at).limit(limit)
    return await transaction.run(delete(commands).where(_c.number.in_(old)))
