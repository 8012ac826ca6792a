"""Operators' requests about credentials; see docs/backend.md. No answer holds a hash, one alone holds a password."""

from datetime import datetime, timedelta
from typing import Any

from pydantic import SecretStr

from contracts.credentials import StoredKey, generate, problem_of
from contracts.envelope import MessagePolicy
from contracts.events import CredentialChanged
from contracts.operator import Operation
from contracts.versions import Version
from workers.authorization import security_arguments as arguments
from workers.authorization.credential_rules import (
    MOST_PENDING,
    profile_problem,
    waiting,
)
from workers.authorization.rotation import bring_key, bring_profile
from workers.runtime.admission_news import tell_after_commit
from workers.runtime.context import ServiceContext
from workers.runtime.operator_answering import Item, Operate, plain
from workers.runtime.operator_reading import Arguments
from workers.store import credentials, outbox
from workers.store.credentials import KeyRow, KeyState
from workers.store.engine import StoreTransaction
from workers.store.key_material import thumbprint_of
from workers.store.passwords import is_in_force, stored_forms, wire_forms

MOST_RETIRED_SHOWN = 5
REPEATED_WITHIN = timedelta(seconds=60)
"""A rotation whose end is not known yet is the one that is asked for again, not a second one, for so long."""

NEVER_BOOTED = "it has never booted, and its OCPP version is not known"


async def show(given: arguments.OneIdentity, _now: datetime, transaction: StoreTransaction) -> list[Item] | str | None:
    """What is on record, without hashes."""
    if not await credentials.is_on_record(transaction, given.identity):
        return None
    known = await credentials.standing(transaction, given.identity)
    keys = await credentials.keys_of(transaction, given.identity)
    live, retired = [row for row in keys if row.live], [row for row in keys if not row.live]
    return [
        {
            "identity": given.identity,
            "profile": known.profile,
            "target_profile": known.target_profile,
            "target_delivery": known.target_delivery or None,
            "certificate_name": known.certificate_name,
            "message_policy": known.message_policy.value,
            "message_keys": list(await credentials.message_keys_of(transaction, given.identity)),
            "keys": [_key_item(row) for row in (*live, *retired[-MOST_RETIRED_SHOWN:])],
            "updated_at": known.updated_at,
        }
    ]


def _key_item(row: KeyRow) -> Item:
    return plain(
        {
            "key_id": row.key.key_id,
            "state": row.state.value,
            "delivery": row.delivery,
            "detail": row.detail,
            "created_at": row.created_at,
            "confirmed_at": row.confirmed_at,
        }
    )


async def set_security(
    given: arguments.SecuritySettings, now: datetime, transaction: StoreTransaction
) -> list[Item] | str | None:
    """Change what is given; here alone a profile is lowered."""
    identity = given.identity
    if not await credentials.is_on_record(transaction, identity):
        return None
    thumbprints = {pem: thumbprint_of(pem) for pem in given.add_message_keys}
    if None in thumbprints.values():
        return "add_message_keys: each is a certificate or a public key, as PEM"
    added = {thumbprint: pem for pem, thumbprint in thumbprints.items() if thumbprint is not None}
    await credentials.lock(transaction, identity, now)
    present = (await credentials.message_keys_of(transaction, identity)).keys() - set(given.remove_message_keys)
    if len(present | added.keys()) > arguments.MOST_MESSAGE_KEYS:
        return f"a charge point may have {arguments.MOST_MESSAGE_KEYS} message keys: remove some first"
    known = await credentials.standing(transaction, identity)
    changes: dict[str, Any] = {}
    if given.profile is not None:
        changes |= {"profile": given.profile, "target_profile": None, "target_delivery": ""}
        if given.profile != known.profile:
            _tell(transaction, identity, CredentialChanged(what="profile", cause="set", profile=given.profile), now)
    if given.certificate_name is not None:
        changes["certificate_name"] = given.certificate_name or None
    if given.message_policy is not None:
        changes["message_policy"] = MessagePolicy(given.message_policy).value
    if changes:
        await credentials.save(transaction, identity, changes, now)
    for thumbprint in given.remove_message_keys:
        await credentials.remove_message_key(transaction, identity, thumbprint)
    for thumbprint, pem in added.items():
        await credentials.add_message_key(transaction, identity, thumbprint, pem, now)
    tell_after_commit(transaction, identity)
    return await show(arguments.OneIdentity(identity=identity), now, transaction)


