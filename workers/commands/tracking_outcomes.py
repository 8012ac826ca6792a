"""What tracked commands read and write: the digest of a request, and a gateway's outcome as the caller's. Pure."""

import hashlib
from typing import Any

import orjson

from contracts.commands import CommandOutcome, CommandRequest, Reason
from contracts.envelope import OutcomeEnvelope, OutcomeKind


def digest_of(identity: str, request: CommandRequest) -> str:
    """The same for requests that ask the same; a deadline that the caller has reckoned anew makes no other request."""
    content = [identity, request.action, request.payload, request.session]
    return hashlib.blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()


def outcome_of(envelope: OutcomeEnvelope, dispatched_ms: int) -> CommandOutcome:
    """A gateway's or the dispatcher's word on one attempt."""
    kind = envelope.kind
    return CommandOutcome(
        command_id=envelope.command_id,
        identity=envelope.identity,
        outcome=kind,
        reason=Reason.CALL_ERROR if kind is OutcomeKind.CALL_ERROR else envelope.error_code,
        description=envelope.description,
        payload=_map(envelope.payload) if kind is OutcomeKind.RESULT else None,
        error_code=envelope.error_code if kind is OutcomeKind.CALL_ERROR else None,
        error_details=_map(envelope.details) if kind is OutcomeKind.CALL_ERROR else None,
        gateway=envelope.gateway or None,
        session=envelope.session,
        dispatched_ms=dispatched_ms if envelope.gateway else None,
        sent_ms=envelope.sent_ms,
        answered_ms=envelope.answered_ms,
    )


def _map(body: bytes) -> dict[str, Any]:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}
