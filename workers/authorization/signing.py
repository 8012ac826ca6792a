"""SignCertificate: the request is checked and kept, and answered at once; signing and delivery follow.

Security whitepaper A02; OCPP 2.x part 2, A02 and A03. Without an authority it is kept and refused.
"""

from dataclasses import replace
from datetime import timedelta

from contracts.versions import ErrorKind
from workers import metrics
from workers.authorization.authority import Authority
from workers.authorization.certificate_delivery import Delivering
from workers.authorization.certificate_lifecycle import CHARGING_STATION
from workers.authorization.certificate_renewal import renew_before_expiry
from workers.authorization.signing_request import Flaw, SubjectRules, read_request
from workers.runtime.calls import Answer, BackgroundWork, IncomingCall, Reply, refused
from workers.runtime.reading import read_int, read_text
from workers.settings import WorkerSettings
from workers.store import certificate_orders, certificates, registration
from workers.store.certificates import REJECTED, RENEW, REQUESTED, Request
from workers.store.engine import StoreTransaction
from workers.store.parking import digest, park

HEAD_START = timedelta(seconds=5)
"""The request's own process goes on at once, after its reply; whoever polls leaves it this time."""

ANSWERS_WITHIN = timedelta(hours=1)
"""A charge point that was asked to renew sends its request so soon."""

KEPT = timedelta(days=90)
"""How long requests that have ended, and certificates that have expired, stay on record."""

MOST_A_DAY = 50
"""Requests of one charge point that are looked at: a few are due in a year, and each leaves rows and a signature."""

OTHER_AUTHORITY = "other_authority"
"""A certificate for ISO 15118, which a V2G authority must sign."""


class Signing:
    """Answers SignCertificate in every version."""

    def __init__(self, settings: WorkerSettings, authority: Authority | None) -> None:
        self._organization = settings.certificate_organization
        self._authority = authority
        self._delivering = None if authority is None else Delivering(settings, authority)

    @property
    def background(self) -> tuple[BackgroundWork, ...]:
        """What goes on beside the Calls: nothing without an authority."""
        return () if self._delivering is None else (self._delivering.deliver_due, renew_before_expiry)

    async def sign_certificate(self, call: IncomingCall, store: StoreTransaction) -> Reply:
        """Accepted: the certificate follows; Rejected: there will be none, and the record says why."""
        csr, _ = read_text(call.payload.get("csr"))
        if csr is None:
            return refused(call, ErrorKind.OCCURRENCE, "csr is required")
        if not await _is_heard(call, store):
            return refused(call, ErrorKind.SECURITY, "registration is pending")
        if self._delivering is None:
            _park(call, csr, store)
            return Answer({"status": "Rejected"})
        request = _request_in(call, csr)
        known = await certificates.find(store, request.request_key)
        if known is not None and (known.open or _heard_before(call, known)):
            return await self._repeated(call, known, request, store)
        await certificates.forget(store, call.identity, call.handled_at - KEPT)
        if await certificates.count_since(store, call.identity, call.handled_at - timedelta(days=1)) >= MOST_A_DAY:
            metrics.certificates_issued.labels("request_refused").inc()
            return Answer({"status": "Rejected"})
        flaw = await self._flaw(request, store)
        if flaw is not None:
            await certificates.put(store, _refused(request, flaw))
            metrics.certificates_issued.labels("request_refused").inc()
            return Answer({"status": "Rejected"})
        await certificates.put(store, request)
        superseded = await certificates.supersede(store, request, call.handled_at)
        metrics.certificates_issued.labels("superseded").inc(superseded)
        self._deliver_after_commit(request, store)
        return Answer({"status": "Accepted"})

    async def _flaw(self, request: Request, store: StoreTransaction) -> str | None:
        if request.certificate_type != CHARGING_STATION:
            return OTHER_AUTHORITY
        name = await certificates.certificate_name(store, request.identity)
        if name is None and await certificates.is_anothers_name(store, request.identity):
            return Flaw.OTHER_NAME.value  # or whoever comes by another's serial number as identity could be that one
        found = read_request(request.csr, SubjectRules(name or request.identity, self._organization))
        return found.value if isinstance(found, Flaw) else None

    async def _repeated(self, call: IncomingCall, known: Request, request: Request, store: StoreTransaction) -> Reply:
        """The same again, because our answer or the certificate was lost on the way."""
        if not known.open:
            return Answer({"status": "Rejected" if known.state == REJECTED and not known.serial else "Accepted"})
        if not _same_frame(call, known):
            due = {"next_attempt_at": request.next_attempt_at, "ocpp_request_id": request.ocpp_request_id}
            await certificates.change(store, known.request_key, due)
            self._deliver_after_commit(request, store)
        return Answer({"status": "Accepted"})

    def _deliver_after_commit(self, request: Request, store: StoreTransaction) -> None:
        delivering, due_by = self._delivering, request.next_attempt_at
        if delivering is not None and due_by is not None:
            store.after_commit(lambda context: delivering.deliver(context, request.request_key, due_by))


async def _is_heard(call: IncomingCall, store: StoreTransaction) -> bool:
    """Whether it is not pending, or answers our request to renew (A00.FR.429, B02.FR.09)."""
    standing = (await registration.standings(store, [call.identity])).get(call.identity)
    since = call.handled_at - ANSWERS_WITHIN
    return standing != "pending" or await certificate_orders.is_asked(store, call.identity, RENEW, since)


def _request_in(call: IncomingCall, csr: str) -> Request:
    certificate_type = CHARGING_STATION
    if call.version.is_2x:
        certificate_type = read_text(call.payload.get("certificateType"))[0] or CHARGING_STATION
    request_id, _ = read_int(call.payload.get("requestId"), low=-(2**31), high=2**31 - 1)
    return Request(
        request_key=digest(call.identity, csr),
        identity=call.identity,
        ocpp_version=call.version.value,
        certificate_type=certificate_type,
        ocpp_request_id=request_id,
        csr=csr,
        state=REQUESTED,
        detail="",
        chain=None,
        serial=None,
        attempts=0,
        created_at=call.received_at,
        next_attempt_at=call.handled_at + HEAD_START,
        ended_at=None,
    )


def _refused(request: Request, flaw: str) -> Request:
    ended_at = request.created_at
    return replace(
        request, csr=request.csr[:10_000], state=REJECTED, detail=flaw, next_attempt_at=None, ended_at=ended_at
    )


def _same_frame(call: IncomingCall, known: Request) -> bool:
    return call.received_at == known.created_at


def _heard_before(call: IncomingCall, known: Request) -> bool:
    """Whether it is a redelivery of what has ended since: a charge point that asks later wants a new certificate."""
    return known.ended_at is not None and call.received_at <= known.ended_at


def _park(call: IncomingCall, csr: str, store: StoreTransaction) -> None:
    park(
        store,
        identity=call.identity,
        ocpp_version=call.version.value,
        action=call.action,
        reason="no_certificate_authority",
        payload=call.payload,
        received_at=call.received_at,
        park_key=f"no_certificate_authority {digest(csr)}",
    )
