"""How keys and profiles come into force, and what a command's end says of a key. Pure.

The rule that all of it serves: a key that the charge point may hold is never refused, but by an operator's own word.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from contracts.envelope import MOST_PROFILE, OutcomeEnvelope, OutcomeKind
from contracts.versions import Version
from workers.authorization.initial_configuration import request_of, result_of
from workers.store.credentials import KeyRow, KeyState

MOST_PENDING = 5
"""Keys that a charge point may or may not have taken; whoever has so many is looked after by a person."""

_TAKEN = frozenset({"Accepted", "RebootRequired"})
_NOT_TAKEN = frozenset({"Rejected", "NotSupported", "UnknownComponent", "UnknownVariable", "NotSupportedAttributeType"})
_NEVER_SENT = frozenset({OutcomeKind.REJECTED, OutcomeKind.OFFLINE, OutcomeKind.EXPIRED})
_NOT_UNDERSTOOD = frozenset({"NotImplemented", "NotSupported"})
_WORD = re.compile(r"[a-z_]{1,40}")


def outdated_by(used: KeyRow, keys: Sequence[KeyRow]) -> list[str]:
    """The keys that end because the charge point has come in with this one.

    Younger ones stay: they were asked for after it, and the charge point may have taken one of them since.
    """
    return [
        row.key.key_id
        for row in keys
        if row.live
        and row.key.key_id != used.key.key_id
        and (row.created_at <= used.created_at or row.state is KeyState.CURRENT)
    ]


def waiting(keys: Sequence[KeyRow]) -> int:
    """How many rotations have not been heard of again."""
    return sum(row.state is KeyState.PENDING and row.delivery != "provisioned" for row in keys)


def key_request(version: Version, password: str) -> tuple[str, dict[str, Any]]:
    """The command that gives a charge point this password."""
    return request_of(version, "SecurityCtrlr.BasicAuthPassword" if version.is_2x else "AuthorizationKey", password)


def profile_request(version: Version, profile: int) -> tuple[str, dict[str, Any]]:
    """The command that has it take this profile."""
    return request_of(version, "SecurityCtrlr.SecurityProfile" if version.is_2x else "SecurityProfile", str(profile))


@dataclass(frozen=True, slots=True)
class Delivered:
    """How a command ended: a word, a detail, and whether the charge point surely has not taken what it brought.

    No free text of the charge point's: it may repeat the password.
    """

    word: str
    detail: str = ""
    surely_not: bool = False


def delivered(version: Version, outcome: OutcomeEnvelope) -> Delivered:
    """What the end of a command says; where it says nothing, the charge point may have taken it."""
    if outcome.kind is OutcomeKind.RESULT:
        status, _ = result_of(version, outcome)
        if status not in _TAKEN | _NOT_TAKEN:
            return Delivered("unreadable")
        return Delivered(status, surely_not=status in _NOT_TAKEN)
    if outcome.kind is OutcomeKind.CALL_ERROR:
        known = outcome.error_code in _NOT_UNDERSTOOD
        return Delivered(outcome.kind.value, (outcome.error_code or "") if known else "", surely_not=known)
    reason = outcome.error_code or ""
    detail = reason if _WORD.fullmatch(reason) else ""
    return Delivered(outcome.kind.value, detail, surely_not=outcome.kind in _NEVER_SENT)


def profile_problem(profile: int, present: int, keys: Sequence[KeyRow]) -> str | None:
    """Why a charge point cannot be asked to take a profile; None when it can."""
    if profile <= present:
        return f"its profile is {present} already: only set-security lowers it"
    if profile < MOST_PROFILE and not any(row.live for row in keys):
        return f"profile {profile} needs a password, and none is on record: set-key or rotate-key first"
    return None
