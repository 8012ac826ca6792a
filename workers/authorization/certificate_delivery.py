"""Accepted requests for certificates: signed, then brought to the charge point, whatever dies or is away meanwhile."""

from datetime import datetime, timedelta
from typing import Any

import structlog

from contracts.versions import Version
from workers import metrics
from workers.authorization.authority import Authority, Issued, Refused
from workers.authorization.certificate_lifecycle import Ending, Heard, again_at, heard, signed_request
from workers.authorization.signing_request import SubjectRules
from workers.runtime.context import ServiceContext
from workers.runtime.due_work import LEASE_MARGIN, attempt_what_is_due
from workers.settings import WorkerSettings
from workers.store import certificates, presence
from workers.store.certificates import ACCEPTED, FAILED, REJECTED, SIGNED, Certificate, Request
from workers.store.engine import StoreTransaction

_RESULTS = {SIGNED: "signed", ACCEPTED: "installed", REJECTED: "rejected", FAILED: "failed"}
_log = structlog.get_logger()


class Delivering:
    """Signs what is requested and delivers what is signed. Any number of replicas may do so."""

    def __init__(self, settings: WorkerSettings, authority: Authority) -> None:
        self._organization = settings.certificate_organization
        self._authority = authority

    async def deliver_due(self, context: ServiceContext) -> None:
        """Go on with what an ended process or an absent charge point left, until cancelled; background work."""

        async def attempt(context: ServiceContext, request_key: str) -> None:
            await self.deliver(context, request_key, context.now())

        await attempt_what_is_due(context, "certificate", certificates.due, attempt)

    async def deliver(self, context: ServiceContext, request_key: str, due_by: datetime) -> None:
        """Do what is due by then about one request; nothing when another process has claimed it.

        A certificate is on record before it leaves, and the charge point is sent the same one until it answers.
        """
        now = context.now()
        timeout = timedelta(seconds=context.settings.command_timeout_seconds)
        async with context.store.transaction() as transaction:
            until = now + timeout + LEASE_MARGIN
            request = await certificates.claim(transaction, request_key, due_by, until=until)
            if request is None:
                return
            name = await certificates.certificate_name(transaction, request.identity)
            version = await presence.last_version(transaction, request.identity)
        chain = request.chain
        if chain is None:
            rules = SubjectRules(name or request.identity, self._organization)
            signed = await self._authority.sign(request.csr, rules, now)
            async with context.store.transaction() as transaction:
                result = await _record(transaction, request, signed, context.now())
            _tell(request, result)
            if isinstance(signed, Refused) or result is None:
                return
            chain = signed.chain
        # Presence is a moment behind: the request itself says best what its charge point speaks just now.
        spoken = Version(request.ocpp_version if request.attempts == 1 else version or request.ocpp_version)
        action, payload = signed_request(spoken, chain, request.certificate_type, request.ocpp_request_id)
        outcome = await context.commander.send(request.identity, action, payload, context.now() + timeout)
        async with context.store.transaction() as transaction:
            result = await _settle(transaction, request_key, heard(outcome), context.now())
        _tell(request, result)


async def _record(
    transaction: StoreTransaction, request: Request, signed: Issued | Refused, now: datetime
) -> str | None:
    """Store what the authority said; the request's new state, or None when it stays as it is."""
    if not await certificates.still_ours(transaction, request):
        return None
    if isinstance(signed, Refused):
        again = again_at(now, request.created_at, request.attempts, request.request_key) if signed.again else None
        if again is None:
            return await _end(transaction, request, FAILED, signed.reason, now)
        await certificates.change(transaction, request.request_key, {"next_attempt_at": again, "detail": signed.reason})
        return None
    certificate = Certificate(
        serial=signed.serial,
        identity=request.identity,
        subject=signed.subject,
        not_before=signed.not_before,
        not_after=signed.not_after,
        pem=signed.pem,
    )
    await certificates.issue(transaction, certificate, now)
    values = {"state": SIGNED, "chain": signed.chain, "serial": signed.serial, "detail": ""}
    await certificates.change(transaction, request.request_key, values)
    return SIGNED


async def _settle(transaction: StoreTransaction, request_key: str, answer: Heard, now: datetime) -> str | None:
    """Store what the charge point said of its certificate; the request's new state, or None when it stays."""
    request = await certificates.find(transaction, request_key)
    if request is None or request.state != SIGNED or request.serial is None:
        return None  # superseded, or settled by another process
    said = f"{answer.status} {answer.detail}".strip()
    if answer.status == "Accepted":
        await certificates.install(transaction, request.identity, request.serial)
        return await _end(transaction, request, ACCEPTED, "", now)
    again = None
    if answer.ending is Ending.AGAIN:
        again = again_at(now, request.created_at, request.attempts, request_key)
        said = said if again else f"given up: {said}"
    if again is not None:
        await certificates.change(transaction, request_key, {"next_attempt_at": again, "detail": said[:500]})
        return None
    await certificates.refuse(transaction, request.serial)
    return await _end(transaction, request, REJECTED if answer.ending is Ending.ANSWERED else FAILED, said, now)


async def _end(transaction: StoreTransaction, request: Request, state: str, detail: str, now: datetime) -> str:
    values: dict[str, Any] = {"state": state, "detail": detail[:500], "next_attempt_at": None, "ended_at": now}
    await certificates.change(transaction, request.request_key, values)
    return state


def _tell(request: Request, state: str | None) -> None:
    """Count and log a new state; the store has it by now."""
    if state is not None:
        metrics.certificates_issued.labels(_RESULTS[state]).inc()
        _log.info("certificate.changed", identity=request.identity, state=state, attempt=request.attempts)
