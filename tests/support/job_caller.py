"""A backend's part for worker tests, beside a gateway's: asks services for jobs."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson

from contracts import topology
from contracts.actions import Service
from contracts.broker import Delivery
from contracts.envelope import CommandEnvelope, JobReceipt, JobRequest, OutcomeEnvelope, OutcomeKind
from tests.support.calling import GATEWAY, Caller, until

_PREFIX = "job:"


class JobCaller(Caller):
    """Asks for jobs, and answers commands with scripted outcomes in their order; None is silence."""

    def __init__(self, url: str, *outcomes: tuple[OutcomeKind, dict[str, Any]] | None) -> None:
        super().__init__(url)
        self.receipts: dict[str, JobReceipt] = {}
        self._outcomes = list(outcomes)
        self._requests = itertools.count(1)
        self.answer_command = self._scripted

    async def request_job(
        self,
        service: Service,
        job_id: str,
        action: str,
        payload: dict[str, Any],
        *,
        identity: str = "CP-1",
        within_s: float = 3600,
    ) -> JobReceipt:
        """Ask a service for a job and await its receipt."""
        deadline_ms = int((time.time() + within_s) * 1000)
        request = JobRequest(job_id, identity, action, orjson.dumps(payload), deadline_ms)
        correlation_id = f"{_PREFIX}{next(self._requests)}"
        self.link.publish(
            topology.SERVICES,
            topology.jobs_queue(service),
            request.encode(),
            mandatory=True,
            persistent=True,
            correlation_id=correlation_id,
            reply_to=self.link.reply_queue,
        )
        await until(lambda: correlation_id in self.receipts)
        return self.receipts[correlation_id]

    async def commanded(self, count: int) -> list[CommandEnvelope]:
        """The commands, once there are that many."""
        await until(lambda: len(self.commands) >= count)
        return self.commands

    def _scripted(self, command: CommandEnvelope) -> OutcomeEnvelope | None:
        outcome = self._outcomes.pop(0)
        if outcome is None:
            return None
        kind, payload = outcome
        body = orjson.dumps(payload)
        return OutcomeEnvelope(command.command_id, command.identity, kind, GATEWAY, command.session, payload=body)

    def delivered(self, delivery: Delivery) -> None:
        if delivery.correlation_id.startswith(_PREFIX):
            self.receipts[delivery.correlation_id] = JobReceipt.decode(delivery.body)
        else:
            super().delivered(delivery)


@asynccontextmanager
async def job_caller_on(url: str, *outcomes: tuple[OutcomeKind, dict[str, Any]] | None) -> AsyncIterator[JobCaller]:
    """A connected JobCaller."""
    caller = JobCaller(url, *outcomes)
    running = asyncio.create_task(caller.link.run())
    try:
        await until(lambda: caller.link.up)
        yield caller
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
