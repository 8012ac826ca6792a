"""Every OCPP action: which way it travels, which service owns it, and how an outage treats it."""

import csv
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files

from contracts.versions import Version


class Service(StrEnum):
    """A worker service; its value names its process, its queue and its metrics label."""

    AUTHORIZATION = "authorization"
    METERING = "metering"
    FIRMWARE = "firmware"
    DIAGNOSTICS = "diagnostics"
    COMMANDS = "commands"


@dataclass(frozen=True, slots=True)
class Action:
    """One action of one OCPP version."""

    version: Version
    name: str
    from_charge_point: bool
    to_charge_point: bool
    is_send: bool
    owner: Service


TRANSACTION_ACTIONS = frozenset({"StartTransaction", "StopTransaction", "MeterValues", "TransactionEvent"})
"""Billing data: always relayed, never expired, never answered with an error on our failure."""

REPEATABLE = frozenset({
    "CancelReservation", "ChangeAvailability", "ChangeConfiguration", "ClearCache", "ClearChargingProfile",
    "ClearDisplayMessage", "ClearVariableMonitoring", "CostUpdated", "ExtendedTriggerMessage", "GetBaseReport",
    "GetChargingProfiles", "GetCompositeSchedule", "GetConfiguration", "GetDisplayMessages",
    "GetInstalledCertificateIds", "GetLocalListVersion", "GetMonitoringReport", "GetReport", "GetTransactionStatus",
    "GetVariables", "InstallCertificate", "RemoteStopTransaction", "RequestStopTransaction", "ReserveNow",
    "SetChargingProfile", "SetDisplayMessage", "SetMonitoringBase", "SetMonitoringLevel", "SetNetworkProfile",
    "SetVariableMonitoring", "SetVariables", "TriggerMessage",
})  # fmt: skip
"""What may be sent again when nobody knows whether it arrived: a second one changes nothing. All else is sent once."""


def expires(action: Action) -> bool:
    """Whether a Call may expire in the broker: the metering queue dead-letters at least once, so it never drops."""
    return action.owner is not Service.METERING


@cache
def table() -> dict[tuple[Version, str], Action]:
    """All actions by version and name, read from `actions.csv` beside this file."""
    rows = csv.DictReader((files("contracts") / "actions.csv").read_text("utf-8").splitlines())
    return {(action.version, action.name): action for action in map(_parse, rows)}


def _parse(row: dict[str, str]) -> Action:
    direction = row["direction"]
    return Action(
        version=Version(row["version"]),
        name=row["action"],
        from_charge_point=direction == "both" or direction.startswith("CP->CSMS"),
        to_charge_point=direction in {"CSMS->CP", "both"},
        is_send="SEND" in direction,
        owner=Service(row["owner"]),
    )


OTHER = "other"


@cache
def _names() -> frozenset[str]:
    return frozenset(name for _, name in table())


def label(action: str) -> str:
    """The action, or `other`: names that no schema knows are the charge points' to choose, and without bound."""
    return action if action in _names() else OTHER


def is_command(name: str) -> bool:
    """Whether any OCPP version has such a request to a charge point."""
    return any(action.to_charge_point for version in Version if (action := find(version, name)) is not None)


def find(version: Version, name: str) -> Action | None:
    """The action of that name, or None; names are case-sensitive (OCPP-J 4.1.5)."""
    return table().get((version, name))
