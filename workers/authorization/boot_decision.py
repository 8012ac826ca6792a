"""BootNotification: what was told, whether it is let in, and what is answered. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from contracts.versions import Version
from workers.runtime.reading import read_object, read_text, write_time
from workers.store.registration import BootRule

_FIELDS_16 = {
    "chargePointVendor": "vendor",
    "chargePointModel": "model",
    "chargePointSerialNumber": "serial_number",
    "chargeBoxSerialNumber": "box_serial_number",
    "firmwareVersion": "firmware_version",
    "iccid": "iccid",
    "imsi": "imsi",
    "meterType": "meter_type",
    "meterSerialNumber": "meter_serial_number",
}
_FIELDS_2X = {
    "vendorName": "vendor",
    "model": "model",
    "serialNumber": "serial_number",
    "firmwareVersion": "firmware_version",
}
_STATUS = {"accepted": "Accepted", "pending": "Pending", "rejected": "Rejected"}


def facts_of(version: Version, payload: dict[str, Any]) -> dict[str, str | None]:
    """The charge point's description of itself, by column; a field that it leaves out is cleared."""
    if not version.is_2x:
        return {column: read_text(payload.get(field))[0] for field, column in _FIELDS_16.items()}
    station = read_object(payload.get("chargingStation"))
    modem = read_object(station.get("modem"))
    facts = {column: read_text(station.get(field))[0] for field, column in _FIELDS_2X.items()}
    facts |= {"iccid": read_text(modem.get("iccid"))[0], "imsi": read_text(modem.get("imsi"))[0]}
    facts["boot_reason"] = read_text(payload.get("reason"))[0]
    return facts


def registration_of(rules: Sequence[BootRule], identity: str, facts: Mapping[str, str | None]) -> str:
    """The first matching rule's registration; `accepted` when none matches."""
    for rule in rules:
        wanted = (
            (rule.identity_pattern, identity),
            (rule.vendor_pattern, facts.get("vendor")),
            (rule.model_pattern, facts.get("model")),
            (rule.firmware_pattern, facts.get("firmware_version")),
        )
        if all(matches(pattern, value) for pattern, value in wanted):
            return rule.registration
    return "accepted"


def matches(pattern: str, value: str | None) -> bool:
    """Shell-like patterns, letter case ignored; a value that was not given matches as an empty one."""
    return fnmatchcase((value or "").casefold(), pattern.casefold())


def jittered(seconds: int, share: float, chance: float) -> int:
    """Seconds, up to that share more or less, by a chance from 0 to 1; at least 1.

    Charge points that came back at the same moment would else send their heartbeats at the same moment for ever.
    """
    return max(1, round(seconds * (1 + share * (2 * chance - 1))))


def is_anothers_certificate(certificate_name: str | None, identity: str, serial_number: str | None) -> bool:
    """Whether the session's certificate was issued to another charge point than the one that boots (2.x B01.FR.12).

    A certificate that is issued to the identity itself has been compared with it at the door.
    """
    if certificate_name is None or serial_number is None:
        return False
    return certificate_name.casefold() not in {identity.casefold(), serial_number.strip().casefold()}


def boot_reply(registered: str, now: datetime, *, interval_s: int, retry_s: int) -> dict[str, Any]:
    """The CALLRESULT payload, the same in all versions; `interval` is the retry wait until accepted (1.6 4.2)."""
    return {
        "status": _STATUS[registered],
        "currentTime": write_time(now),
        "interval": interval_s if registered == "accepted" else retry_s,
    }
