"""A session to play with, and what its effects say."""

import json
from typing import Any

from contracts.envelope import OutcomeKind, ReplyEnvelope
from contracts.versions import Version
from gateway.commands import Command
from gateway.effects import Effect, Notice, Noticed, Outcome, Relay, Transmit
from gateway.session import Session
from gateway.session_rules import SessionRules

V16, V201, V21 = Version.V16, Version.V201, Version.V21
OK = ReplyEnvelope(payload=b'{"ok":1}')
START = {"connectorId": 1, "idTag": "T", "meterStart": 0, "timestamp": "2026-01-01T00:00:00Z"}


def session(version: Version = V16, **rules: Any) -> Session:
    return Session("CP-1", version, "s1", 1, SessionRules(**rules))


def reads(one: Session) -> bool:
    return one.wants_reading


def frame(*message: Any) -> bytes:
    return json.dumps(message).encode()


def heartbeat(unique_id: str = "h") -> bytes:
    return frame(2, unique_id, "Heartbeat", {})


def relays(effects: list[Effect]) -> list[Relay]:
    return [effect for effect in effects if isinstance(effect, Relay)]


def sent(effects: list[Effect]) -> list[Any]:
    return [json.loads(effect.frame) for effect in effects if isinstance(effect, Transmit)]


def noticed(effects: list[Effect]) -> list[Noticed]:
    return [effect.kind for effect in effects if isinstance(effect, Notice)]


def outcomes(effects: list[Effect]) -> list[tuple[str, OutcomeKind, str | None]]:
    return [(e.command_id, e.kind, e.error_code) for e in effects if isinstance(e, Outcome)]


def reset(command_id: str = "c1", deadline: float = 100.0) -> Command:
    return Command(command_id, "Reset", b'{"type":"Soft"}', deadline)
