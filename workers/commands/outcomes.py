"""The outcome as backends read it, from a gateway's word or ours. Pure."""

from typing import Any

import orjson

from contracts.commands import CommandOutcome, Reason
from contracts.envelope import OutcomeEnvelope, OutcomeKind
from workers.commands.dispatching import Command

_KNOWN = frozenset(Reason)


def told(command: Command, outcome: OutcomeEnvelope) -> CommandOutcome:
    """What the backend is told."""
    failed = outcome.kind is OutcomeKind.CALL_ERROR
    return CommandOutcome(
        command_id=command.command_id,
        identity=command.identity,
        action=command.action,
        outcome=outcome.kind,
        reason=Reason.CALL_ERROR if failed else outcome.error_code,
        description=outcome.description,
        payload=_object(outcome.payload) if outcome.kind is OutcomeKind.RESULT else None,
        error_code=outcome.error_code if failed else None,
        error_details=_object(outcome.details) if failed else None,
        gateway=outcome.gateway or None,
        session=outcome.session,
        attempts=command.attempts,
        queued_ms=command.queued_ms,
        dispatched_ms=command.dispatched_ms,
        sent_ms=outcome.sent_ms,
        answered_ms=outcome.answered_ms,
    )


def reason_label(outcome: CommandOutcome) -> str:
    """A metric label out of a bounded set."""
    if outcome.reason is None:
        return ""
    return outcome.reason if outcome.reason in _KNOWN else "other"


def _object(text: bytes) -> dict[str, Any]:
    try:
        content = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}
