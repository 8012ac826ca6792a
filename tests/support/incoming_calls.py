"""Calls as handlers see them."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.versions import Version
from workers.runtime.calls import IncomingCall

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)

_numbers = itertools.count(1)


def call(
    action: str,
    payload: dict[str, Any],
    *,
    version: Version = Version.V16,
    identity: str = "CP-1",
    after_s: float = 0,
    unique_id: str | None = None,
) -> IncomingCall:
    """A Call that was received `after_s` seconds after NOW; each one is a delivery of its own."""
    at = NOW + timedelta(seconds=after_s)
    return IncomingCall(
        identity=identity,
        version=version,
        action=action,
        unique_id=unique_id or f"u{next(_numbers)}",
        payload=payload,
        received_at=at,
        handled_at=at + timedelta(milliseconds=20),
        gateway="gateway-1",
        session="session-1",
        epoch=1,
    )
