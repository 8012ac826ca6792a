"""What a charge point must show to be let in: keys, security profile, certificate name, keys of its messages.

Whoever changes any of it takes the lock first: changes of one charge point come one after the other then, and the order
of its keys is the order in which they were given.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import bindparam, delete, select, update

from contracts.credentials import StoredKey
from contracts.envelope import AdmissionVerdict, MessagePolicy
from contracts.versions import Version
from workers.store.engine import StoreTransaction
from workers.store.plans import planned
from workers.store.security_tables import charge_point_keys, charge_point_security, message_keys
from workers.store.tables import charge_points
from workers.store.upserts import insert_new, upsert

_points, _security, _keys = charge_points.c, charge_point_security.c, charge_point_keys.c


class KeyState(StrEnum):
    """Where a key is."""

    CURRENT = "current"
    PENDING = "pending"
    """The charge point may have it, and has not come in with it yet."""
    RETIRED = "retired"


MOST_AT_ONCE = 500
REQUESTED = "requested"
UNDER_WAY_FOR = timedelta(minutes=10)
"""The command that brings a key has ended by then, or has never been sent."""
LIVE = (KeyState.CURRENT.value, KeyState.PENDING.value)

_RECORDS = (
    select(
        _points.identity,
        _points.vendor,
        _points.model,
        _security.profile,
        _security.target_profile,
        _security.certificate_name,
        _security.message_policy,
    )
    .select_from(charge_points.outerjoin(charge_point_security, _points.identity == _security.identity))
    .where(_points.identity.in_(bindparam("wanted", expanding=True)))
)
_LIVE_KEYS = (
    select(_keys.identity, _keys.digest, _keys.state)
    .where(_keys.identity.in_(bindparam("wanted", expanding=True)), _keys.state.in_(LIVE))
    .order_by(_keys.created_at)
)
_MESSAGE_KEYS = (
    select(message_keys)
    .where(message_keys.c.identity.in_(bindparam("wanted", expanding=True)))
    .order_by(message_keys.c.added_at, message_keys.c.thumbprint)
)
_KEYS_OF = (
    select(charge_point_keys).where(_keys.identity == bindparam("whose")).order_by(_keys.created_at, _keys.key_id)
)
_SECURITY_OF = select(charge_point_security).where(_security.identity == bindparam("whose"))
_KEYS_OF_MANY = planned(
    select(charge_point_keys)
    .where(_keys.identity.in_(bindparam("wanted", expanding=True)))
    .order_by(_keys.created_at, _keys.key_id)
)
_SECURITY_OF_MANY = planned(
    select(charge_point_security).where(_security.identity.in_(bindparam("wanted", expanding=True)))
)
_VERSIONS_OF_MANY = planned(
    select(_points.identity, _points.ocpp_version).where(_points.identity.in_(bindparam("wanted", expanding=True)))
)
_VERSION_OF = select(_points.ocpp_version).where(_points.identity == bindparam("whose"))


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key on record; `delivery` is `provisioned`, `requested`, or how the command ended that brought it."""

    key: StoredKey
    state: KeyState
    delivery: str
    detail: str
    created_at: datetime
    confirmed_at: datetime | None

    @property
    def live(self) -> bool:
        """Whether a charge point that shows it is let in."""
        return self.state is not KeyState.RETIRED

    def under_way(self, now: datetime) -> bool:
        """Whether a command may bring it to the charge point yet, whatever is entered there meanwhile."""
        return self.state is KeyState.PENDING and self.delivery == REQUESTED and self.created_at > now - UNDER_WAY_FOR


@dataclass(frozen=True, slots=True)
class Standing:
    """The rest of what is on record; nothing of it where nobody has asked for anything."""

    profile: int = 0
    target_profile: int | None = None
    target_delivery: str = ""
    certificate_name: str | None = None
    message_policy: MessagePolicy = MessagePolicy.OFF
    updated_at: datetime | None = None


