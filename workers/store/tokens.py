"""Tokens (idTag, idToken): what is on record, and the one decision that authorization and metering share."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Integer, String, and_, bindparam, case, exists, false, func, not_, or_, select, true

from workers.store.engine import StoreTransaction
from workers.store.plans import planned
from workers.store.tables import authorizations, tokens, transactions
from workers.store.upserts import insert_new

_CONNECTOR = bindparam("connector", type_=Integer)
_EVSE = bindparam("evse", type_=Integer)
_REFERENCE = bindparam("reference", type_=String)
_SAME_PLACE = case(
    (
        or_(_EVSE.is_not(None), _REFERENCE.is_not(None)),
        or_(
            transactions.c.evse_id.is_not_distinct_from(_EVSE),
            func.coalesce(transactions.c.reference == _REFERENCE, false()),
        ),
    ),
    (_CONNECTOR.is_not(None), func.coalesce(transactions.c.connector_id == _CONNECTOR, true())),
    else_=true(),
)
_ELSEWHERE = (
    exists()
    .where(
        transactions.c.token_key == tokens.c.token_key,
        transactions.c.state == "active",
        # One that was refused holds nothing: else the rightful session could not even be stopped with its own token.
        transactions.c.token_status.is_distinct_from("ConcurrentTx"),
        not_(and_(transactions.c.identity == bindparam("here"), _SAME_PLACE)),
    )
    .label("busy")
)
_FIND = planned(select(tokens, _ELSEWHERE).where(tokens.c.token_key == bindparam("wanted")))
_CLAIM = (
    select(tokens.c.token_key)
    .where(tokens.c.token_key == bindparam("wanted"), not_(tokens.c.concurrent))
    .with_for_update(key_share=True)
)
LONGEST_KEY = 255
"""In characters; an index entry of PostgreSQL holds some 2,700 bytes."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token on record. `status` is what the operator set: Accepted, Blocked or Invalid."""

    id_token: str
    status: str
    expires_at: datetime | None = None
    group_token: str | None = None
    concurrent: bool = False


@dataclass(frozen=True, slots=True)
class TokenVerdict:
    """What a charge point is told of a token; `status` is spelled alike in all OCPP versions."""

    status: str
    expires_at: datetime | None = None
    group_token: str | None = None

    @property
    def accepted(self) -> bool:
        return self.status == "Accepted"


def token_key(id_token: str) -> str:
    """Tokens are the same whatever their letter case (OCPP 1.6 7.28, errata 3.74)."""
    key = id_token.strip().casefold()
    return key if len(key) <= LONGEST_KEY else hashlib.blake2b(key.encode("utf-8", "replace")).hexdigest()


def decide(token: Token | None, now: datetime, *, busy_elsewhere: bool, accept_unknown: bool) -> TokenVerdict:
    """Whether a token may charge now: blocked before expired before busy."""
    if token is None:
        return TokenVerdict("Accepted" if accept_unknown else "Invalid")
    status = token.status
    if status == "Accepted" and token.expires_at is not None and token.expires_at <= now:
        status = "Expired"
    if status == "Accepted" and busy_elsewhere and not token.concurrent:
        status = "ConcurrentTx"
    return TokenVerdict(status, token.expires_at, token.group_token)


async def judge(
    transaction: StoreTransaction,
    id_token: str,
    now: datetime,
    *,
    accept_unknown: bool,
    identity: str,
    connector_id: int | None = None,
    evse_id: int | None = None,
    reference: str | None = None,
    stopping: bool = False,
    starting: bool = False,
) -> TokenVerdict:
    """Look the token up and decide.

    It counts as busy while it has an active transaction anywhere but here. Here is the connector (1.6), or the EVSE and
    the transaction with that `reference` (2.x); with none of them given it is the whole charge point, for an Authorize
    may be meant to stop. A token that is stopping something is never busy. One that is `starting` is locked until the
    commit: of two starts at the same time the second one must see the first.
    """
    wanted = token_key(id_token)
    if starting and transaction.dialect != "sqlite":  # which has one writer anyway
        await transaction.first(_CLAIM, {"wanted": wanted})
    parameters = {
        "wanted": wanted,
        "here": identity,
        "connector": connector_id,
        "evse": evse_id,
        "reference": reference,
    }
    row = await transaction.first(_FIND, parameters)
    if row is None:
        return decide(None, now, busy_elsewhere=False, accept_unknown=accept_unknown)
    token = Token(row.id_token, row.status, row.expires_at, row.group_token, row.concurrent)
    return decide(token, now, busy_elsewhere=row.busy and not stopping, accept_unknown=accept_unknown)


def record_authorization(
    transaction: StoreTransaction, delivery_key: str, identity: str, id_token: str, verdict: TokenVerdict, now: datetime
) -> None:
    """Keep an Authorize and its verdict; a redelivery is kept once."""
    transaction.append(
        insert_new(authorizations, transaction.dialect),
        {
            "delivery_key": delivery_key,
            "identity": identity,
            "id_token": id_token,
            "status": verdict.status,
            "decided_at": now,
        },
    )
