"""Jobs and their history: what services do with them, and the queries about them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, func, select, update

from workers.store.engine import StoreTransaction
from workers.store.job_tables import job_history, jobs
from workers.store.upserts import insert_new


@dataclass(frozen=True, slots=True)
class Job:
    """A job as stored; all times are UTC."""

    number: int
    job_id: str
    service: str
    identity: str
    action: str
    payload: dict[str, Any]
    request_digest: str
    request_id: int | None
    command_id: str
    state: str
    session: str | None
    """The only session that the request may have reached; None when it certainly reached nobody."""
    attempts: int
    next_attempt_at: datetime | None
    created_at: datetime
    deadline_at: datetime
    sent_at: datetime | None
    answered_at: datetime | None
    answer: dict[str, Any] | None
    error_code: str | None
    description: str | None
    irregular: bool
    ended_at: datetime | None


_COLUMNS = tuple(jobs.c[name] for name in Job.__dataclass_fields__)


def _select() -> Select[Any]:
    return select(*_COLUMNS)


def _job(row: Row[Any]) -> Job:
    return Job(**row._asdict())


async def _one(transaction: StoreTransaction, query: Select[Any]) -> Job | None:
    row = await transaction.first(query)
    return None if row is None else _job(row)


async def _all(transaction: StoreTransaction, query: Select[Any]) -> Sequence[Job]:
    return [_job(row) for row in await transaction.rows(query)]


async def insert(transaction: StoreTransaction, row: Mapping[str, Any]) -> bool:
    """Store a new job; False when its id, command id or request id is taken."""
    return await transaction.run(insert_new(jobs, transaction.dialect), row) > 0


async def find(transaction: StoreTransaction, job_id: str, *, lock: bool = False) -> Job | None:
    """A job by its id; `lock` keeps other writers away until the commit (PostgreSQL; SQLite has one writer)."""
    query = _select().where(jobs.c.job_id == job_id)
    return await _one(transaction, query.with_for_update() if lock else query)


async def last_request_id(transaction: StoreTransaction, identity: str) -> int:
    """The highest requestId that a charge point was given; 0 when none."""
    row = await transaction.first(select(func.max(jobs.c.request_id)).where(jobs.c.identity == identity))
    return 0 if row is None or row[0] is None else int(row[0])


async def due(transaction: StoreTransaction, service: str, now: datetime, limit: int) -> Sequence[Job]:
    """Jobs whose next attempt is due, the longest waiting first."""
    query = _select().where(jobs.c.service == service, jobs.c.next_attempt_at <= now)
    return await _all(transaction, query.order_by(jobs.c.next_attempt_at).limit(limit))


async def change(transaction: StoreTransaction, job: Job, values: Mapping[str, Any]) -> bool:
    """Update a job that was read with a lock, or claim one: False when another writer was faster."""
    unchanged = (
        jobs.c.number == job.number,
        jobs.c.state == job.state,
        jobs.c.attempts == job.attempts,
        jobs.c.next_attempt_at.is_not_distinct_from(job.next_attempt_at),
    )
    return await transaction.run(update(jobs).where(*unchanged).values(**values)) > 0


async def by_request_id(transaction: StoreTransaction, service: str, identity: str, request_id: int) -> Job | None:
    """The job that gave a charge point this requestId, locked."""
    query = _select().where(jobs.c.identity == identity, jobs.c.request_id == request_id, jobs.c.service == service)
    return await _one(transaction, query.with_for_update())


async def newest_under_way(
    transaction: StoreTransaction, service: str, identity: str, actions: Collection[str]
) -> Job | None:
    """The newest job of these actions that may have reached the charge point and has not ended, locked."""
    query = _select().where(
        jobs.c.identity == identity,
        jobs.c.service == service,
        jobs.c.action.in_(actions),
        jobs.c.ended_at.is_(None),
        jobs.c.session.is_not(None),
    )
    return await _one(transaction, query.order_by(jobs.c.number.desc()).limit(1).with_for_update())


async def newest_ended(
    transaction: StoreTransaction, service: str, identity: str, actions: Collection[str]
) -> Job | None:
    """The job of these actions that ended last."""
    query = _select().where(
        jobs.c.identity == identity,
        jobs.c.service == service,
        jobs.c.action.in_(actions),
        jobs.c.ended_at.is_not(None),
    )
    return await _one(transaction, query.order_by(jobs.c.ended_at.desc(), jobs.c.number.desc()).limit(1))


async def older_open(transaction: StoreTransaction, job: Job, actions: Collection[str]) -> Sequence[Job]:
    """The charge point's jobs of these actions that came before this one and have not ended, locked."""
    query = _select().where(
        jobs.c.identity == job.identity,
        jobs.c.service == job.service,
        jobs.c.action.in_(actions),
        jobs.c.number < job.number,
        jobs.c.ended_at.is_(None),
    )
    return await _all(transaction, query.order_by(jobs.c.number).with_for_update())


async def is_recorded(transaction: StoreTransaction, entry_key: str) -> bool:
    """Whether the history holds this entry."""
    return await transaction.first(select(job_history.c.number).where(job_history.c.entry_key == entry_key)) is not None


async def record(transaction: StoreTransaction, row: Mapping[str, Any]) -> bool:
    """Add to the history; False when this entry is in it already."""
    return await transaction.run(insert_new(job_history, transaction.dialect), row) > 0


async def history(transaction: StoreTransaction, job_id: str, *, limit: int = 1000) -> Sequence[Row[Any]]:
    """What happened to a job, in order."""
    query = select(job_history).where(job_history.c.job_id == job_id)
    return await transaction.rows(query.order_by(job_history.c.number).limit(limit))


async def list_jobs(
    transaction: StoreTransaction,
    service: str,
    *,
    identity: str | None = None,
    open_only: bool = False,
    limit: int = 1000,
) -> Sequence[Job]:
    """A service's jobs, newest first."""
    query = _select().where(jobs.c.service == service)
    if identity is not None:
        query = query.where(jobs.c.identity == identity)
    if open_only:
        query = query.where(jobs.c.ended_at.is_(None))
    return await _all(transaction, query.order_by(jobs.c.number.desc()).limit(limit))


async def unsolicited(
    transaction: StoreTransaction, service: str, *, identity: str | None = None, limit: int = 1000
) -> Sequence[Row[Any]]:
    """Reports that no job accounts for, newest first."""
    query = select(job_history).where(job_history.c.service == service, job_history.c.job_id.is_(None))
    if identity is not None:
        query = query.where(job_history.c.identity == identity)
    return await transaction.rows(query.order_by(job_history.c.number.desc()).limit(limit))
