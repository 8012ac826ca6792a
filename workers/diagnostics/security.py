"""SecurityEventNotification: always confirmed, stored once (security whitepaper A04.FR.03; OCPP 2.x A04)."""

from contracts.events import SecurityEventReported
from workers.diagnostics.fields import digest, long_text, own_moment, word
from workers.runtime.calls import Answer, IncomingCall, Reply
from workers.store import outbox, security_events
from workers.store.engine import StoreTransaction

UNNAMED = "Unnamed"
"""The type of an event that came without a readable one."""


async def security_event(call: IncomingCall, transaction: StoreTransaction) -> Reply:
    """Keep a security event; the same type, time and technical information again is the same event retried."""
    payload = call.payload
    type_ = word(payload.get("type")) or UNNAMED
    tech_info = long_text(payload.get("techInfo"))
    timestamp = word(payload.get("timestamp"))
    own_time = own_moment(timestamp, call.received_at)
    row = {
        "identity": call.identity,
        "event_key": digest([type_, timestamp, tech_info] if own_time else call.delivery_key()),
        "type": type_,
        "tech_info": tech_info,
        "reported_timestamp": timestamp,
        "occurred_at": own_time or call.received_at,
        "received_at": call.received_at,
    }
    if await security_events.add(transaction, row):
        data = SecurityEventReported(type=type_, tech_info=tech_info)
        outbox.emit(transaction, call.identity, data, occurred_at=own_time or call.received_at, now=call.handled_at)
    return Answer()
