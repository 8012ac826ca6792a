"""A charge point's report about a job: find the job, let its lifecycle judge, keep the history, confirm."""

from collections.abc import Collection, Mapping
from typing import Any

from contracts.actions import Service
from contracts.events import DiagnosticsStatusChanged, FirmwareStatusChanged
from workers.jobs.lifecycle import UNANSWERED, Lifecycle
from workers.jobs.progress import IDLE, Verdict
from workers.jobs.requests import cancel_older
from workers.runtime.calls import Answer, Handler, IncomingCall, Reply
from workers.runtime.reading import INT32_MAX, read_int, read_text
from workers.store import jobs, outbox
from workers.store.engine import StoreTransaction
from workers.store.jobs import Job

LONGEST_STATUS = 100
_EVENTS: Mapping[Service, type[FirmwareStatusChanged | DiagnosticsStatusChanged]] = {
    Service.FIRMWARE: FirmwareStatusChanged,
    Service.DIAGNOSTICS: DiagnosticsStatusChanged,
}


def report_handler(lifecycle: Lifecycle, actions: Collection[str]) -> Handler:
    """Handle a status notification about jobs of these actions. It is always confirmed, whatever it says."""

    async def handle(call: IncomingCall, transaction: StoreTransaction) -> Reply:
        await take_report(lifecycle, actions, call, transaction)
        return Answer()

    return handle


async def take_report(
    lifecycle: Lifecycle, actions: Collection[str], call: IncomingCall, transaction: StoreTransaction
) -> None:
    """Store what a report says about its job; a redelivered one changes nothing."""
    key = call.delivery_key()
    if await jobs.is_recorded(transaction, key):
        return
    status = (read_text(call.payload.get("status"))[0] or "")[:LONGEST_STATUS]
    request_id = read_int(call.payload.get("requestId"), low=-INT32_MAX, high=INT32_MAX)[0]
    job = await _find(lifecycle, actions, call.identity, status, request_id, transaction)
    if job is None:
        new = await jobs.record(transaction, _row(lifecycle, call, key, status, request_id, Verdict.UNSOLICITED))
        if new and status != IDLE:
            _tell(lifecycle, call, status, request_id, transaction)
        return
    step = lifecycle.after_report(job.state, status)
    if step.verdict is Verdict.DUPLICATE:
        return
    state = str(step.state)
    if not await jobs.record(transaction, _row(lifecycle, call, key, status, request_id, step.verdict, job, state)):
        return
    if step.verdict is not Verdict.IDLE:
        _tell(lifecycle, call, status, request_id, transaction, job_id=job.job_id, state=state)
    await _advance(lifecycle, job, state, step.verdict, call, transaction)


def _tell(
    lifecycle: Lifecycle,
    call: IncomingCall,
    status: str,
    request_id: int | None,
    transaction: StoreTransaction,
    *,
    job_id: str | None = None,
    state: str | None = None,
) -> None:
    event = _EVENTS[lifecycle.service]
    data = event(status=status, job_id=job_id, state=state, request_id=request_id)
    outbox.emit(transaction, call.identity, data, occurred_at=call.received_at, now=call.handled_at)


async def _advance(
    lifecycle: Lifecycle, job: Job, state: str, verdict: Verdict, call: IncomingCall, transaction: StoreTransaction
) -> None:
    values: dict[str, Any] = {"irregular": True} if verdict.is_irregular else {}
    moved = state != job.state
    if moved:
        # The charge point has the request: nothing is left to send.
        values |= {"state": state, "next_attempt_at": None}
        if lifecycle.is_terminal(state):
            values |= {"ended_at": call.handled_at}
    if values:
        await jobs.change(transaction, job, values)
    if moved and job.state in UNANSWERED and lifecycle.cancels_older(job.action, None):
        await cancel_older(lifecycle, transaction, job, call.handled_at)


async def _find(
    lifecycle: Lifecycle,
    actions: Collection[str],
    identity: str,
    status: str,
    request_id: int | None,
    transaction: StoreTransaction,
) -> Job | None:
    service = lifecycle.service.value
    if request_id is not None:
        named = await jobs.by_request_id(transaction, service, identity, request_id)
        # A number may be left from another back end: no charge point reports about what it was never sent.
        return None if named is None or named.session is None else named
    job = await jobs.newest_under_way(transaction, service, identity, actions)
    if job is not None:
        return job
    # An end that is reported again, as after a reboot, is no news.
    ended = await jobs.newest_ended(transaction, service, identity, actions)
    if ended is not None and lifecycle.after_report(ended.state, status).verdict is Verdict.DUPLICATE:
        return ended
    return None


def _row(
    lifecycle: Lifecycle,
    call: IncomingCall,
    key: str,
    status: str,
    request_id: int | None,
    verdict: Verdict,
    job: Job | None = None,
    state: str | None = None,
) -> dict[str, Any]:
    info = call.payload.get("statusInfo")
    return {
        "entry_key": key,
        "job_id": None if job is None else job.job_id,
        "service": lifecycle.service.value,
        "identity": call.identity,
        "source": call.action,
        "status": status,
        "request_id": request_id,
        "verdict": verdict.value,
        "state": state,
        "detail": {"statusInfo": info} if isinstance(info, dict) else None,
        "reported_at": call.received_at,
        "received_at": call.handled_at,
    }
