"""Which kind of fault an error code names: what must a person look at, hardware, software or the world outside?

| code | kind | why |
|---|---|---|
| ConnectorLockFailure | hardware | the lock does not lock or unlock |
| GroundFailure | hardware | the charge point's ground fault interrupter has tripped |
| HighTemperature | hardware | too hot inside the charge point |
| OverCurrentFailure | hardware | the charge point's over-current protection has tripped |
| PowerMeterFailure, PowerSwitchFailure, ReaderFailure | hardware | that part fails |
| InternalError, LocalListConflict, ResetFailure | software | firmware or data, cured by reset or update |
| EVCommunicationError | external | the vehicle does not talk |
| OverVoltage, UnderVoltage | external | the grid |
| WeakSignal | external | the mobile network |
| OtherError, Faulted and codes unknown here | unknown | unless the vendor's own code is one of the above |

OCPP 1.6, 7.6 (ChargePointErrorCode). OCPP 2.x reports a component instead of a code; its kind follows from the
component (part 2, appendix 3.1).
"""

from enum import StrEnum


class FaultKind(StrEnum):
    HARDWARE = "hardware"
    SOFTWARE = "software"
    EXTERNAL = "external"
    UNKNOWN = "unknown"


NO_ERROR = "NoError"
FAULTED = "Faulted"
"""Code of a fault that was reported by status alone."""

PROBLEM = "Problem"
"""Code of a fault that an OCPP 2.x component reports through its Problem variable."""

_CODES = {
    **dict.fromkeys(
        (
            *("ConnectorLockFailure", "GroundFailure", "HighTemperature", "OverCurrentFailure"),
            *("PowerMeterFailure", "PowerSwitchFailure", "ReaderFailure"),
        ),
        FaultKind.HARDWARE,
    ),
    **dict.fromkeys(("InternalError", "LocalListConflict", "ResetFailure"), FaultKind.SOFTWARE),
    **dict.fromkeys(("EVCommunicationError", "OverVoltage", "UnderVoltage", "WeakSignal"), FaultKind.EXTERNAL),
}
_BY_FOLDED_CODE = {code.casefold(): kind for code, kind in _CODES.items()}

_COMPONENTS = {
    **dict.fromkeys(
        (
            *(
                "AccessBarrier",
                "AcDcConverter",
                "AcPhaseSelector",
                "Actuator",
                "AirCoolingSystem",
                "BayOccupancySensor",
            ),
            *("BeaconLighting", "CableBreakawaySensor", "CaseAccessSensor", "ChargingStation", "Connector"),
            *("ConnectorHolsterRelease", "ConnectorHolsterSensor", "ConnectorPlugRetentionLock"),
            *("ConnectorProtectionRelease", "Controller", "CPPWMController", "DataLink", "Display"),
            *("ELVSupply", "EmergencyStopSensor", "EnvironmentalLighting", "EVRetentionLock", "EVSE"),
            *("ExternalTemperatureSensor", "FiscalMetering", "FloodSensor", "GroundIsolationProtection", "Heater"),
            *("HumiditySensor", "LightSensor", "LiquidCoolingSystem", "OverCurrentBreaker", "OverCurrentProtection"),
            *("OverCurrentProtectionRecloser", "PowerContactor", "RCD", "RCDRecloser", "RealTimeClock", "ShockSensor"),
            *("SpacesCountSignage", "Switch", "TemperatureSensor", "TiltSensor", "TokenReader", "UIInput"),
            *("UpstreamProtectionTrigger", "VehicleIdSensor"),
        ),
        FaultKind.HARDWARE,
    ),
    **dict.fromkeys(("ConnectedEV", "DistributionPanel", "ElectricalFeed"), FaultKind.EXTERNAL),
}


def of_error_code(code: str, vendor_error_code: str | None = None) -> FaultKind:
    """The kind of a StatusNotification's error code; the vendor's own code decides where OCPP's says nothing."""
    kind = _BY_FOLDED_CODE.get(code.casefold())
    if kind is None and vendor_error_code:
        kind = _BY_FOLDED_CODE.get(vendor_error_code.strip().casefold())
    return kind or FaultKind.UNKNOWN


def of_component(component: str) -> FaultKind:
    """The kind of a Problem of an OCPP 2.x component; the logical ones (`...Ctrlr`) are software."""
    if component in _COMPONENTS:
        return _COMPONENTS[component]
    return FaultKind.SOFTWARE if component.endswith("Ctrlr") else FaultKind.UNKNOWN


def is_conclusive(code: str) -> bool:
    """Whether OCPP knows the code well enough that the vendor's code is a mere detail of it."""
    return code.casefold() in _BY_FOLDED_CODE
