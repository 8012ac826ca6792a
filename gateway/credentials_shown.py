"""What a charge point shows in the Authorization header (RFC 7617, HTTP Basic). Pure.

The password is bytes: a 1.6 charge point sends the decoded bytes of its hexadecimal key, which may be no text at all.
"""

import re
from base64 import b64decode
from dataclasses import dataclass, field

MOST_CHARACTERS = 1024
"""Of the whole header: an identity and a password of 40 characters take a fraction of it."""

_BASIC = re.compile(r"\s*basic(?:\s+([A-Za-z0-9+/]*)(={0,2}))?\s*", re.IGNORECASE | re.ASCII)
_HEX = re.compile(rb"(?:[0-9A-Fa-f]{2})+")


@dataclass(frozen=True, slots=True)
class Shown:
    """A user name and a password; both empty, and `readable` false, when the header was no proper Basic."""

    username: bytes = field(repr=False)
    password: bytes = field(repr=False)
    readable: bool = True

    def candidates(self, *, hex_literal: bool) -> tuple[bytes, ...]:
        """The passwords that it may mean: as received, and, where hexadecimal text is tolerated, its bytes."""
        if hex_literal and _HEX.fullmatch(self.password):
            return self.password, bytes.fromhex(self.password.decode("ascii"))
        return (self.password,)


_UNREADABLE = Shown(b"", b"", readable=False)


def read(authorization: str | None) -> Shown | None:
    """Read the header's value; None when it shows no Basic credentials at all.

    Missing padding is tolerated, nothing else: characters outside the alphabet, no colon, or too long is unreadable.
    """
    if authorization is None or authorization.lstrip()[:5].lower() != "basic":
        return None
    match = _BASIC.fullmatch(authorization) if len(authorization) <= MOST_CHARACTERS else None
    encoded = "" if match is None or match[1] is None else match[1]
    if match is None or len(encoded) % 4 == 1:
        return _UNREADABLE
    try:
        decoded = b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        return _UNREADABLE
    username, colon, password = decoded.partition(b":")
    return Shown(username, password) if colon else _UNREADABLE
