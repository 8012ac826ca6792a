"""What a session must know of an action to relay it, looked up once per name instead of at every Call. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from contracts import actions, topology
from contracts.actions import TRANSACTION_ACTIONS
from contracts.schemas import Check, Part, check_inbound, check_outbound
from contracts.versions import Version

BOOT = "BootNotification"


class Policy(StrEnum):
    """What becomes of a payload that its schema does not allow."""

    ENFORCE = "enforce"
    """It is refused; billing data is relayed all the same, with the violation named."""
    WARN = "warn"
    """It is taken, and the violation named."""
    PASS = "pass"  # noqa: S105 - no password
    """It is taken unseen."""


class Judged(NamedTuple):
    """The policies for what comes in and for what goes out, and whether they are one vendor's."""

    incoming: Policy
    outgoing: Policy
    by_vendor: bool = False


STRICT = Judged(Policy.ENFORCE, Policy.ENFORCE)


@dataclass(frozen=True, slots=True)
class Route:
    """How Calls of one action travel, and how its payloads are judged."""

    key: str | None
    """Routing key; None when the name cannot be part of one, so nobody can serve it."""
    expires: bool
    transaction: bool
    is_send: bool
    boots: bool
    """Whether it tells who made the charge point, and other routes may hold for another."""
    valid: Callable[[Any], bool]
    """Whether a charge point's request needs no second look; always, where nothing is checked."""
    request: Check | None
    """The check behind that; None where there is none."""
    enforced: bool
    """Whether a request or result that violates its schema is refused; never so for billing data."""
    result: Check | None
    """The check of the charge point's answer to a command of this action."""
    command: Check | None
    """The check of a command that we send."""
    commands_enforced: bool
    to_charge_point: bool


def route_of(version: Version, name: str, judged: Judged) -> Route:
    """The route of any action name, known to OCPP or not."""
    action = actions.find(version, name)
    comes = action is not None and action.from_charge_point
    goes = action is not None and action.to_charge_point
    transaction = action is not None and name in TRANSACTION_ACTIONS
    seen = judged.incoming is not Policy.PASS
    request = check_inbound(version, name, Part.REQUEST) if comes and seen else None
    return Route(
        key=topology.call_key(version, name),
        expires=action is None or actions.expires(action),
        transaction=transaction,
        is_send=action is not None and action.is_send,
        boots=name == BOOT and judged.by_vendor,
        valid=_anything if request is None else request.valid,
        request=request,
        enforced=judged.incoming is Policy.ENFORCE and not transaction,
        result=check_inbound(version, name, Part.RESPONSE) if goes and seen else None,
        command=check_outbound(version, name, Part.REQUEST) if goes and judged.outgoing is not Policy.PASS else None,
        commands_enforced=judged.outgoing is Policy.ENFORCE,
        to_charge_point=goes,
    )


def routes_of(version: Version, judge: Callable[[str], Judged]) -> dict[str, Route]:
    """The routes of all names that this version knows: those alone, as others could fill the memory."""
    names = [action.name for action in actions.table().values() if action.version is version]
    return {name: route_of(version, name, judge(name)) for name in names}


def _anything(_payload: Any) -> bool:
    return True
