"""Passwords as charge points send them, and which of them are on record. Pure."""

import re
from collections.abc import Sequence

from contracts.credentials import StoredKey
from contracts.versions import Version
from workers.store.credentials import KeyRow, KeyState

_HEXADECIMAL = re.compile(r"(?:[0-9A-Fa-f]{2}){16,20}")


def wire_forms(password: str, version: Version | None) -> list[bytes]:
    """What the charge point may send for this password, the likeliest first.

    A 1.6 AuthorizationKey is written in hexadecimal and sent as the bytes that it means. While nobody knows the version
    both are possible.
    """
    forms = [password.encode()]
    if _HEXADECIMAL.fullmatch(password) and (version is None or not version.is_2x):
        decoded = bytes.fromhex(password)
        forms = [*forms, decoded] if version is None else [decoded]
    return forms


def stored_forms(password: str, version: Version | None) -> list[StoredKey]:
    """The keys to put on record for it: a current one, and a pending one for the second form."""
    return [StoredKey.of(form, pending=number > 0) for number, form in enumerate(wire_forms(password, version))]


def is_in_force(password: str, version: Version | None, keys: Sequence[KeyRow]) -> bool:
    """Whether the current key is this password."""
    forms = wire_forms(password, version)
    return any(row.state is KeyState.CURRENT and any(map(row.key.matches, forms)) for row in keys)


def was_given(password: str, keys: Sequence[KeyRow]) -> bool:
    """Whether this password is or ever was on record."""
    return any(row.key.matches(form) for row in keys for form in wire_forms(password, None))
