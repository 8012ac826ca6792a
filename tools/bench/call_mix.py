"""Calls as a fleet of charge points would send them, each charge point one at a time: what the worker bench sends."""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson

from contracts.versions import Version

Step = tuple[str, dict[str, Any]]
"""An action and its payload."""

_READINGS = (
    ("Energy.Active.Import.Register", "Wh"),
    ("Power.Active.Import", "W"),
    ("Voltage", "V"),
)


class Station:
    """One charge point's state of mind; `step` says what it sends next, `answered` what came back."""

    def __init__(self, number: int, chooser: Callable[["Station"], Step], version: Version = Version.V16) -> None:
        self.identity = f"CP-{number:05d}"
        self.version = version
        self.transaction: Any = None
        self.sent = 0
        self.seq_no = 0
        self.register = 1000
        self.action = ""
        self._chooser = chooser

    def step(self) -> Step:
        """What to send now."""
        self.sent += 1
        self.action, payload = self._chooser(self)
        return self.action, payload

    def answered(self, payload: bytes) -> None:
        """Take note of the transaction that a StartTransaction began."""
        if self.action == "StartTransaction":
            self.transaction = orjson.loads(payload)["transactionId"]
        elif self.action == "StopTransaction":
            self.transaction = None

    def now(self) -> str:
        """The station's clock."""
        return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def meter_value(self, context: str = "Sample.Periodic") -> list[dict[str, Any]]:
        """Three samples of one moment, in the version's spelling."""
        self.register += 7
        values = (self.register, 7360, 230.1)
        sampled: list[dict[str, Any]] = []
        for (measurand, unit), value in zip(_READINGS, values, strict=True):
            sample: dict[str, Any] = {"context": context, "measurand": measurand, "location": "Outlet"}
            if self.version.is_2x:
                sampled.append({**sample, "value": value, "unitOfMeasure": {"unit": unit}})
            else:
                sampled.append({**sample, "value": str(value), "unit": unit, "format": "Raw"})
        return [{"timestamp": self.now(), "sampledValue": sampled}]


def heartbeat(_station: Station) -> Step:
    """Nothing but Heartbeats."""
    return "Heartbeat", {}


def meter_values(station: Station) -> Step:
    """MeterValues with 3 samples, outside of transactions."""
    place = {"evseId": 1} if station.version.is_2x else {"connectorId": 1}
    return "MeterValues", {**place, "meterValue": station.meter_value()}


def transaction_events(station: Station) -> Step:
    """OCPP 2.0.1 TransactionEvents: a Started, ten Updated with 3 samples each, an Ended."""
    turn = station.sent % 12
    kind = "Started" if turn == 1 or station.transaction is None else "Ended" if turn == 0 else "Updated"
    return _event(station, kind)


def mixed(station: Station) -> Step:
    """45 % Heartbeat, 40 % MeterValues, 6 % StatusNotification, 3 % each of Start, Stop and Authorize.

    In 2.0.1 TransactionEvents stand for Start and Stop, and for MeterValues while a transaction runs.
    """
    chance = random.random() * 100  # noqa: S311 - a mix of Calls, not a secret
    if chance < 45:
        return heartbeat(station)
    if chance < 85:
        return _metered(station)
    if chance < 91:
        return _status(station)
    if chance < 94:
        token = _token(station)
        return "Authorize", {"idToken": token} if station.version.is_2x else {"idTag": token}
    return _transaction(station)


def _metered(station: Station) -> Step:
    if station.transaction is None:
        return meter_values(station)
    if station.version.is_2x:
        return _event(station, "Updated")
    action, payload = meter_values(station)
    return action, {**payload, "transactionId": station.transaction}


def _transaction(station: Station) -> Step:
    if station.version.is_2x:
        return _event(station, "Started" if station.transaction is None else "Ended")
    if station.transaction is None:
        start = {"connectorId": 1, "idTag": _token(station), "meterStart": station.register}
        return "StartTransaction", {**start, "timestamp": station.now()}
    stop = {"transactionId": station.transaction, "meterStop": station.register, "timestamp": station.now()}
    return "StopTransaction", {**stop, "reason": "Local"}


def _event(station: Station, kind: str) -> Step:
    if kind == "Started":
        station.transaction = f"{station.identity}-{station.sent}"
        station.seq_no = -1
    station.seq_no += 1
    payload: dict[str, Any] = {
        "eventType": kind,
        "timestamp": station.now(),
        "triggerReason": "MeterValuePeriodic" if kind == "Updated" else "CablePluggedIn",
        "seqNo": station.seq_no,
        "transactionInfo": {"transactionId": station.transaction, "chargingState": "Charging"},
        "evse": {"id": 1, "connectorId": 1},
    }
    if kind == "Started":
        payload["idToken"] = _token(station)
    else:
        payload["meterValue"] = station.meter_value()
    if kind == "Ended":
        station.transaction = None
    return "TransactionEvent", payload


def _token(station: Station) -> Any:
    text = f"TAG-{station.identity}"
    return {"idToken": text, "type": "ISO14443"} if station.version.is_2x else text


def _status(station: Station) -> Step:
    status = "Available" if station.sent % 2 else "Occupied"
    if station.version.is_2x:
        place = {"evseId": 1, "connectorId": 1}
        return "StatusNotification", {**place, "connectorStatus": status, "timestamp": station.now()}
    status = "Available" if station.sent % 2 else "Charging"
    return "StatusNotification", {
        "connectorId": 1,
        "status": status,
        "errorCode": "NoError",
        "timestamp": station.now(),
    }
