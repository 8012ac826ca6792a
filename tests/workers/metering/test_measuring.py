"""Meter values are read with the specification's defaults, and never dropped."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.metering.measuring import Origin, read_meter_values
from workers.metering.start_stop import energy_wh, read_start, read_stop
from workers.metering.transaction_event import merge, read_event
from workers.metering.units import UNITS, natural_unit, normalise

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
ORIGIN = Origin("CP-1", NOW, connector_id=1)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("timestamp", "sampledValue", "value", "measurand", "unit", "phase", "unitOfMeasure", "multiplier", "context")
junk = st.recursive(
    json_values,
    lambda inner: st.dictionaries(st.sampled_from(FIELDS), inner) | st.lists(inner, max_size=4),
    max_leaves=20,
)


def samples(*sampled, is_2x=False) -> Any:
    values = [{"timestamp": "2026-05-01T11:00:00Z", "sampledValue": list(sampled)}]
    return read_meter_values(values, ORIGIN, is_2x=is_2x).samples


def test_what_is_missing_gets_the_specifications_default():
    (sample,) = samples({"value": "12"})
    assert (sample.measurand, sample.context, sample.format, sample.location, sample.unit, sample.phase) == (
        "Energy.Active.Import.Register",
        "Sample.Periodic",
        "Raw",
        "Outlet",
        "Wh",
        "",
    )
    assert (sample.value, sample.normal_value, sample.flags) == (12, 12, "")


@pytest.mark.parametrize(
    ("value", "unit", "normal"),
    [
        (1.5, "kWh", (1500, "Wh")),
        (1.5, "kW", (1500, "W")),
        (2, "kvar", (2000, "var")),
        (2, "kvarh", (2000, "varh")),
        (2, "kVA", (2000, "VA")),
        (300, "K", (26.85, "Celsius")),
        (212, "Fahrenheit", (100, "Celsius")),
        (20, "Celcius", (20, "Celsius")),
        (50, "Hertz", (50, "Hz")),
        (7, "furlong", (7, "furlong")),
    ],
)
def test_a_value_is_kept_beside_its_normal_form(value, unit, normal):
    found, name = normalise(value, unit)
    assert (pytest.approx(found), name) == normal
    (sample,) = samples({"value": str(value), "unit": unit})
    assert (sample.value, sample.unit, sample.raw_value) == (value, unit, str(value))
    assert ("unit_unknown" in sample.flags) is (unit.casefold() not in UNITS)


def test_a_unit_that_is_missing_is_assumed_from_the_measurand_and_flagged():
    (sample,) = samples({"value": "230", "measurand": "Voltage"})
    assert (sample.unit, sample.flags) == ("V", "unit_assumed")
    assert natural_unit("Energy.Reactive.Import.Interval") == ("Wh", False)
    assert natural_unit("Power.Reactive.Import")[0] == "var"
    assert natural_unit("Power.Factor") == ("", False)


def test_the_multiplier_of_2x_counts():
    (sample,) = samples({"value": 12.5, "unitOfMeasure": {"unit": "Wh", "multiplier": 3}}, is_2x=True)
    assert (sample.value, sample.normal_value) == (12500, 12500)


def test_samples_alike_in_one_message_are_all_kept_and_told_apart():
    found = samples({"value": "1"}, {"value": "2"}, {"value": "3", "phase": "L1"})
    assert len({sample.natural_key() for sample in found}) == 3


def test_the_natural_key_of_a_transactions_sample_does_not_depend_on_the_connector():
    values = [{"timestamp": "2026-05-01T11:00:00Z", "sampledValue": [{"value": "1"}]}]
    keys = {
        read_meter_values(values, Origin("CP-1", NOW, connector_id=connector, transaction_ref="7"), is_2x=False)
        .samples[0]
        .natural_key()
        for connector in (None, 1)
    }
    assert len(keys) == 1


@settings(deadline=None)  # another process may take the processor meanwhile
@given(junk, st.booleans())
def test_no_payload_breaks_the_reading_and_every_reading_is_repeatable(values, is_2x):
    values = orjson.loads(orjson.dumps(values))
    first = read_meter_values(values, ORIGIN, is_2x=is_2x)
    again = read_meter_values(values, ORIGIN, is_2x=is_2x)
    assert first == again
    assert len({sample.natural_key() for sample in first.samples}) == len(first.samples)


@settings(deadline=None)  # another process may take the processor meanwhile
@given(st.lists(st.fixed_dictionaries({"value": json_values})))
def test_every_sampled_value_becomes_a_sample(sampled):
    assert len(samples(*sampled)) == len(sampled)


@settings(deadline=None)  # another process may take the processor meanwhile
@given(
    st.dictionaries(st.sampled_from(["connectorId", "idTag", "meterStart", "timestamp", "transactionId"]), json_values)
)
def test_no_payload_breaks_start_and_stop(payload):
    start, stop = read_start(payload, NOW), read_stop(payload, NOW)
    assert start == read_start(payload, NOW)
    assert stop == read_stop(payload, NOW)
    assert (start.meter_start_wh is not None) or any(flag.startswith("meterStart_") for flag in start.flags)


@settings(deadline=None)  # another process may take the processor meanwhile
@given(
    st.dictionaries(
        st.sampled_from(
            ["eventType", "timestamp", "seqNo", "transactionInfo", "evse", "idToken", "meterValue", "offline"]
        ),
        junk,
    )
)
def test_no_payload_breaks_an_event(payload):
    event = read_event("CP-1", payload, NOW)
    once = merge({}, event, NOW)
    again = {**once, **merge(once, event, NOW)}
    assert again == {**once, "flags": again.get("flags")} if "flags" in again else again == once


def test_energy_is_the_difference_of_two_registers():
    assert energy_wh(1000, 3500) == (2500, None)
    assert energy_wh(None, 3500) == (None, None)
    assert energy_wh(3500, 0) == (None, "energy_negative")
