"""The device model of a simulated OCPP 2.0.1 charging station. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from loadtest.settings import Behaviour


@dataclass(slots=True)
class Variable:
    """One variable's actual value; a write-only one is never shown."""

    value: str
    kind: str = "string"  # DataEnumType
    mutability: str = "ReadWrite"
    needs_reboot: bool = False


class Variables:
    """Answers GetVariables, SetVariables and reports; names are case-insensitive identifier strings."""

    def __init__(
        self,
        behaviour: Behaviour,
        backoff_base_s: float,
        profile: int = 0,
        raise_profile: Callable[[int], bool] | None = None,
    ) -> None:
        whole = "integer"
        self._variables = {
            ("AuthCtrlr", "OfflineTxForUnknownIdEnabled"): Variable(str(behaviour.allow_offline).lower(), "boolean"),
            ("ChargingStation", "Model"): Variable(behaviour.model, mutability="ReadOnly"),
            ("ChargingStation", "VendorName"): Variable(behaviour.vendor, mutability="ReadOnly"),
            ("ClockCtrlr", "DateTime"): Variable("", "dateTime", "ReadOnly"),
            ("DeviceDataCtrlr", "ItemsPerMessage"): Variable("10", whole, "ReadOnly"),
            ("OCPPCommCtrlr", "HeartbeatInterval"): Variable(str(behaviour.heartbeat_default_s), whole),
            ("OCPPCommCtrlr", "MessageAttempts"): Variable(str(behaviour.transaction_attempts), whole),
            ("OCPPCommCtrlr", "MessageAttemptInterval"): Variable(str(behaviour.transaction_retry_s), whole),
            ("OCPPCommCtrlr", "RetryBackOffRandomRange"): Variable(str(max(1, round(backoff_base_s))), whole),
            ("OCPPCommCtrlr", "RetryBackOffRepeatTimes"): Variable("5", whole),
            ("OCPPCommCtrlr", "RetryBackOffWaitMinimum"): Variable(str(max(1, round(backoff_base_s))), whole),
            ("OCPPCommCtrlr", "WebSocketPingInterval"): Variable("60", whole, needs_reboot=True),
            ("SampledDataCtrlr", "TxUpdatedInterval"): Variable(str(behaviour.sample_interval_s), whole),
            ("SecurityCtrlr", "BasicAuthPassword"): Variable("", mutability="WriteOnly"),
            # a station raises it by SetNetworkProfile and the priorities; here the one variable stands for both
            ("SecurityCtrlr", "SecurityProfile"): Variable(str(profile), whole),
            ("SmartChargingCtrlr", "LimitPower"): Variable(f"{behaviour.max_power_w:.0f}", whole),
            ("TxCtrlr", "StopTxOnInvalidId"): Variable("true", "boolean"),
        }
        self._raise_profile = raise_profile
        self._folded = {tuple(part.casefold() for part in key): key for key in self._variables}

    def text(self, component: str, name: str) -> str:
        """Give a variable's value."""
        return self._variables[component, name].value

    def number(self, component: str, name: str) -> int:
        """Give a variable's value as the whole number it is."""
        return int(self._variables[component, name].value)

    def flag(self, component: str, name: str) -> bool:
        """Give a variable's value as the boolean it is."""
        return self._variables[component, name].value.lower() == "true"

    def read(self, component: str, name: str, attribute: str) -> tuple[str, str | None]:
        """Give the GetVariableStatus, and the value if it is Accepted."""
        found = self._find(component, name)
        if isinstance(found, str):
            return found, None
        if attribute != "Actual":
            return "NotSupportedAttributeType", None
        if found.mutability == "WriteOnly":
            return "Rejected", None
        return "Accepted", found.value

    def write(self, component: str, name: str, value: str, attribute: str) -> str:
        """Set a variable and give the SetVariableStatus."""
        found = self._find(component, name)
        if isinstance(found, str):
            return found
        if attribute != "Actual":
            return "NotSupportedAttributeType"
        if found.mutability == "ReadOnly" or not _fits(found, value):
            return "Rejected"
        if found is self._variables["SecurityCtrlr", "SecurityProfile"] and (
            self._raise_profile is None or not self._raise_profile(int(value))
        ):
            return "Rejected"
        found.value = value
        return "RebootRequired" if found.needs_reboot else "Accepted"

    def report(self) -> list[dict[str, Any]]:
        """Give the whole device model as `reportData`."""
        return [
            {
                "component": {"name": component},
                "variable": {"name": name},
                "variableAttribute": [
                    {"mutability": variable.mutability}
                    | ({"value": variable.value} if variable.mutability != "WriteOnly" else {})
                ],
                "variableCharacteristics": {"dataType": variable.kind, "supportsMonitoring": False},
            }
            for (component, name), variable in self._variables.items()
        ]

    def _find(self, component: str, name: str) -> Variable | str:
        key = self._folded.get((component.casefold(), name.casefold()))
        if key is not None:
            return self._variables[key[0], key[1]]
        known = {folded[0] for folded in self._folded}
        return "UnknownVariable" if component.casefold() in known else "UnknownComponent"


def _fits(variable: Variable, value: str) -> bool:
    if variable.kind == "integer":
        return value.isascii() and value.isdigit() and len(value) <= 10
    if variable.kind == "boolean":
        return value.lower() in {"true", "false"}
    if variable.mutability == "WriteOnly":
        return 16 <= len(value) <= 40
    return len(value) <= 1000