async def verdicts(transaction: StoreTransaction, identities: Collection[str]) -> dict[str, AdmissionVerdict]:
    """What gateways are to know of each; three queries however many there are."""
    wanted = sorted(set(identities))
    found = {row.identity: row for row in await transaction.rows(_RECORDS, {"wanted": wanted})}
    keys: dict[str, list[str]] = {}
    if found:
        for row in await transaction.rows(_LIVE_KEYS, {"wanted": sorted(found)}):
            key = _stored(row.digest, row.state)
            keys.setdefault(row.identity, []).append(key.encode())
    signed = [who for who, row in found.items() if row.message_policy not in {None, MessagePolicy.OFF}]
    pems: dict[str, list[str]] = {}
    if signed:
        for row in await transaction.rows(_MESSAGE_KEYS, {"wanted": sorted(signed)}):
            pems.setdefault(row.identity, []).append(row.pem)
    return {who: _verdict(who, found.get(who), tuple(keys.get(who, ())), tuple(pems.get(who, ()))) for who in wanted}


def _verdict(identity: str, row: Any, keys: tuple[str, ...], pems: tuple[str, ...]) -> AdmissionVerdict:
    if row is None:
        return AdmissionVerdict(identity, known=False)
    return AdmissionVerdict(
        identity,
        known=True,
        profile=row.profile or 0,
        target_profile=row.target_profile,
        keys=keys,
        certificate_name=row.certificate_name or "",
        vendor=row.vendor or "",
        model=row.model or "",
        message_policy=row.message_policy or MessagePolicy.OFF,
        message_keys=pems,
    )


async def lock(transaction: StoreTransaction, identity: str, now: datetime) -> None:
    """Hold the charge point's record until the commit; there is one afterwards."""
    await lock_many(transaction, [identity], now)


async def lock_many(transaction: StoreTransaction, identities: Collection[str], now: datetime) -> None:
    """The same for many, in an order in which no two wait for each other."""
    rows = [{"identity": identity, "updated_at": now} for identity in sorted(identities)]
    if rows:
        await transaction.run(upsert(charge_point_security, transaction.dialect, ("identity",), ("updated_at",)), rows)


async def is_on_record(transaction: StoreTransaction, identity: str) -> bool:
    """Whether there is such a charge point."""
    return await transaction.first(_VERSION_OF, {"whose": identity}) is not None


async def version_of(transaction: StoreTransaction, identity: str) -> Version | None:
    """The OCPP version of its last boot; None while it has not booted."""
    row = await transaction.first(_VERSION_OF, {"whose": identity})
    return None if row is None else _version(row)


async def standing(transaction: StoreTransaction, identity: str) -> Standing:
    """Profile, target, names and policy."""
    row = await transaction.first(_SECURITY_OF, {"whose": identity})
    return Standing() if row is None else _standing(row)


@dataclass(frozen=True, slots=True)
class Known:
    """All that is on record of one charge point but its message keys."""

    standing: Standing
    keys: Sequence[KeyRow]
    version: Version | None


async def known_of(transaction: StoreTransaction, identities: Sequence[str]) -> dict[str, Known]:
    """What is on record of many, in few queries."""
    found: dict[str, Known] = {}
    for start in range(0, len(identities), MOST_AT_ONCE):
        wanted = {"wanted": list(identities[start : start + MOST_AT_ONCE])}
        standings = {row.identity: _standing(row) for row in await transaction.rows(_SECURITY_OF_MANY, wanted)}
        versions = {row.identity: _version(row) for row in await transaction.rows(_VERSIONS_OF_MANY, wanted)}
        keys: dict[str, list[KeyRow]] = {}
        for row in await transaction.rows(_KEYS_OF_MANY, wanted):
            keys.setdefault(row.identity, []).append(_row(row))
        for who in wanted["wanted"]:
            found[who] = Known(standings.get(who, Standing()), keys.get(who, ()), versions.get(who))
    return found


async def save_many(transaction: StoreTransaction, standings: Mapping[str, Standing], now: datetime) -> None:
    """Write the records of many as they are to be."""
    names = ("profile", "target_profile", "target_delivery", "certificate_name", "message_policy")
    rows = [
        {"identity": who, "updated_at": now, **{name: getattr(wanted, name) for name in names}}
        for who, wanted in sorted(standings.items())
    ]
    if rows:
        statement = upsert(charge_point_security, transaction.dialect, ("identity",), (*names, "updated_at"))
        await transaction.run(statement, rows)


