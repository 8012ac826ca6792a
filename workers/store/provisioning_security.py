"""What a provisioning file says of passwords and profiles: it sets charge points up, and takes nothing back.

A file is put on record again and again. A password that is or was on record changes nothing, as it may have been
rotated since, and a profile is never lowered by a file.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from contracts.credentials import StoredKey, problem_of
from contracts.envelope import MOST_PROFILE, MessagePolicy
from workers.store import credentials
from workers.store.credentials import KeyRow, KeyState, Standing
from workers.store.engine import StoreTransaction
from workers.store.key_material import thumbprint_of
from workers.store.passwords import stored_forms, was_given

_MOST_MESSAGE_KEYS = 16


class Entry(Protocol):
    """One table of the file; a key that is taken is known."""

    def take(self, key: str) -> Any: ...
    def problem(self, text: str) -> None: ...
    def optional_text(self, key: str) -> str | None: ...


@dataclass(frozen=True, slots=True)
class SecurityPlan:
    """What is asked for of one charge point; None where nothing is."""

    identity: str
    profile: int | None
    password: str | None = field(repr=False)
    certificate_name: str | None
    message_policy: str | None
    message_keys: dict[str, str]
    """PEM by thumbprint."""


def read_security(entry: Entry, identity: str) -> SecurityPlan | None:
    """The entry's part of it; None when it says nothing. Problems never repeat a value."""
    profile = entry.take("security_profile")
    if profile is not None and (type(profile) is not int or not 0 <= profile <= MOST_PROFILE):
        entry.problem(f"security_profile must be a number from 0 to {MOST_PROFILE}")
        profile = None
    password = entry.take("password")
    if password is not None:
        problem = problem_of(password) if isinstance(password, str) else "password must be a text"
        if problem is not None:
            entry.problem(problem)
    name = entry.optional_text("certificate_name")
    policy = entry.take("message_policy")
    if policy is not None and policy not in list(MessagePolicy):
        entry.problem(f"message_policy must be one of {', '.join(MessagePolicy)}")
    keys = _message_keys(entry)
    if (profile, password, name, policy, keys) == (None, None, None, None, {}):
        return None
    return SecurityPlan(identity, profile, password, name, policy, keys)


def _message_keys(entry: Entry) -> dict[str, str]:
    pems = entry.take("message_keys")
    if pems is None:
        return {}
    if not isinstance(pems, list) or len(pems) > _MOST_MESSAGE_KEYS or not all(isinstance(pem, str) for pem in pems):
        entry.problem(f"message_keys must be a list of at most {_MOST_MESSAGE_KEYS} texts")
        return {}
    keys = {thumbprint_of(pem): pem for pem in pems}
    if None in keys:
        entry.problem("message_keys: each is a certificate or a public key, as PEM")
    return {thumbprint: pem for thumbprint, pem in keys.items() if thumbprint is not None}


async def apply_security(transaction: StoreTransaction, plans: Sequence[SecurityPlan], now: datetime) -> None:
    """Put it on record; see above for what stays as it is. No identity may be in it twice."""
    identities = sorted(plan.identity for plan in plans)
    await credentials.lock_many(transaction, identities, now)
    found = await credentials.known_of(transaction, identities)
    standings: dict[str, Standing] = {}
    keys: list[tuple[str, Sequence[StoredKey], Sequence[KeyRow]]] = []
    outdated: list[str] = []
    for plan in plans:
        known = found[plan.identity]
        wanted = _wanted(plan, known.standing)
        if wanted != known.standing:
            standings[plan.identity] = wanted
        if plan.password is not None and not was_given(plan.password, known.keys):
            keys.append((plan.identity, stored_forms(plan.password, known.version), known.keys))
            outdated += [row.key.key_id for row in known.keys if row.live and not row.under_way(now)]
        for thumbprint, pem in plan.message_keys.items():
            await credentials.add_message_key(transaction, plan.identity, thumbprint, pem, now)
    await credentials.save_many(transaction, standings, now)
    for start in range(0, len(outdated), credentials.MOST_AT_ONCE):
        some = outdated[start : start + credentials.MOST_AT_ONCE]
        await credentials.change_state(transaction, some, KeyState.RETIRED)
    await credentials.add_many(transaction, keys, "provisioned", now)


def _wanted(plan: SecurityPlan, known: Standing) -> Standing:
    wanted = known
    if plan.profile is not None and plan.profile > known.profile:
        reached = known.target_profile is not None and known.target_profile <= plan.profile
        wanted = replace(wanted, profile=plan.profile, target_profile=None if reached else known.target_profile)
    if plan.certificate_name is not None:
        wanted = replace(wanted, certificate_name=plan.certificate_name)
    if plan.message_policy is not None:
        wanted = replace(wanted, message_policy=MessagePolicy(plan.message_policy))
    return wanted
