"""What a charge point's answers mean for its certificate, and in whose words it is told. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import orjson

from contracts.commands import Reason
from contracts.envelope import OutcomeEnvelope, OutcomeKind
from contracts.versions import Version
from workers.runtime import backoff
from workers.runtime.reading import read_object, read_text

CHARGING_STATION = "ChargingStationCertificate"
"""The one kind that we sign; 1.6 has no other, and 2.x means it when it names none."""

GIVE_UP_AFTER = timedelta(days=7)
"""A charge point that was away for so long asks anew."""

LONGEST_PAUSE_S = 600.0


class Ending(StrEnum):
    """What an attempt to deliver something has come to."""

    ANSWERED = "answered"
    FAILED = "failed"
    """It will never be taken: the charge point said so, or no such message can be sent to it."""
    AGAIN = "again"
    """It has not arrived, or nobody knows; all that is sent here may be sent twice."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An outcome: the charge point's own word or how the command ended, a detail, and the payload of its answer."""

    ending: Ending
    status: str
    detail: str
    payload: dict[str, Any]


def heard(outcome: OutcomeEnvelope) -> Heard:
    """Read an outcome, whatever is in it."""
    if outcome.kind is OutcomeKind.RESULT:
        payload = read_object(_loaded(outcome.payload))
        info = read_object(payload.get("statusInfo"))
        detail = " ".join(text for key in ("reasonCode", "additionalInfo") if (text := read_text(info.get(key))[0]))
        return Heard(Ending.ANSWERED, read_text(payload.get("status"))[0] or "unreadable", detail, payload)
    final = outcome.kind is OutcomeKind.CALL_ERROR or (
        outcome.kind is OutcomeKind.REJECTED and outcome.error_code != Reason.QUEUE_FULL
    )
    detail = " ".join(word for word in (outcome.error_code, outcome.description) if word)
    return Heard(Ending.FAILED if final else Ending.AGAIN, outcome.kind.value, detail, {})


def again_at(now: datetime, since: datetime, attempts: int, name: str) -> datetime | None:
    """When to try once more what was begun at `since`; None: not any more."""
    if now >= since + GIVE_UP_AFTER:
        return None
    return now + backoff.pause(attempts, name, most_s=LONGEST_PAUSE_S)


def signed_request(
    version: Version, chain: str, certificate_type: str, request_id: int | None
) -> tuple[str, dict[str, Any]]:
    """The action and payload that bring a chain to the charge point."""
    payload: dict[str, Any] = {"certificateChain": chain}
    if version.is_2x:
        payload["certificateType"] = certificate_type
    if version is Version.V21 and request_id is not None:
        payload["requestId"] = request_id
    return "CertificateSigned", payload


def renewal_request(version: Version) -> tuple[str, dict[str, Any]]:
    """The action and payload that have a charge point send SignCertificate; 1.6 without connectorId (TC_074)."""
    if version.is_2x:
        return "TriggerMessage", {"requestedMessage": "SignChargingStationCertificate"}
    return "ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"}


def _loaded(payload: bytes) -> Any:
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
