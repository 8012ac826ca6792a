"""Messages kept for repair: billing data that belongs to no transaction we know."""

import hashlib
from datetime import datetime
from typing import Any

import orjson

from workers import metrics
from workers.store.engine import StoreTransaction
from workers.store.tables import parked_messages
from workers.store.upserts import insert_new


def digest(*parts: Any) -> str:
    """A short key of JSON-like values: equal for equal content."""
    return hashlib.blake2b(orjson.dumps(parts), digest_size=16).hexdigest()


def park(
    transaction: StoreTransaction,
    *,
    identity: str,
    ocpp_version: str,
    action: str,
    reason: str,
    payload: dict[str, Any],
    received_at: datetime,
    park_key: str,
    transaction_ref: str = "",
) -> None:
    """Keep the payload as it came, once per `park_key`; `reason` is one word."""
    metrics.parked.labels(reason).inc()
    transaction.append(
        insert_new(parked_messages, transaction.dialect),
        {
            "identity": identity,
            "park_key": park_key,
            "ocpp_version": ocpp_version,
            "action": action,
            "reason": reason,
            "transaction_ref": transaction_ref,
            "payload": payload,
            "received_at": received_at,
        },
    )
