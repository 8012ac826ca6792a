"""Reading what backends ask for: a request that may go on its way, or why not. Pure."""

import re
from dataclasses import dataclass

import orjson

from contracts import actions, bodies, identity
from contracts.bodies import ContentType
from contracts.broker import Delivery
from contracts.commands import COMMAND_ID, MOST_DIRECT_S, MOST_TRACKED_S, CommandRequest, Reason
from contracts.envelope import OutcomeKind
from contracts.errors import BodyError
from contracts.schemas import Part, outbound_violation
from contracts.versions import ErrorKind, Version

MOST_QUOTED = 36
_COMMAND_ID = re.compile(COMMAND_ID)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a command goes no further."""

    reason: Reason
    description: str = ""
    kind: OutcomeKind = OutcomeKind.REJECTED


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that can be read; `payload` is its payload as JSON."""

    request: CommandRequest
    payload: bytes


def content_type_of(delivery: Delivery) -> ContentType:
    """The one to answer in: the request's, or JSON when that is none of ours."""
    try:
        return ContentType.of(delivery.content_type)
    except BodyError:
        return ContentType.JSON


def quoted_id(delivery: Delivery) -> str:
    """What to call a command whose body cannot be read."""
    return delivery.message_id[:MOST_QUOTED]


def read(delivery: Delivery) -> Asked | Refusal:
    """The request that a delivery carries, whatever its deadline."""
    key = delivery.routing_key
    if not key or len(key) > identity.MAX_LENGTH or not key.isprintable() or key != key.strip():
        return Refusal(Reason.BAD_IDENTITY, "the routing key is the charge point's identity")
    try:
        content_type = ContentType.of(delivery.content_type)
        command_id = bodies.decode(delivery.body, content_type).get("command_id")
        if not isinstance(command_id, str) or not _COMMAND_ID.fullmatch(command_id):
            return Refusal(Reason.BAD_COMMAND_ID, "command_id: 1 to 36 characters of A-Z a-z 0-9 _ . : -")
        request = CommandRequest.decode(delivery.body, content_type)
    except BodyError as error:
        return Refusal(Reason.BAD_REQUEST, str(error))
    try:
        payload = orjson.dumps(request.payload)
    except TypeError:
        return Refusal(Reason.BAD_PAYLOAD, "the payload cannot be written as JSON")
    if not actions.is_command(request.action):
        return Refusal(Reason.UNKNOWN_ACTION, "no OCPP version has such a request to a charge point")
    return Asked(request, payload)


def out_of_bounds(deadline_ms: int, now_ms: int, *, tracked: bool) -> Refusal | None:
    """Why a request that comes for the first time is too early or too late."""
    most_s = MOST_TRACKED_S if tracked else MOST_DIRECT_S
    if deadline_ms > now_ms + most_s * 1000:
        return Refusal(Reason.DEADLINE_TOO_FAR, f"the deadline may be {most_s} seconds ahead")
    if deadline_ms <= now_ms:
        return Refusal(Reason.DEADLINE, "the deadline had passed when the command came", OutcomeKind.EXPIRED)
    return None


def misfit(version: Version, action: str, payload: bytes) -> Refusal | None:
    """Why this version's charge points cannot be sent such a payload."""
    violation = outbound_violation(version, action, Part.REQUEST, orjson.loads(payload))
    known = actions.find(version, action)
    if known is None or not known.to_charge_point:
        return Refusal(Reason.UNKNOWN_ACTION, f"OCPP {version} has no such request to a charge point")
    if violation is None:
        return None
    reason = Reason.UNKNOWN_ACTION if violation.kind is ErrorKind.NOT_IMPLEMENTED else Reason.BAD_PAYLOAD
    return Refusal(reason, violation.description)
