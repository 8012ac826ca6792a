"""Job requests: what a backend asks for, checked and stored once."""

import hashlib
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from contracts import schemas
from contracts.envelope import Envelope, JobReceipt, JobRequest
from contracts.identity import MAX_LENGTH
from contracts.schemas import Part
from contracts.versions import Version
from workers.jobs.lifecycle import CANCELED, PENDING, Lifecycle
from workers.jobs.progress import Verdict
from workers.runtime.calls import RequestHandler
from workers.runtime.context import ServiceContext
from workers.store import jobs, presence
from workers.store.engine import StoreTransaction

MAX_JOB_ID = 128
MAX_PAYLOAD_BYTES = 64 * 1024
Dispatch = Callable[[ServiceContext, str], Awaitable[None]]
"""Does what is due about the job of that id."""

_COMMANDS = uuid.UUID("6c1d0f0a-6f0d-5c3e-9d55-0cf0f0a4a1b7")
_REQUEST_ID_TRIES = 5


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that some OCPP version allows; `takes_request_id` when its payload carries a requestId."""

    payload: dict[str, Any]
    takes_request_id: bool


def command_id(job_id: str, attempt: int) -> str:
    """The command id of a job's attempt: the same whoever makes it, so that no gateway sends it twice on a session."""
    return str(uuid.uuid5(_COMMANDS, f"{attempt}/{job_id}"))


def prepare(request: JobRequest, actions: Collection[str], version: Version | None, now: datetime) -> Prepared | str:
    """Check a request, or say what is wrong with it. Without a known `version` of the charge point any may fit."""
    if not 0 < len(request.job_id) <= MAX_JOB_ID:
        return f"a job id has 1 to {MAX_JOB_ID} characters"
    if not 0 < len(request.identity) <= MAX_LENGTH:
        return f"an identity has 1 to {MAX_LENGTH} characters"
    if request.action not in actions:
        return "this service has no such job; it has " + ", ".join(actions)
    if _moment(request.deadline_ms) is None or request.deadline_ms <= now.timestamp() * 1000:
        return "the deadline is not in the future"
    if len(request.payload) > MAX_PAYLOAD_BYTES:
        return f"the payload is over {MAX_PAYLOAD_BYTES} bytes"
    try:
        payload = orjson.loads(request.payload)
    except orjson.JSONDecodeError:
        return "the payload is not JSON"
    if not isinstance(payload, dict):
        return "the payload is not a JSON object"
    return _fit(request.action, payload, version)


def _fit(action: str, payload: dict[str, Any], version: Version | None) -> Prepared | str:
    bare = {key: value for key, value in payload.items() if key != "requestId"}
    reasons = []
    for candidate in [version] if version else Version:
        if not schemas.exists(candidate, action, Part.REQUEST):
            continue
        violation = schemas.outbound_violation(candidate, action, Part.REQUEST, {**bare, "requestId": 1})
        if violation is None:
            return Prepared(bare, takes_request_id=True)
        # Where the action has no requestId, that is the flaw found above or one beside it.
        without = schemas.outbound_violation(candidate, action, Part.REQUEST, bare)
        if without is None:
            return Prepared(bare, takes_request_id=False)
        named = without if "requestId" in violation.description else violation
        reasons.append(f"OCPP {candidate}: {named.description}")
    return "; ".join(reasons) or f"OCPP {version} has no {action}"


def request_handler(lifecycle: Lifecycle, dispatch: Dispatch) -> RequestHandler:
    """Answer job requests of a lifecycle; `dispatch` follows the commit."""

    async def handle(body: bytes, now: datetime, transaction: StoreTransaction) -> Envelope | None:
        request = JobRequest.decode(body)
        receipt = await accept(lifecycle, request, now, transaction)
        if receipt.accepted:

            async def send(context: ServiceContext) -> None:
                await dispatch(context, request.job_id)

            transaction.after_commit(send)
        return receipt

    return handle


