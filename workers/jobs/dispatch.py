"""Sending the requests of stored jobs: claim, send pinned, store what came of it; the loop that forgets none."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson
import structlog

from contracts.envelope import OutcomeEnvelope
from workers.errors import StoreUnavailableError
from workers.jobs import plan
from workers.jobs.lifecycle import FAILED, PENDING, UNCERTAIN, UNRESOLVED, Lifecycle
from workers.jobs.plan import BecomeUncertain, End, Ending, Send, Wait
from workers.jobs.progress import Verdict
from workers.jobs.requests import cancel_older, command_id, entry
from workers.runtime.backoff import pause
from workers.runtime.context import ServiceContext
from workers.runtime.due_work import LEASE_MARGIN, attempt_what_is_due
from workers.store import jobs, presence
from workers.store.engine import StoreTransaction
from workers.store.jobs import Job

_log = structlog.get_logger()


class Dispatcher:
    """Sends a service's due jobs. Any number of replicas may run it: a job is claimed before it is sent."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle

    async def dispatch_jobs(self, context: ServiceContext) -> None:
        """Attempt what is due, until cancelled; background work of the service. Raises StoreUnavailableError."""
        await attempt_what_is_due(context, "job", self._due, self.attempt)

    async def _due(self, transaction: StoreTransaction, now: datetime, limit: int) -> Sequence[str]:
        due = await jobs.due(transaction, self._lifecycle.service.value, now, limit)
        return [job.job_id for job in due]

    async def attempt(self, context: ServiceContext, job_id: str) -> None:
        """Do what is due about one job; nothing when another process has claimed it.

        While the store is away nothing is decided: the claim runs out, and the job is due again.
        """
        try:
            claimed = await self._claim(context, job_id)
            if claimed is None:
                return
            job, sending, deadline = claimed
            outcome = await context.commander.send(
                job.identity,
                job.action,
                job.payload,
                deadline,
                command_id=job.command_id,
                session=sending.session,
            )
            async with context.store.transaction() as transaction:
                await self.settle(transaction, job_id, outcome, context.now(), fresh=sending.fresh)
            _log.info(
                "job.attempted",
                service=self._lifecycle.service.value,
                job_id=job_id,
                identity=job.identity,
                action=job.action,
                attempt=job.attempts,
                outcome=outcome.kind.value,
                reason=outcome.error_code,
            )
        except StoreUnavailableError as error:
            _log.warning("job.store_unavailable", job_id=job_id, reason=str(error))

    async def _claim(self, context: ServiceContext, job_id: str) -> tuple[Job, Send, datetime] | None:
        now = context.now()
        timeout = timedelta(seconds=context.settings.command_timeout_seconds)
        async with context.store.transaction() as transaction:
            job = await jobs.find(transaction, job_id, lock=True)
            if job is None or job.next_attempt_at is None or job.next_attempt_at > now:
                return None
            place = await presence.find(transaction, job.identity)
            step = plan.next_step(job, None if place is None else place.session, now)
            if not isinstance(step, Send):
                await self._apply(transaction, job, step, now)
                return None
            values: dict[str, Any] = {
                "attempts": job.attempts + 1,
                "next_attempt_at": now + timeout + LEASE_MARGIN,
                "session": step.session,
            }
            if step.fresh:
                values |= {"sent_at": now, "command_id": command_id(job_id, job.attempts)}
            if not await jobs.change(transaction, job, values):
                return None
            claimed = await jobs.find(transaction, job_id)
        return None if claimed is None else (claimed, step, min(job.deadline_at, now + timeout))

    async def _apply(self, transaction: StoreTransaction, job: Job, step: plan.Plan, now: datetime) -> None:
        if isinstance(step, Wait):
            await jobs.change(transaction, job, {"attempts": job.attempts + 1, "next_attempt_at": step.until})
        elif isinstance(step, End):
            await _end(transaction, job, step.state, now)
        elif isinstance(step, BecomeUncertain):
            await _become_uncertain(transaction, job, now)
        else:
            await jobs.change(transaction, job, {"next_attempt_at": None})

    async def settle(
        self, transaction: StoreTransaction, job_id: str, outcome: OutcomeEnvelope, now: datetime, *, fresh: bool
    ) -> None:
        """Store what an outcome means for its job."""
        job = await jobs.find(transaction, job_id, lock=True)
        if job is None or job.ended_at is not None or job.command_id != outcome.command_id:
            return
        ending = plan.meaning(outcome, fresh=fresh)
        if ending is Ending.ANSWERED:
            await self._answered(transaction, job, _payload(outcome), now)
        elif job.state != PENDING:
            return  # a status came first, and says more than the lack of an answer
        elif ending is Ending.FAILED:
            await _end(transaction, job, FAILED, now, outcome.error_code, outcome.description)
        elif ending is Ending.UNCERTAIN:
            await _become_uncertain(transaction, job, now, outcome.error_code)
        else:
            again_at = now + pause(job.attempts, job_id)
            values: dict[str, Any] = {"next_attempt_at": again_at, "error_code": outcome.error_code}
            if ending is Ending.NOT_SENT:
                values |= {"session": None, "sent_at": None}
            await jobs.change(transaction, job, values)

    async def _answered(self, transaction: StoreTransaction, job: Job, answer: dict[str, Any], now: datetime) -> None:
        state = self._lifecycle.after_answer(job.action, job.state, answer)
        ended = self._lifecycle.is_terminal(state)
        values = {
            "state": state,
            "answer": answer,
            "answered_at": now,
            "next_attempt_at": None,
            "ended_at": now if ended else None,
            "error_code": None,
        }
        if not await jobs.change(transaction, job, values):
            return
        status = answer.get("status")
        said = status[:100] if isinstance(status, str) else state
        await jobs.record(transaction, entry(job, "answer", said, Verdict.ADVANCED, state, now, detail=answer))
        if not ended and self._lifecycle.cancels_older(job.action, answer):
            await cancel_older(self._lifecycle, transaction, job, now)


async def _end(
    transaction: StoreTransaction, job: Job, state: str, now: datetime, code: str | None = None, description: str = ""
) -> None:
    values = {"state": state, "ended_at": now, "next_attempt_at": None, "error_code": code, "description": description}
    if state == UNRESOLVED:
        values |= {"irregular": True}
    if await jobs.change(transaction, job, values):
        detail: Mapping[str, Any] = {"error_code": code, "description": description}
        await jobs.record(transaction, entry(job, "dispatch", state, Verdict.ADVANCED, state, now, detail=detail))


async def _become_uncertain(transaction: StoreTransaction, job: Job, now: datetime, code: str | None = None) -> None:
    values = {"state": UNCERTAIN, "next_attempt_at": plan.hold_until(job, now), "error_code": code}
    if await jobs.change(transaction, job, values):
        row = entry(job, "dispatch", UNCERTAIN, Verdict.ADVANCED, UNCERTAIN, now, detail={"error_code": code})
        await jobs.record(transaction, row)


def _payload(outcome: OutcomeEnvelope) -> dict[str, Any]:
    try:
        payload = orjson.loads(outcome.payload)
    except orjson.JSONDecodeError:
        return {}
    return payload if isinstance(payload, dict) else {}
