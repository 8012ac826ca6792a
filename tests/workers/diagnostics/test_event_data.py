from datetime import UTC, datetime
from typing import Any

import pytest

from workers.diagnostics.event_data import CONNECTOR_PLACE, DeviceEvent, fault_signal
from workers.diagnostics.fault_classes import FaultKind

AT = datetime(2026, 5, 1, tzinfo=UTC)


def event(component: str, variable: str, actual_value: str | None, **more: Any) -> DeviceEvent:
    return DeviceEvent(1, AT, component, variable=variable, actual_value=actual_value, **more)


@pytest.mark.parametrize("component", ["Connector", "EVSE", "ChargingStation"])
def test_availability_state_faulted_is_a_fault_of_the_connector(component):
    signal = fault_signal(event(component, "AvailabilityState", "Faulted", tech_code="E7"))
    assert signal is not None
    assert signal.place == CONNECTOR_PLACE
    assert signal.fault is not None
    assert (signal.fault.code, signal.fault.vendor_error_code) == ("Faulted", "E7")


@pytest.mark.parametrize(("value", "cleared"), [("Available", False), ("Faulted", True), (None, False)])
def test_any_other_availability_or_a_cleared_one_is_health(value, cleared):
    signal = fault_signal(event("Connector", "AvailabilityState", value, cleared=cleared))
    assert signal is not None
    assert signal.fault is None


def test_a_problem_is_a_fault_of_its_component():
    signal = fault_signal(event("PowerContactor", "Problem", "true", component_instance="L1"))
    assert signal is not None
    assert signal.place == "PowerContactor/L1"
    assert signal.fault is not None
    assert signal.fault.kind is FaultKind.HARDWARE


@pytest.mark.parametrize(("value", "cleared"), [("false", False), ("true", True), ("", False), (None, False)])
def test_a_problem_that_is_gone_or_cleared_is_health(value, cleared):
    signal = fault_signal(event("TokenReader", "Problem", value, cleared=cleared))
    assert signal is not None
    assert signal.fault is None


def test_other_variables_are_no_matter_for_the_register():
    assert fault_signal(event("TokenReader", "Temperature", "true")) is None