async def save(transaction: StoreTransaction, identity: str, changes: Mapping[str, Any], now: datetime) -> None:
    """Change columns of the record."""
    change = update(charge_point_security).where(_security.identity == identity)
    await transaction.run(change.values(**changes, updated_at=now))


async def keys_of(transaction: StoreTransaction, identity: str) -> list[KeyRow]:
    """Every key it ever had, the oldest first."""
    return [_row(row) for row in await transaction.rows(_KEYS_OF, {"whose": identity})]


async def add_keys(
    transaction: StoreTransaction, identity: str, keys: Sequence[StoredKey], delivery: str, now: datetime
) -> None:
    """Put keys on record, in the state that they say, as the newest ones."""
    await add_many(transaction, [(identity, keys, await keys_of(transaction, identity))], delivery, now)


async def add_many(
    transaction: StoreTransaction,
    given: Sequence[tuple[str, Sequence[StoredKey], Sequence[KeyRow]]],
    delivery: str,
    now: datetime,
) -> None:
    """The same for many: identity, new keys, and all those that it has."""
    rows = [
        {
            "key_id": key.key_id,
            "identity": identity,
            "digest": key.encode(),
            "state": (KeyState.PENDING if key.pending else KeyState.CURRENT).value,
            "delivery": delivery,
            # Replicas' clocks differ, and the order of keys decides which of them a confirmed one retires.
            "created_at": max(now, known[-1].created_at + timedelta(microseconds=1)) if known else now,
        }
        for identity, keys, known in given
        for key in keys
    ]
    if rows:
        await transaction.run(charge_point_keys.insert(), rows)


async def change_state(
    transaction: StoreTransaction, key_ids: Collection[str], state: KeyState, *, confirmed_at: datetime | None = None
) -> None:
    """Make keys current, or retire them."""
    if key_ids:
        values = {"state": state.value} | ({} if confirmed_at is None else {"confirmed_at": confirmed_at})
        await transaction.run(update(charge_point_keys).where(_keys.key_id.in_(sorted(key_ids))).values(**values))


async def note_delivery(
    transaction: StoreTransaction, key_id: str, delivery: str, detail: str, *, retire: bool
) -> None:
    """Store how the command ended that brought a key; a pending one that was not taken is retired."""
    change = update(charge_point_keys).where(_keys.key_id == key_id)
    await transaction.run(change.values(delivery=delivery, detail=detail))
    if retire:
        # One that the charge point has come in with meanwhile is in force, whatever the command's end says.
        await transaction.run(change.where(_keys.state == KeyState.PENDING.value).values(state=KeyState.RETIRED.value))


async def message_keys_of(transaction: StoreTransaction, identity: str) -> dict[str, str]:
    """PEM by thumbprint, the oldest first."""
    return {row.thumbprint: row.pem for row in await transaction.rows(_MESSAGE_KEYS, {"wanted": [identity]})}


async def add_message_key(
    transaction: StoreTransaction, identity: str, thumbprint: str, pem: str, now: datetime
) -> None:
    """Take messages that verify with this one."""
    row = {"identity": identity, "thumbprint": thumbprint, "pem": pem, "added_at": now}
    await transaction.run(insert_new(message_keys, transaction.dialect), row)


async def remove_message_key(transaction: StoreTransaction, identity: str, thumbprint: str) -> None:
    """Take them no more."""
    where = (message_keys.c.identity == identity, message_keys.c.thumbprint == thumbprint)
    await transaction.run(delete(message_keys).where(*where))


def _version(row: Any) -> Version | None:
    return None if row.ocpp_version is None else Version(row.ocpp_version)


def _standing(row: Any) -> Standing:
    return Standing(
        row.profile,
        row.target_profile,
        row.target_delivery,
        row.certificate_name,
        MessagePolicy(row.message_policy),
        row.updated_at,
    )


def _row(row: Any) -> KeyRow:
    state = KeyState(row.state)
    return KeyRow(_stored(row.digest, state), state, row.delivery, row.detail, row.created_at, row.confirmed_at)


def _stored(digest: str, state: str) -> StoredKey:
    key = StoredKey.decode(digest)
    if key is None:  # written by hand
        return StoredKey("unreadable", pending=False, salt=b"", digest=b"")
    return replace(key, pending=state == KeyState.PENDING)
