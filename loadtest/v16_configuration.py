"""The configuration keys of a simulated OCPP 1.6 charge point. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from loadtest.settings import Behaviour

_SAMPLED = "Energy.Active.Import.Register,Power.Active.Import,Current.Import,Voltage,SoC"


@dataclass(slots=True)
class Key:
    """One key; `kind` says what its value may be."""

    value: str
    kind: str = "text"  # "number", "boolean", "text" or "secret" (write-only)
    readonly: bool = False
    needs_reboot: bool = False


class Configuration:
    """Answers GetConfiguration and ChangeConfiguration; keys are case-insensitive (CiString50)."""

    def __init__(
        self, behaviour: Behaviour, profile: int = 0, raise_profile: Callable[[int], bool] | None = None
    ) -> None:
        keys = {
            "AllowOfflineTxForUnknownId": Key(str(behaviour.allow_offline).lower(), "boolean"),
            "AuthorizationKey": Key("", "secret"),
            "AuthorizeRemoteTxRequests": Key("false", "boolean"),
            "ConnectionTimeOut": Key("60", "number"),
            "GetConfigurationMaxKeys": Key("50", "number", readonly=True),
            "HeartbeatInterval": Key(str(behaviour.heartbeat_default_s), "number"),
            "LocalAuthListEnabled": Key("true", "boolean"),
            "LocalAuthListMaxLength": Key("1000", "number", readonly=True),
            "LocalAuthorizeOffline": Key("true", "boolean"),
            "LocalPreAuthorize": Key("false", "boolean"),
            "MaxChargingPower": Key(f"{behaviour.max_power_w:.0f}", "number"),
            "MeterValueSampleInterval": Key(str(behaviour.sample_interval_s), "number"),
            "MeterValuesAlignedData": Key("Energy.Active.Import.Register"),
            "MeterValuesSampledData": Key(_SAMPLED),
            "NumberOfConnectors": Key(str(behaviour.connectors), "number", readonly=True),
            "ResetRetries": Key("3", "number"),
            "SecurityProfile": Key(str(profile), "number"),
            "StopTransactionOnEVSideDisconnect": Key("true", "boolean"),
            "StopTransactionOnInvalidId": Key("true", "boolean"),
            "SupportedFeatureProfiles": Key(
                "Core,FirmwareManagement,LocalAuthListManagement,Reservation,SmartCharging,RemoteTrigger", readonly=True
            ),
            "TransactionMessageAttempts": Key(str(behaviour.transaction_attempts), "number"),
            "TransactionMessageRetryInterval": Key(str(behaviour.transaction_retry_s), "number"),
            "UnlockConnectorOnEVSideDisconnect": Key("true", "boolean"),
            "WebSocketPingInterval": Key("60", "number", needs_reboot=True),
        }
        self._names = {name.casefold(): name for name in keys}
        self._keys = keys
        self._raise_profile = raise_profile

    def text(self, name: str) -> str:
        """Give a key's value."""
        return self._keys[name].value

    def number(self, name: str) -> int:
        """Give a key's value as the whole number it is."""
        return int(self._keys[name].value)

    def flag(self, name: str) -> bool:
        """Give a key's value as the boolean it is."""
        return self._keys[name].value.lower() == "true"

    def change(self, name: str, value: str) -> str:
        """Set a key and give the ConfigurationStatus: Accepted, Rejected, RebootRequired or NotSupported."""
        known = self._names.get(name.casefold())
        if known is None:
            return "NotSupported"
        key = self._keys[known]
        if key.readonly or not _fits(key.kind, value):
            return "Rejected"
        if known == "SecurityProfile" and (self._raise_profile is None or not self._raise_profile(int(value))):
            return "Rejected"  # never a lower one, nor one that the charge point has nothing to show for (A05.FR.02)
        key.value = value
        return "RebootRequired" if key.needs_reboot else "Accepted"

    def listing(self, names: list[str] | None) -> tuple[list[dict[str, object]], list[str]]:
        """Give the known keys asked for (all when none is named) as `configurationKey`, and the unknown names."""
        wanted = names or list(self._keys)
        known: list[dict[str, object]] = []
        unknown: list[str] = []
        for asked in wanted:
            name = self._names.get(asked.casefold())
            if name is None:
                unknown.append(asked)
                continue
            key = self._keys[name]
            entry: dict[str, object] = {"key": name, "readonly": key.readonly}
            if key.kind != "secret":
                entry["value"] = key.value
            known.append(entry)
        return known, unknown


def _fits(kind: str, value: str) -> bool:
    if kind == "number":
        return value.isascii() and value.isdigit() and len(value) <= 10
    if kind == "boolean":
        return value.lower() in {"true", "false"}
    if kind == "secret":
        return 16 <= len(value) <= 40
    return len(value) <= 500
