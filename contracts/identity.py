"""Charge point identities: read from the request path, and turned into AMQP routing words."""

import hashlib
import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from contracts.versions import Version

MAX_LENGTH = 128
"""OCPP 1.6 sets no length; this bounds it. OCPP 2.x: 48 (part 4, 3.1.1)."""

MAX_BYTES = 255
"""In UTF-8: an identity is the routing key of its commands, and AMQP keys are no longer."""

MAX_LENGTH_2X = 48
MAX_TOKEN_LENGTH = 160

_IDENTIFIER_2X = re.compile(r"[A-Za-z0-9*\-_=+|@.]+")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNSAFE = re.compile(rb"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True)
class BadIdentity:
    """Why a path names no charge point; the reason is a fixed phrase that may be logged and sent."""

    reason: str


def from_path(path: str, endpoint: str) -> str | BadIdentity:
    """The identity that follows `endpoint` in the request path, percent-decoded exactly once (OCPP-J 3.1.1).

    `endpoint` is the path under which charge points connect, such as `/ocpp`. A query is not part of the identity.
    """
    bare = path.partition("?")[0]
    prefix = endpoint.rstrip("/") + "/"
    if not bare.startswith(prefix):
        return BadIdentity("path is not below the endpoint")
    encoded = bare[len(prefix) :]
    if not encoded:
        return BadIdentity("path names no identity")
    if "/" in encoded:
        return BadIdentity("path has more than one segment after the endpoint")
    if _BROKEN_ESCAPE.search(encoded):
        return BadIdentity("identity has a broken percent escape")
    try:
        # a raw byte outside ASCII may come as a surrogate; it is the byte that counts
        identity = unquote_to_bytes(encoded.encode("utf-8", "surrogateescape")).decode("utf-8")
    except UnicodeError:
        return BadIdentity("identity is not UTF-8")
    if len(identity) > MAX_LENGTH:
        return BadIdentity(f"identity is longer than {MAX_LENGTH} characters")
    if len(identity.encode()) > MAX_BYTES:
        return BadIdentity(f"identity is longer than {MAX_BYTES} bytes")
    if not identity.isprintable() or identity != identity.strip():
        return BadIdentity("identity has control characters or outer spaces")
    return identity


def check_version_limits(identity: str, version: Version) -> BadIdentity | None:
    """The rules a version adds: OCPP 2.x allows 48 characters of identifierString without the colon."""
    if not version.is_2x:
        return None
    if len(identity) > MAX_LENGTH_2X:
        return BadIdentity(f"identity is longer than {MAX_LENGTH_2X} characters")
    if not _IDENTIFIER_2X.fullmatch(identity):
        return BadIdentity("identity has characters that OCPP 2.x does not allow")
    return None


def routing_token(identity: str) -> str:
    """One AMQP routing word for this identity alone: injective, without `.`, `*` or `#`, at most 160 bytes.

    Bytes outside `A-Za-z0-9_-` become `=XX`; what would be too long ends in a SHA-256 of the identity.
    """
    encoded = _UNSAFE.sub(lambda match: b"=%02X" % match.group()[0], identity.encode("utf-8")).decode("ascii")
    if len(encoded) <= MAX_TOKEN_LENGTH:
        return encoded
    digest = hashlib.sha256(identity.encode("utf-8")).hexdigest()
    return f"{encoded[: MAX_TOKEN_LENGTH - len(digest) - 2]}=h{digest}"
