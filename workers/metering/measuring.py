"""Meter values of all versions, read into samples. Pure.

Missing fields get the specification's defaults (1.6 7.43, 2.x SampledValueType); what is no number is kept raw.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from workers.metering.units import UNITS, natural_unit, normalise
from workers.runtime.reading import read_int, read_list, read_number, read_object, read_text, read_time
from workers.store.samples import Sample

ENERGY_REGISTER = "Energy.Active.Import.Register"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where samples come from; what they share. `flags` apply to each of them."""

    identity: str
    received_at: datetime
    evse_id: int | None = None
    connector_id: int | None = None
    transaction_ref: str = ""
    flags: tuple[str, ...] = ()
    context: str = "Sample.Periodic"


@dataclass(frozen=True, slots=True)
class Measured:
    """The samples of a message, and whether something in it could not be read as one."""

    samples: tuple[Sample, ...]
    unreadable: bool = False


def read_meter_values(values: Any, origin: Origin, *, is_2x: bool) -> Measured:
    """Read a `meterValue` or `transactionData` list, in its order."""
    samples: list[Sample] = []
    unreadable = values is not None and not isinstance(values, list)
    seen: dict[bytes, int] = {}
    for meter_value in read_list(values):
        if not isinstance(meter_value, dict):
            unreadable = True
            continue
        moment, time_flag = read_time(meter_value.get("timestamp"), origin.received_at)
        sampled = read_list(meter_value.get("sampledValue"))
        unreadable = unreadable or not sampled
        for raw in sampled:
            if not isinstance(raw, dict):
                unreadable = True
                continue
            sample = _read_2x(raw, moment, origin, time_flag) if is_2x else _read_16(raw, moment, origin, time_flag)
            key = sample.key = sample.natural_key()
            before = seen.get(key, 0)
            if before:
                sample.ordinal = before
                sample.key = sample.natural_key()
            samples.append(sample)
            seen[key] = before + 1
    return Measured(tuple(samples), unreadable)


def _read_16(raw: dict[str, Any], moment: datetime, origin: Origin, time_flag: str | None) -> Sample:
    measurand = _word(raw, "measurand") or ENERGY_REGISTER
    unit = _word(raw, "unit")
    signed = raw.get("format") == "SignedData"
    flags = _flags(origin, time_flag)
    number = None if signed else read_number(raw.get("value"))[0]
    if number is None and not signed:
        flags.append("unparsable")
    if not isinstance(raw.get("value"), str):
        flags.append("value_type")
    return _sample(raw, moment, origin, measurand, unit, number, flags)


def _read_2x(raw: dict[str, Any], moment: datetime, origin: Origin, time_flag: str | None) -> Sample:
    measurand = _word(raw, "measurand") or ENERGY_REGISTER
    measure = read_object(raw.get("unitOfMeasure"))
    unit = _word(measure, "unit")
    multiplier, problem = read_int(measure.get("multiplier"), low=-24, high=24)
    if problem == "missing":  # left out, or null
        multiplier, problem = 0, None
    flags = _flags(origin, time_flag)
    number, number_flag = read_number(raw.get("value"))
    if number is None or multiplier is None:
        number = None
        flags.append("unparsable")
    elif multiplier:
        number *= 10.0**multiplier
    if number_flag == "type" or problem is not None:
        flags.append("value_type")
    return _sample(raw, moment, origin, measurand, unit, number, flags)


def _flags(origin: Origin, time_flag: str | None) -> list[str]:
    return [*origin.flags, time_flag] if time_flag else list(origin.flags)


def _sample(
    raw: dict[str, Any],
    moment: datetime,
    origin: Origin,
    measurand: str,
    unit: str,
    number: float | None,
    flags: list[str],
) -> Sample:
    if not unit:
        unit, assumed = natural_unit(measurand)
        if assumed:
            flags.append("unit_assumed")
    elif unit.casefold() not in UNITS:
        flags.append("unit_unknown")
    normal_value, normal_unit = normalise(number, unit)
    if normal_value is not None and not math.isfinite(normal_value):  # beyond what a double holds
        number = normal_value = None
        flags.append("unparsable")
    value = raw.get("value")
    return Sample(
        sampled_at=moment,
        received_at=origin.received_at,
        identity=origin.identity,
        evse_id=origin.evse_id,
        connector_id=origin.connector_id,
        transaction_ref=origin.transaction_ref,
        measurand=measurand,
        phase=_word(raw, "phase"),
        context=_word(raw, "context") or origin.context,
        location=_word(raw, "location") or "Outlet",
        format=_word(raw, "format") or "Raw",
        unit=unit,
        raw_value=value if isinstance(value, str) else orjson.dumps(value).decode(),
        value=number,
        normal_value=normal_value,
        normal_unit=normal_unit,
        signed_value=raw.get("signedMeterValue"),
        flags=" ".join(dict.fromkeys(flags)) if flags else "",
    )


def _word(raw: dict[str, Any], name: str) -> str:
    """The field as text; empty when it is missing or no text."""
    value = raw.get(name)
    if value is None:
        return ""
    return value if type(value) is str else read_text(value)[0] or ""


def believed_moment(sample: Sample) -> datetime:
    """When it was measured, or when it arrived if its clock is wrong; nothing arrives before it was measured."""
    return sample.received_at if sample.undated else min(sample.sampled_at, sample.received_at)


def last_register_wh(samples: tuple[Sample, ...]) -> float | None:
    """The reading of the whole meter at the transaction's end, else the highest: meters count up, clocks get lost."""
    read = [
        (sample.context, sample.normal_value)
        for sample in energy_registers(samples)
        if sample.context != "Transaction.Begin" and sample.normal_value is not None
    ]
    ends = [value for context, value in read if context == "Transaction.End"]
    return max(ends or (value for _, value in read), default=None)


def energy_registers(samples: tuple[Sample, ...]) -> Iterator[Sample]:
    """The readings of the whole meter (no single phase, at the outlet) by which energy is billed."""
    for sample in samples:
        if (
            sample.measurand == ENERGY_REGISTER
            and not sample.phase
            and sample.location == "Outlet"
            and sample.normal_value is not None
            and sample.normal_unit == "Wh"
        ):
            yield sample
