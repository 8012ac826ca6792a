"""What all sessions of a gateway share."""

from dataclasses import dataclass

from gateway.settings import GatewaySettings
from gateway.tolerances import HARMLESS, Tolerance
from gateway.validation import STRICT_BOOK, Rulebook


@dataclass(frozen=True, slots=True)
class SessionRules:
    """The bounds, times (seconds) and policies that all sessions of a gateway share."""

    call_timeout: float = 30.0
    command_timeout: float = 30.0
    pending_calls: int = 8
    waiting_commands: int = 16
    rulebook: Rulebook = STRICT_BOOK
    tolerances: frozenset[Tolerance] = HARMLESS


def rules_of(settings: GatewaySettings) -> SessionRules:
    """The rules that a gateway's settings ask for."""
    return SessionRules(
        call_timeout=settings.call_timeout_seconds,
        command_timeout=settings.command_timeout_seconds,
        pending_calls=settings.pending_calls,
        waiting_commands=settings.waiting_commands,
        rulebook=settings.rulebook,
        tolerances=settings.tolerances,
    )
