"""How one session judges payloads: by policy, known deviations and signatures. Pure.

Only what looks wrong comes here, and all of a charge point whose messages may be signed; whatever is fine never costs
more than the one look of its schema.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

from contracts import ocppj
from contracts.ocppj import Call
from contracts.schemas import Check, Violation
from contracts.versions import ErrorKind, Version
from gateway.effects import Effect, Invalid, Notice, Noticed
from gateway.routes import Route
from gateway.signed_messages import Opened, Signatures, SignedResult, bare, is_jws
from gateway.tolerances import NUL, Tolerance, explain, holds_nul
from gateway.validation import Routes, who

_NUL = Violation(ErrorKind.FORMAT, "payload: NUL characters")


class Taken(NamedTuple):
    """A request to be relayed: bare, if it was signed."""

    call: Call
    route: Route
    violation: Violation | None
    signed_by: str | None


@dataclass(frozen=True, slots=True)
class Refused:
    """What is wrong with a request, result or command, and that it is not taken."""

    kind: ErrorKind
    description: str


@dataclass(frozen=True, slots=True)
class Result:
    """A charge point's answer to a command, as far as it is believed."""

    payload: Any
    violation: Violation | None = None
    refused: Refused | None = None


class Inspector:
    """The judge of one session."""

    __slots__ = ("_told", "policy", "signatures", "tolerances", "version")

    def __init__(self, policy: Routes, tolerances: frozenset[Tolerance], signatures: Signatures | None) -> None:
        self.policy = policy
        self.version: Version = policy.version
        self.tolerances = tolerances
        # 1.6 knows no signed messages: one that is to sign cannot get around it by speaking 1.6.
        required = signatures is not None and signatures.required
        self.signatures = signatures if required or self.version.is_2x else None
        self._told: set[tuple[Noticed, str]] | None = None

    def route(self, name: str) -> Route:
        """How the Calls of this action travel."""
        return self.policy.find(name) or self.policy.of(name)

    def bears(self, tolerance: Tolerance, effects: list[Effect]) -> bool:
        """Whether this deviation is tolerated; it is counted if so."""
        if tolerance not in self.tolerances:
            return False
        effects.append(Notice(Noticed.TOLERATED, tolerance.value))
        return True

    def request(self, message_type: int, call: Call, effects: list[Effect]) -> Taken | Refused:
        """Judge a Call or SEND."""
        opened = self._opened(message_type, call, effects)
        if isinstance(opened, SignedResult):
            return Refused(ErrorKind.SECURITY, f"signature: {opened.value}")
        signed_by = None
        if opened is not None:
            encode = ocppj.encode_call if message_type == ocppj.CALL else ocppj.encode_send
            action = bare(call.action) or call.action
            frame = encode(call.unique_id, action, opened.body)
            call, signed_by = Call(call.unique_id, action, opened.payload, frame), opened.thumbprint
        route = self.route(call.action)
        if route.boots:
            self.policy = self.policy.learned(*who(self.version, call.payload))
            route = self.route(call.action)
        violation, borne = _look(call.payload, route.request, self.tolerances, call.frame)
        refused = violation is not None and not borne and route.enforced
        if not (refused and message_type == ocppj.SEND):  # which has a count of its own
            effects += self._notices(
                violation, borne, Noticed.INVALID_CALL, call.action, call.unique_id, taken=not refused
            )
        if violation is not None and not borne:
            effects.append(Invalid("in", call.action, violation.kind, taken=not refused))
        if violation is not None and refused:
            return Refused(violation.kind, violation.description)
        return Taken(call, route, violation, signed_by)

    def result(self, unique_id: str, action: str, payload: Any, effects: list[Effect]) -> Result:
        """Judge an answer to a command; it need not be signed, as our commands are not (part 4, 7.2)."""
        if self.signatures is not None and is_jws(payload):
            opened = self.signatures.open(ocppj.CALL_RESULT, unique_id, action, payload)
            effects += _signed(opened, action, unique_id)
            if isinstance(opened, SignedResult):
                return Result({}, refused=Refused(ErrorKind.SECURITY, f"signature: {opened.value}"))
            payload = opened.payload
        route = self.route(action)
        if route.result is None or route.result.valid(payload):
            return Result(payload)
        violation, borne = _look(payload, route.result, self.tolerances)
        effects += self._notices(violation, borne, Noticed.INVALID_RESULT, action, unique_id, taken=not route.enforced)
        if violation is None or borne:
            return Result(payload, violation)
        effects.append(Invalid("result", action, violation.kind, taken=not route.enforced))
        if not route.enforced:
            return Result(payload, violation)
        return Result(payload, violation, Refused(violation.kind, violation.description))

    def command(self, action: str, payload: Any, effects: list[Effect]) -> Refused | None:
        """Judge a command that is about to be sent; None when it may be."""
        route = self.route(action)
        violation = None if route.command is None else route.command.violation(payload)
        if violation is None:
            return None
        effects.append(Invalid("out", action, violation.kind, taken=not route.commands_enforced))
        if route.commands_enforced:
            return Refused(violation.kind, violation.description)
        effects += self._notices(violation, frozenset(), Noticed.INVALID_COMMAND, action, taken=True)
        return None

    def _opened(self, message_type: int, call: Call, effects: list[Effect]) -> Opened | SignedResult | None:
        """The signed message that was verified, why there is none, or None for one that need not be signed."""
        if self.signatures is None:
            return None
        inner = bare(call.action)
        if inner is not None:
            opened = self.signatures.open(message_type, call.unique_id, inner, call.payload)
        elif self.signatures.required:
            opened = SignedResult.UNSIGNED
        else:
            return None
        effects += _signed(opened, call.action, call.unique_id)
        return opened

    def _notices(
        self,
        violation: Violation | None,
        borne: frozenset[Tolerance],
        invalid: Noticed,
        action: str,
        unique_id: str = "",
        *,
        taken: bool,
    ) -> list[Effect]:
        """What is worth a count and, at the first of its kind in this session, a line in the log."""
        notices: list[Effect] = [Notice(Noticed.TOLERATED, rule.value) for rule in sorted(borne)]
        if violation is None or borne:
            return notices
        notices.append(Notice(invalid, action[:50]))
        told = self._told = set() if self._told is None else self._told
        if taken and (invalid, action) not in told:
            told.add((invalid, action))  # schemas know these names, so there are not many
            notices.append(Notice(Noticed.INVALID_TAKEN, f"{action}: {violation.kind.value}", unique_id))
        return notices


def _look(
    payload: Any, check: Check | None, allowed: Collection[Tolerance], frame: bytes = b""
) -> tuple[Violation | None, frozenset[Tolerance]]:
    """What is wrong with a payload, and the known deviations that explain all of it, if they do."""
    violation = None if check is None else check.violation(payload)
    borne: frozenset[Tolerance] = frozenset()
    if check is not None and violation is not None:
        borne = explain(payload, check, allowed)
        if not borne:
            return violation, borne
    if check is not None and NUL in frame and holds_nul(payload):
        if Tolerance.NUL_CHARACTERS not in allowed:
            return violation or _NUL, frozenset()
        borne |= {Tolerance.NUL_CHARACTERS}
    return violation, borne


def _signed(opened: Opened | SignedResult, action: str, unique_id: str) -> list[Effect]:
    if isinstance(opened, Opened):
        return [Notice(Noticed.SIGNED, SignedResult.VERIFIED)]
    return [
        Notice(Noticed.SIGNED, opened.value),
        Notice(Noticed.SIGNATURE_REFUSED, f"{action[:50]}: {opened.value}", unique_id),
    ]
