from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.diagnostics import fault_classes
from workers.diagnostics.fault_classes import FaultKind
from workers.diagnostics.fault_register import Change, Fault, OpenFault, from_status, observe

T0 = datetime(2026, 5, 1, 12, tzinfo=UTC)
CODES_16 = [
    *("ConnectorLockFailure", "EVCommunicationError", "GroundFailure", "HighTemperature", "InternalError"),
    *("LocalListConflict", "OtherError", "OverCurrentFailure", "OverVoltage", "PowerMeterFailure"),
    *("PowerSwitchFailure", "ReaderFailure", "ResetFailure", "UnderVoltage", "WeakSignal"),
]


@pytest.mark.parametrize("code", CODES_16)
def test_every_error_code_of_ocpp_16_has_its_kind(code):
    expected_unknown = code == "OtherError"
    assert (fault_classes.of_error_code(code) is FaultKind.UNKNOWN) == expected_unknown


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ConnectorLockFailure", FaultKind.HARDWARE),
        ("ResetFailure", FaultKind.SOFTWARE),
        ("OverVoltage", FaultKind.EXTERNAL),
        ("overvoltage", FaultKind.EXTERNAL),
        ("FluxCapacitor", FaultKind.UNKNOWN),
    ],
)
def test_codes_are_classified(code, kind):
    assert fault_classes.of_error_code(code) is kind


def test_a_vendor_code_decides_where_ocpp_says_nothing():
    assert fault_classes.of_error_code("OtherError", "GroundFailure") is FaultKind.HARDWARE
    assert fault_classes.of_error_code("WeakSignal", "GroundFailure") is FaultKind.EXTERNAL


@pytest.mark.parametrize(
    ("component", "kind"),
    [
        ("PowerContactor", FaultKind.HARDWARE),
        ("ElectricalFeed", FaultKind.EXTERNAL),
        ("ConnectedEV", FaultKind.EXTERNAL),
        ("LocalAuthListCtrlr", FaultKind.SOFTWARE),
        ("Espresso", FaultKind.UNKNOWN),
    ],
)
def test_components_are_classified(component, kind):
    assert fault_classes.of_component(component) is kind


def test_faulted_without_a_code_is_a_fault():
    fault = from_status("Faulted", "NoError")
    assert fault is not None
    assert (fault.code, fault.kind, fault.severe) == ("Faulted", FaultKind.UNKNOWN, True)
    assert from_status("Faulted", None) == fault


def test_an_error_code_without_faulted_is_a_milder_fault():
    fault = from_status("Available", "WeakSignal")
    assert fault is not None
    assert not fault.severe


@pytest.mark.parametrize(
    ("status", "code"), [("Available", "NoError"), ("Charging", None), (None, None), ("Occupied", "")]
)
def test_no_error_is_health(status, code):
    assert from_status(status, code) is None


def test_the_same_code_neither_duplicates_nor_restarts():
    fault = from_status("Faulted", "GroundFailure", vendor_error_code="7")
    assert fault is not None
    again = from_status("Faulted", "GroundFailure", vendor_error_code="8")
    assert observe(OpenFault(fault.key, T0), again, T0 + timedelta(minutes=1)) == Change(seen_again=True)


def test_another_vendor_code_of_other_error_is_another_fault():
    first = from_status("Faulted", "OtherError", vendor_error_code="7")
    second = from_status("Faulted", "OtherError", vendor_error_code="8")
    assert first is not None
    assert observe(OpenFault(first.key, T0), second, T0) == Change(end_duration_s=0.0, start=second)


def test_no_error_ends_the_fault_with_its_duration():
    open_fault = OpenFault(("GroundFailure", ""), T0)
    assert observe(open_fault, None, T0 + timedelta(seconds=90)) == Change(end_duration_s=90.0)


observations = st.lists(
    st.tuples(st.integers(0, 3600), st.sampled_from([*CODES_16, "NoError"]), st.sampled_from(["Faulted", "Available"])),
    max_size=40,
)


@given(observations)
def test_the_register_holds_one_open_fault_and_its_intervals_never_overlap(seen):
    at = T0
    open_fault: OpenFault | None = None
    closed: list[tuple[datetime, datetime]] = []
    for gap, code, status in seen:
        at += timedelta(seconds=gap)
        fault = from_status(status, code)
        change = observe(open_fault, fault, at)
        if change.end_duration_s is not None:
            assert open_fault is not None
            closed.append((open_fault.started_at, open_fault.started_at + timedelta(seconds=change.end_duration_s)))
            open_fault = None
        if change.start is not None:
            assert open_fault is None
            open_fault = OpenFault(change.start.key, at)
        assert (open_fault is not None) == (fault is not None)
        assert observe(open_fault, fault, at) in (Change(), Change(seen_again=True))
    assert all(start <= end for start, end in closed)
    assert all(before[1] <= after[0] for before, after in pairwise(closed))


def test_a_clock_that_steps_back_gives_no_negative_duration():
    assert observe(OpenFault(("X", ""), T0), None, T0 - timedelta(hours=1)).end_duration_s == 0.0


def test_a_fault_keeps_its_kind_severity_and_details():
    fault = from_status("Faulted", "ReaderFailure", vendor_id="acme", vendor_error_code="E1", info="no card")
    assert fault == Fault("ReaderFailure", FaultKind.HARDWARE, True, "acme", "E1", "no card")
