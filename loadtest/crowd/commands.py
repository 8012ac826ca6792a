"""What a lean charge point answers when the server calls: valid, at once, and no more than it then does."""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from loadtest.crowd.speech import Charging
from loadtest.crowd.timeline import Step

FollowUp = Callable[[], None]


class Commanded(Protocol):
    """What a command can do to a charge point, after its answer."""

    @property
    def charging(self) -> Charging | None: ...
    def start(self, tag: str, remote_start: int | None = None) -> None: ...
    def stop(self, reason: str = "Local") -> None: ...
    def tell(self, step: Step) -> None: ...


Answer = tuple[dict[str, Any], FollowUp | None]
_Rule = Callable[[Commanded, dict[str, Any]], Answer]

_TRIGGERED = {
    "BootNotification": Step.BOOT,
    "Heartbeat": Step.HEARTBEAT,
    "StatusNotification": Step.AVAILABLE,
}
_KEYS: list[dict[str, Any]] = [
    {"key": "HeartbeatInterval", "readonly": False, "value": "300"},
    {"key": "MeterValueSampleInterval", "readonly": False, "value": "60"},
    {"key": "NumberOfConnectors", "readonly": True, "value": "1"},
]


def answer(point: Commanded, action: str, payload: dict[str, Any], *, is_201: bool) -> Answer | None:
    """The answer and what follows it; None for an action that is not implemented here."""
    rule = (_RULES_201 if is_201 else _RULES_16).get(action)
    return None if rule is None else rule(point, payload)


def _always(**reply: Any) -> _Rule:
    return lambda _point, _payload: (reply, None)


def _trigger(point: Commanded, payload: dict[str, Any]) -> Answer:
    step = _TRIGGERED.get(payload["requestedMessage"])
    if step is None:
        return {"status": "NotImplemented"}, None
    return {"status": "Accepted"}, partial(point.tell, step)


def _remote_start(point: Commanded, payload: dict[str, Any]) -> Answer:
    if point.charging is not None:
        return {"status": "Rejected"}, None
    return {"status": "Accepted"}, partial(point.start, payload["idTag"])


def _request_start(point: Commanded, payload: dict[str, Any]) -> Answer:
    if point.charging is not None:
        return {"status": "Rejected"}, None
    return {"status": "Accepted"}, partial(point.start, payload["idToken"]["idToken"], payload["remoteStartId"])


def _remote_stop(point: Commanded, payload: dict[str, Any]) -> Answer:
    charging, wanted = point.charging, payload["transactionId"]
    if charging is None or wanted not in {charging.number, charging.key.decode()}:
        return {"status": "Rejected"}, None
    return {"status": "Accepted"}, partial(point.stop, "Remote")


def _get_configuration(_point: Commanded, payload: dict[str, Any]) -> Answer:
    wanted = payload.get("key")
    if not wanted:
        return {"configurationKey": _KEYS}, None
    known = [entry for entry in _KEYS if entry["key"] in wanted]
    unknown = sorted(set(wanted) - {entry["key"] for entry in known})
    return {"configurationKey": known} | ({"unknownKey": unknown} if unknown else {}), None


def _get_variables(_point: Commanded, payload: dict[str, Any]) -> Answer:
    results = [
        {"attributeStatus": "Accepted", "attributeValue": "1", **_variable(wanted)}
        for wanted in payload["getVariableData"]
    ]
    return {"getVariableResult": results}, None


def _set_variables(_point: Commanded, payload: dict[str, Any]) -> Answer:
    results = [{"attributeStatus": "Accepted", **_variable(wanted)} for wanted in payload["setVariableData"]]
    return {"setVariableResult": results}, None


def _variable(wanted: dict[str, Any]) -> dict[str, Any]:
    return {"component": wanted["component"], "variable": wanted["variable"]}


_ACCEPTED, _REJECTED = _always(status="Accepted"), _always(status="Rejected")
_BOTH: dict[str, _Rule] = {
    "CancelReservation": _REJECTED,
    "ChangeAvailability": _ACCEPTED,
    "ClearCache": _ACCEPTED,
    "ClearChargingProfile": _always(status="Unknown"),
    "ReserveNow": _REJECTED,
    "Reset": _REJECTED,
    "SendLocalList": _ACCEPTED,
    "SetChargingProfile": _ACCEPTED,
    "TriggerMessage": _trigger,
    "UnlockConnector": _always(status="Unlocked"),
}
_RULES_16: dict[str, _Rule] = _BOTH | {
    "ChangeConfiguration": _ACCEPTED,
    "GetConfiguration": _get_configuration,
    "GetLocalListVersion": _always(listVersion=0),
    "RemoteStartTransaction": _remote_start,
    "RemoteStopTransaction": _remote_stop,
}
_RULES_201: dict[str, _Rule] = _BOTH | {
    "GetLocalListVersion": _always(versionNumber=0),
    "GetVariables": _get_variables,
    "RequestStartTransaction": _request_start,
    "RequestStopTransaction": _remote_stop,
    "SetVariables": _set_variables,
}
