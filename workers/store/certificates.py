"""Certificates of charge points: the requests for them, and what was issued."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, exists, func, select, update

from workers.store.engine import StoreTransaction
from workers.store.security_tables import certificate_orders, certificate_requests, charge_point_security
from workers.store.security_tables import issued_certificates as _i
from workers.store.tables import presence
from workers.store.upserts import insert_new

_r = certificate_requests
REQUESTED, SIGNED, ACCEPTED, REJECTED, FAILED, SUPERSEDED = (
    *("requested", "signed", "accepted", "rejected", "failed", "superseded"),
)
"""States of a request: the first two are open."""

ISSUED, INSTALLED, REPLACED, REFUSED = "issued", "installed", "replaced", "refused"
"""States of a certificate."""

RENEW = "renew"
"""The kind of order that has a charge point ask for its next certificate."""


@dataclass(frozen=True, slots=True)
class Request:
    """A charge point's request for a certificate, as stored."""

    request_key: str
    identity: str
    ocpp_version: str
    certificate_type: str
    ocpp_request_id: int | None
    csr: str
    state: str
    detail: str
    chain: str | None
    serial: str | None
    attempts: int
    created_at: datetime
    next_attempt_at: datetime | None
    ended_at: datetime | None

    @property
    def open(self) -> bool:
        return self.state in {REQUESTED, SIGNED}


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that was issued."""

    serial: str
    identity: str
    subject: str
    not_before: datetime
    not_after: datetime
    pem: str


_COLUMNS = tuple(field.name for field in fields(Request))


async def certificate_name(transaction: StoreTransaction, identity: str) -> str | None:
    """The name on record that the charge point's certificate must have; None: the identity."""
    table = charge_point_security
    row = await transaction.first(select(table.c.certificate_name).where(table.c.identity == identity))
    return None if row is None else row.certificate_name or None


async def is_anothers_name(transaction: StoreTransaction, identity: str) -> bool:
    """Whether another charge point's record has this identity, letter case ignored, as the name of its certificate."""
    table = charge_point_security.c
    theirs = select(table.identity).where(
        table.certificate_name.is_not(None),  # few have one, and those are indexed
        func.lower(table.certificate_name) == identity.lower(),
        table.identity != identity,
    )
    return await transaction.first(theirs.limit(1)) is not None


async def count_since(transaction: StoreTransaction, identity: str, since: datetime) -> int:
    """How many requests of the charge point are on record since then, or how many certificates, if those are more."""
    asked = select(func.count().label("n")).where(_r.c.identity == identity, _r.c.created_at > since)
    signed = select(func.count().label("n")).where(_i.c.identity == identity, _i.c.issued_at > since)
    rows = [await transaction.first(query) for query in (asked, signed)]
    return max(0 if row is None else int(row.n) for row in rows)


async def find(transaction: StoreTransaction, request_key: str) -> Request | None:
    """That request; locked until the commit."""
    row = await transaction.first(select(_r).where(_r.c.request_key == request_key).with_for_update())
    return None if row is None else _request(row)


async def put(transaction: StoreTransaction, request: Request) -> None:
    """Store a request, or start one over."""
    row = {name: getattr(request, name) for name in _COLUMNS}
    if not await transaction.run(insert_new(_r, transaction.dialect), row):
        await change(transaction, request.request_key, row)


async def change(transaction: StoreTransaction, request_key: str, values: Mapping[str, Any]) -> None:
    """Set columns of a request."""
    await transaction.run(update(_r).where(_r.c.request_key == request_key).values(**values))


async def supersede(transaction: StoreTransaction, newer: Request, now: datetime) -> int:
    """End the open requests of the same kind that this one takes the place of; how many there were."""
    older = (
        (_r.c.identity == newer.identity)
        & (_r.c.certificate_type == newer.certificate_type)
        & (_r.c.request_key != newer.request_key)
        & _r.c.next_attempt_at.is_not(None)
    )
    serials = [row.serial for row in await transaction.rows(select(_r.c.serial).where(older)) if row.serial]
    if serials:  # the charge point may have it or not; it has given it up
        unclear = update(_i).where(_i.c.serial.in_(serials), _i.c.state == ISSUED)
        await transaction.run(unclear.values(state=REPLACED))
    ended = update(_r).where(older).values(state=SUPERSEDED, next_attempt_at=None, ended_at=now)
    return await transaction.run(ended)


async def due(transaction: StoreTransaction, now: datetime, limit: int) -> Sequence[str]:
    """Requests that something is to be done about, the longest waiting first."""
    query = select(_r.c.request_key).where(_r.c.next_attempt_at <= now).order_by(_r.c.next_attempt_at).limit(limit)
    return [row.request_key for row in await transaction.rows(query)]