async def accept(lifecycle: Lifecycle, request: JobRequest, now: datetime, transaction: StoreTransaction) -> JobReceipt:
    """Store a request's job unless it is stored already."""
    digest = _digest(request)
    known = await jobs.find(transaction, request.job_id) if 0 < len(request.job_id) <= MAX_JOB_ID else None
    if known is not None:
        return _repeated(known, digest)
    version = await presence.last_version(transaction, request.identity)
    prepared = prepare(request, lifecycle.actions, None if version is None else Version(version), now)
    if isinstance(prepared, str):
        return JobReceipt(request.job_id, accepted=False, reason=prepared)
    for offset in range(1, _REQUEST_ID_TRIES + 1):
        request_id = None
        payload = prepared.payload
        if prepared.takes_request_id:
            # Another request for the same charge point may take the number at the same time: then the next one.
            request_id = await jobs.last_request_id(transaction, request.identity) + offset
            payload = {**payload, "requestId": request_id}
        if await jobs.insert(transaction, _row(lifecycle, request, payload, request_id, digest, now)):
            await _after_insert(lifecycle, request, now, transaction)
            return JobReceipt(request.job_id, accepted=True)
        known = await jobs.find(transaction, request.job_id)
        if known is not None:
            return _repeated(known, digest)
    return JobReceipt(request.job_id, accepted=False, reason="too many requests for this charge point at once")


def _row(
    lifecycle: Lifecycle,
    request: JobRequest,
    payload: dict[str, Any],
    request_id: int | None,
    digest: str,
    now: datetime,
) -> dict[str, Any]:
    return {
        "job_id": request.job_id,
        "service": lifecycle.service.value,
        "identity": request.identity,
        "action": request.action,
        "payload": payload,
        "request_digest": digest,
        "request_id": request_id,
        "command_id": command_id(request.job_id, 0),
        "state": PENDING,
        "created_at": now,
        "deadline_at": _moment(request.deadline_ms),
        "next_attempt_at": now,
    }


async def _after_insert(
    lifecycle: Lifecycle, request: JobRequest, now: datetime, transaction: StoreTransaction
) -> None:
    job = await jobs.find(transaction, request.job_id)
    if job is None:  # just inserted
        return
    await jobs.record(transaction, entry(job, "dispatch", "Requested", Verdict.ADVANCED, PENDING, now))
    if lifecycle.replaces_unsent:
        older = await jobs.older_open(transaction, job, lifecycle.rivals(job.action))
        await _cancel(transaction, [old for old in older if old.session is None], job.job_id, now)


async def cancel_older(lifecycle: Lifecycle, transaction: StoreTransaction, job: jobs.Job, now: datetime) -> None:
    """End the older jobs whose place this one has taken: those sent, and those unsent that have become pointless."""
    older = await jobs.older_open(transaction, job, lifecycle.rivals(job.action))
    gone = [old for old in older if old.session is not None or lifecycle.replaces_unsent]
    await _cancel(transaction, gone, job.job_id, now)


async def _cancel(transaction: StoreTransaction, canceled: Collection[jobs.Job], by: str, now: datetime) -> None:
    for old in canceled:
        ended = {"state": CANCELED, "ended_at": now, "next_attempt_at": None, "description": "replaced by a newer job"}
        if await jobs.change(transaction, old, ended):
            row = entry(old, "dispatch", CANCELED, Verdict.ADVANCED, CANCELED, now, detail={"replaced_by": by})
            await jobs.record(transaction, row)


def entry(
    job: jobs.Job,
    source: str,
    status: str,
    verdict: Verdict,
    state: str,
    now: datetime,
    *,
    detail: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A history entry of the job's own making, that is: not a charge point's report."""
    return {
        "entry_key": f"{job.job_id}/{source}/{status}/{job.attempts}",
        "job_id": job.job_id,
        "service": job.service,
        "identity": job.identity,
        "source": source,
        "status": status,
        "request_id": job.request_id,
        "verdict": verdict.value,
        "state": state,
        "detail": detail,
        "reported_at": now,
        "received_at": now,
    }


def _repeated(known: jobs.Job, digest: str) -> JobReceipt:
    if known.request_digest == digest:
        return JobReceipt(known.job_id, accepted=True, reason="known already")
    return JobReceipt(known.job_id, accepted=False, reason="the job id belongs to another request")


def _digest(request: JobRequest) -> str:
    parts = (request.identity.encode(), request.action.encode(), request.payload)
    return hashlib.blake2b(b"\x1f".join(parts), digest_size=16).hexdigest()


def _moment(milliseconds: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