async def set_key(given: arguments.NewKey, now: datetime, transaction: StoreTransaction) -> list[Item] | str | None:
    """Put a password in force at once, without telling the charge point: for setting one up by hand."""
    identity = given.identity
    if given.password is not None:
        problem = problem_of(given.password.get_secret_value())
        if problem is not None:
            return problem
    if not await credentials.is_on_record(transaction, identity):
        return None
    await credentials.lock(transaction, identity, now)
    version = await credentials.version_of(transaction, identity)
    keys = await credentials.keys_of(transaction, identity)
    password = given.password
    if password is None:
        # Whose version is not known may be a 1.6 one, and those take hexadecimal keys only.
        password = SecretStr(generate(hexadecimal=version is None or not version.is_2x))
    plain_text = password.get_secret_value()
    if not is_in_force(plain_text, version, keys) or waiting([row for row in keys if not row.under_way(now)]):
        await put_in_force(transaction, identity, plain_text, version, now)
    items = await show(arguments.OneIdentity(identity=identity), now, transaction)
    if given.password is None and isinstance(items, list):
        items[0]["password"] = plain_text
    return items


async def put_in_force(
    transaction: StoreTransaction, identity: str, password: str, version: Version | None, now: datetime
) -> None:
    """Make a password the current one and retire all others but a key under way; the caller holds the lock."""
    keys = await credentials.keys_of(transaction, identity)
    outdated = [row.key.key_id for row in keys if row.live and not row.under_way(now)]
    await credentials.change_state(transaction, outdated, KeyState.RETIRED)
    forms = stored_forms(password, version)
    await credentials.add_keys(transaction, identity, forms, "provisioned", now)
    _tell(transaction, identity, CredentialChanged(what="key", cause="set", key_id=forms[0].key_id), now)
    tell_after_commit(transaction, identity)


async def rotate_key(
    given: arguments.OneIdentity, now: datetime, transaction: StoreTransaction
) -> list[Item] | str | None:
    """Give the charge point a new password: on record as pending now, sent once that is committed."""
    identity = given.identity
    if not await credentials.is_on_record(transaction, identity):
        return None
    await credentials.lock(transaction, identity, now)
    version = await credentials.version_of(transaction, identity)
    if version is None:
        return f"{NEVER_BOOTED}: set-key, and enter the password there by hand"
    keys = await credentials.keys_of(transaction, identity)
    if not any(
        row.live and row.delivery == credentials.REQUESTED and row.created_at > now - REPEATED_WITHIN for row in keys
    ):
        if waiting(keys) >= MOST_PENDING:
            return f"{MOST_PENDING} rotations have not been heard of again: let it reconnect, or set-key"
        password = SecretStr(generate(hexadecimal=not version.is_2x))
        key = StoredKey.of(wire_forms(password.get_secret_value(), version)[0], pending=True)
        await credentials.add_keys(transaction, identity, [key], credentials.REQUESTED, now)

        async def bring(context: ServiceContext) -> None:
            await bring_key(context, identity, version, key.key_id, password)

        transaction.after_commit(bring)
    return await show(given, now, transaction)


async def raise_profile(
    given: arguments.TargetProfile, now: datetime, transaction: StoreTransaction
) -> list[Item] | str | None:
    """Ask for a higher profile: it is in force once the charge point comes with it."""
    identity, profile = given.identity, given.profile
    if not await credentials.is_on_record(transaction, identity):
        return None
    await credentials.lock(transaction, identity, now)
    known = await credentials.standing(transaction, identity)
    problem = profile_problem(profile, known.profile, await credentials.keys_of(transaction, identity))
    if problem is not None:
        return problem
    version = await credentials.version_of(transaction, identity)
    if given.send and version is None:
        return f"{NEVER_BOOTED}: send=false, and set the profile there by hand"
    delivery = "requested" if given.send else ""
    await credentials.save(transaction, identity, {"target_profile": profile, "target_delivery": delivery}, now)
    if not given.send or version is None:
        tell_after_commit(transaction, identity)
    else:
        known_version = version

        async def bring(context: ServiceContext) -> None:
            await bring_profile(context, identity, known_version, profile)

        transaction.after_commit(bring)
    return await show(arguments.OneIdentity(identity=identity), now, transaction)


def _tell(transaction: StoreTransaction, identity: str, change: CredentialChanged, now: datetime) -> None:
    outbox.emit(transaction, identity, change, occurred_at=now, now=now)


OPERATIONS: dict[Operation, tuple[type[Arguments], Operate]] = {
    Operation.SECURITY: (arguments.OneIdentity, show),
    Operation.SET_SECURITY: (arguments.SecuritySettings, set_security),
    Operation.SET_KEY: (arguments.NewKey, set_key),
    Operation.ROTATE_KEY: (arguments.OneIdentity, rotate_key),
    Operation.RAISE_PROFILE: (arguments.TargetProfile, raise_profile),
}
UNREPEATED = frozenset({Operation.SET_KEY})
"""A password that is set twice may undo a later one, and one that is generated twice is not the one that was shown."""

CHANGES = frozenset({Operation.SET_SECURITY, Operation.SET_KEY, Operation.ROTATE_KEY, Operation.RAISE_PROFILE})