async def claim(
    transaction: StoreTransaction, request_key: str, due_by: datetime, *, until: datetime
) -> Request | None:
    """That request if it is due, and nobody else's `until` then; else None."""
    query = select(_r).where(_r.c.request_key == request_key, _r.c.next_attempt_at <= due_by)
    row = await transaction.first(query.with_for_update(skip_locked=True))
    if row is None:
        return None
    await change(transaction, request_key, {"attempts": row.attempts + 1, "next_attempt_at": until})
    return _request(row, attempts=row.attempts + 1, next_attempt_at=until)


async def still_ours(transaction: StoreTransaction, claimed: Request) -> bool:
    """Whether nobody has taken the request over, started it anew or superseded it since it was claimed."""
    now = await find(transaction, claimed.request_key)
    return now is not None and now.open and (now.attempts, now.created_at) == (claimed.attempts, claimed.created_at)


async def issue(transaction: StoreTransaction, certificate: Certificate, now: datetime) -> None:
    """Record a certificate before it leaves the house."""
    row = {field.name: getattr(certificate, field.name) for field in fields(certificate)}
    await transaction.run(_i.insert(), {**row, "state": ISSUED, "issued_at": now})


async def install(transaction: StoreTransaction, identity: str, serial: str) -> None:
    """The charge point has taken this certificate, and uses it instead of those before it."""
    before = update(_i).where(_i.c.identity == identity, _i.c.serial != serial, _i.c.state == INSTALLED)
    await transaction.run(before.values(state=REPLACED))
    await transaction.run(update(_i).where(_i.c.serial == serial).values(state=INSTALLED))


async def refuse(transaction: StoreTransaction, serial: str) -> None:
    """The charge point does not want this certificate."""
    await transaction.run(update(_i).where(_i.c.serial == serial, _i.c.state == ISSUED).values(state=REFUSED))


async def expiring(
    transaction: StoreTransaction, until: datetime, asked_before: datetime, limit: int
) -> Sequence[tuple[str, str]]:
    """Serial and identity of installed certificates that expire by then, of connected charge points.

    Not of those that were asked or served since, or that are asking already.
    """
    connected = exists().where(presence.c.identity == _i.c.identity, presence.c.closed_at.is_(None))
    asking = exists().where(_r.c.identity == _i.c.identity, _r.c.next_attempt_at.is_not(None))
    o = certificate_orders
    told = exists().where(o.c.identity == _i.c.identity, o.c.kind == RENEW, o.c.next_attempt_at.is_not(None))
    query = (
        select(_i.c.serial, _i.c.identity)
        .where(
            _i.c.state == INSTALLED,
            _i.c.not_after <= until,
            _i.c.issued_at <= asked_before,  # where the authority itself expires soon, so does each new one
            _i.c.renewal_asked_at.is_(None) | (_i.c.renewal_asked_at <= asked_before),
            connected,
            ~asking,
            ~told,
        )
        .order_by(_i.c.not_after)
        .limit(limit)
    )
    return [(row.serial, row.identity) for row in await transaction.rows(query)]


async def note_renewal(transaction: StoreTransaction, serial: str, asked_before: datetime, now: datetime) -> bool:
    """Note that a renewal is asked for; False when somebody else has noted it since."""
    mine = update(_i).where(
        _i.c.serial == serial, _i.c.renewal_asked_at.is_(None) | (_i.c.renewal_asked_at <= asked_before)
    )
    return bool(await transaction.run(mine.values(renewal_asked_at=now)))


async def count_expiring(transaction: StoreTransaction, until: datetime) -> int:
    """How many installed certificates expire by then, or have."""
    row = await transaction.first(
        select(func.count().label("n")).where(_i.c.state == INSTALLED, _i.c.not_after <= until)
    )
    return 0 if row is None else int(row.n)


async def requests_of(transaction: StoreTransaction, identity: str, limit: int) -> Sequence[Row[Any]]:
    """The newest requests of a charge point."""
    query = select(_r).where(_r.c.identity == identity).order_by(_r.c.created_at.desc(), _r.c.request_key)
    return await transaction.rows(query.limit(limit))


async def issued_to(transaction: StoreTransaction, identity: str, limit: int) -> Sequence[Row[Any]]:
    """The newest certificates of a charge point."""
    query = select(_i).where(_i.c.identity == identity).order_by(_i.c.issued_at.desc(), _i.c.serial)
    return await transaction.rows(query.limit(limit))


async def forget(transaction: StoreTransaction, identity: str, before: datetime) -> None:
    """Forget the charge point's requests that ended before then, and certificates that were not valid any more."""
    await transaction.run(delete(_r).where(_r.c.identity == identity, _r.c.ended_at < before))
    stale = (_i.c.identity == identity) & (_i.c.not_after < before) & (_i.c.state != INSTALLED)
    await transaction.run(delete(_i).where(stale))


def _request(row: Row[Any], **changed: Any) -> Request:
    return Request(**{**{name: getattr(row, name) for name in _COLUMNS}, **changed})
