"""Passwords of charge points: as they are generated, stored and compared.

What is stored is a salted SHA-256. That is fast on purpose: a fleet that reconnects at once is checked at the edge, and
a key of 40 random characters cannot be guessed whatever a guess costs (docs/decisions/0017).
"""

import hashlib
import hmac
import re
import secrets
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from string import ascii_letters, digits

GENERATED_LENGTH = 40
LEAST_LENGTH, MOST_LENGTH = 16, 40
"""Characters of a password (whitepaper A00.FR.205, 2.x A00.FR.205: BasicAuthPassword 16 to 40)."""

_ALPHABET = ascii_letters + digits
_PRINTABLE = re.compile(r"[A-Za-z0-9*\-_=:+|@.]+")
_SALT_BYTES = 16
_SCHEME = "sha256"


def generate(*, hexadecimal: bool = False) -> str:
    """A new key of 40 random characters; hexadecimal (20 bytes) for a 1.6 `AuthorizationKey`."""
    if hexadecimal:
        return secrets.token_hex(GENERATED_LENGTH // 2)
    return "".join(secrets.choice(_ALPHABET) for _ in range(GENERATED_LENGTH))


def problem_of(password: str) -> str | None:
    """Why a password that a person chose cannot be taken; None when it can. The text holds nothing of it."""
    if not LEAST_LENGTH <= len(password) <= MOST_LENGTH:
        return f"a password has {LEAST_LENGTH} to {MOST_LENGTH} characters"
    if not _PRINTABLE.fullmatch(password):
        return "a password has letters, digits and *-_=:+|@. only"
    if len(set(password)) < 5:
        return "a password has at least 5 different characters"
    return None


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A password as it is on record. `key_id` names it in logs and notices; `pending`: not known to be in use yet."""

    key_id: str
    pending: bool
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    @classmethod
    def of(cls, secret: bytes, *, pending: bool = False, key_id: str | None = None) -> "StoredKey":
        """Hash what the charge point will send (1.6: the decoded bytes of the hex key)."""
        salt = secrets.token_bytes(_SALT_BYTES)
        return cls(key_id or secrets.token_hex(6), pending, salt, _digest(salt, secret))

    @classmethod
    def decode(cls, text: str) -> "StoredKey | None":
        """Read what `encode` wrote; None when it is nothing of the kind."""
        parts = text.split("$")
        if len(parts) != 5 or parts[2] != _SCHEME or parts[1] not in {"current", "pending"} or not parts[0]:
            return None
        try:
            salt, digest = (b64decode(part, validate=True) for part in parts[3:])
        except ValueError:
            return None
        return cls(parts[0], parts[1] == "pending", salt, digest)

    def encode(self) -> str:
        """One line without spaces."""
        state = "pending" if self.pending else "current"
        salt, digest = (b64encode(part).decode() for part in (self.salt, self.digest))
        return f"{self.key_id}${state}${_SCHEME}${salt}${digest}"

    def matches(self, secret: bytes) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(_digest(self.salt, secret), self.digest)


def _digest(salt: bytes, secret: bytes) -> bytes:
    return hashlib.sha256(salt + secret).digest()
