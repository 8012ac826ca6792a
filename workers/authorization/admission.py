"""What gateways ask and tell about who wants in: queries in batches, and what a charge point has come in with."""

from collections.abc import Sequence
from datetime import UTC, datetime

from contracts.broker import Delivery
from contracts.envelope import AdmissionNotice, AdmissionQuery, AdmissionVerdict, Envelope
from contracts.errors import EnvelopeError
from contracts.events import CredentialChanged
from workers.authorization.credential_rules import outdated_by
from workers.runtime.admission_news import tell_after_commit
from workers.store import credentials, outbox
from workers.store.credentials import KeyState
from workers.store.engine import StoreTransaction

TOGETHER = 200
"""Deliveries in one transaction: a fleet that comes back at once is looked up in few queries."""


async def admission(
    deliveries: Sequence[Delivery], now: datetime, transaction: StoreTransaction
) -> list[Envelope | None]:
    """Answer AdmissionQueries from the store, after the AdmissionNotices among them; raises EnvelopeError."""
    queries: list[AdmissionQuery | None] = []
    for delivery in deliveries:
        asked = read(delivery.body)
        queries.append(asked if isinstance(asked, AdmissionQuery) else None)
        if isinstance(asked, AdmissionNotice):
            await take_notice(asked, now, transaction)
    identities = {query.identity for query in queries if query is not None}
    verdicts: dict[str, AdmissionVerdict] = {}
    if identities:
        verdicts = await credentials.verdicts(transaction, identities)
    return [None if query is None else verdicts[query.identity] for query in queries]


def read(body: bytes) -> AdmissionQuery | AdmissionNotice:
    """What a body of the queue is; raises EnvelopeError when it is neither."""
    try:
        return AdmissionQuery.decode(body)
    except EnvelopeError:
        return AdmissionNotice.decode(body)


async def take_notice(notice: AdmissionNotice, now: datetime, transaction: StoreTransaction) -> None:
    """Put in force what the charge point has come in with. The same notice again changes nothing.

    A key that is not on record of it, or is retired, says nothing, nor does its profile then.
    """
    identity = notice.identity
    if not await credentials.is_on_record(transaction, identity):
        return
    await credentials.lock(transaction, identity, now)
    changes: list[CredentialChanged] = []
    if notice.key_id is not None:
        keys = await credentials.keys_of(transaction, identity)
        used = next((row for row in keys if row.live and row.key.key_id == notice.key_id), None)
        if used is None:
            return
        outdated = outdated_by(used, keys)
        await credentials.change_state(transaction, outdated, KeyState.RETIRED)
        if used.state is KeyState.PENDING:
            at = _moment(notice.at_ms, now)
            await credentials.change_state(transaction, [notice.key_id], KeyState.CURRENT, confirmed_at=at)
        if outdated or used.state is KeyState.PENDING:
            changes.append(CredentialChanged(what="key", cause="confirmed", key_id=notice.key_id))
    known = await credentials.standing(transaction, identity)
    target = known.target_profile
    if target is not None and notice.profile >= target:
        profile = max(known.profile, target)
        await credentials.save(transaction, identity, {"profile": profile, "target_profile": None}, now)
        changes.append(CredentialChanged(what="profile", cause="confirmed", profile=profile))
    for change in changes:
        outbox.emit(transaction, identity, change, occurred_at=now, now=now)
    if changes:
        tell_after_commit(transaction, identity)


def _moment(at_ms: int, now: datetime) -> datetime:
    try:
        return min(datetime.fromtimestamp(at_ms / 1000, UTC), now)
    except (ValueError, OverflowError, OSError):
        return now
