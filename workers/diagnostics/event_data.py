"""What an OCPP 2.x NotifyEvent says about faults: AvailabilityState and Problem of components (part 2, N07). Pure."""

from dataclasses import dataclass
from datetime import datetime

from workers.diagnostics.fault_classes import FAULTED, PROBLEM, FaultKind, of_component
from workers.diagnostics.fault_register import Fault

CONNECTOR_PLACE = "connector"
"""The place of faults reported by StatusNotification, and by AvailabilityState of the same connector."""

_WITH_AVAILABILITY = frozenset({"Connector", "EVSE", "ChargingStation"})


@dataclass(frozen=True, slots=True)
class DeviceEvent:
    """One eventData entry, as far as its fields could be read; absent numbers are 0 as in the store."""

    event_id: int
    occurred_at: datetime
    component: str
    component_instance: str = ""
    evse_id: int = 0
    connector_id: int = 0
    variable: str = ""
    variable_instance: str = ""
    trigger: str | None = None
    actual_value: str | None = None
    cleared: bool = False
    tech_code: str | None = None
    tech_info: str | None = None
    notification_type: str | None = None
    transaction_id: str | None = None
    cause: int | None = None
    monitoring_id: int | None = None
    severity: int | None = None


@dataclass(frozen=True, slots=True)
class FaultSignal:
    """What an event tells the fault register: at which place, and the fault (None: it is healthy)."""

    place: str
    fault: Fault | None


def fault_signal(event: DeviceEvent) -> FaultSignal | None:
    """What the event tells the fault register; None when it speaks of something else."""
    if event.variable == "AvailabilityState" and event.component in _WITH_AVAILABILITY:
        faulted = event.actual_value == FAULTED and not event.cleared
        details = {"vendor_error_code": event.tech_code, "info": event.tech_info}
        return FaultSignal(CONNECTOR_PLACE, Fault(FAULTED, FaultKind.UNKNOWN, True, **details) if faulted else None)
    if event.variable == "Problem":
        place = f"{event.component}/{event.component_instance}" if event.component_instance else event.component
        if event.cleared or (event.actual_value or "").strip().casefold() not in {"true", "1"}:
            return FaultSignal(place, None)
        kind = of_component(event.component)
        # The component says what is broken; its techCode is a detail that may change while the problem lasts.
        return FaultSignal(place, Fault(PROBLEM, kind, True, None, None, event.tech_info or event.tech_code))
    return None
