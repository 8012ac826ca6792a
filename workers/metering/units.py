"""Units of measure and their normal forms. Pure."""

KELVIN_ZERO = 273.15

UNITS: dict[str, tuple[str, float]] = {
    "wh": ("Wh", 1),
    "kwh": ("Wh", 1000),
    "varh": ("varh", 1),
    "kvarh": ("varh", 1000),
    "w": ("W", 1),
    "kw": ("W", 1000),
    "va": ("VA", 1),
    "kva": ("VA", 1000),
    "var": ("var", 1),
    "kvar": ("var", 1000),
    "vah": ("VAh", 1),
    "kvah": ("VAh", 1000),
    "a": ("A", 1),
    "v": ("V", 1),
    "hz": ("Hz", 1),
    "hertz": ("Hz", 1),
    "percent": ("Percent", 1),
    "rpm": ("RPM", 1),
    "celsius": ("Celsius", 1),
    "celcius": ("Celsius", 1),  # 1.6 spelled it so until its errata (2.1)
    "k": ("Celsius", 1),
    "fahrenheit": ("Celsius", 1),
}
"""Normal unit and factor by case-folded unit; temperatures need more than a factor."""

_NATURAL = {
    "Current": "A",
    "Voltage": "V",
    "Frequency": "Hz",
    "Temperature": "Celsius",
    "SoC": "Percent",
    "RPM": "RPM",
    "Power.Factor": "",  # a ratio
    "Power.Reactive": "var",
    "Power": "W",
}


def natural_unit(measurand: str) -> tuple[str, bool]:
    """The unit of a value without one, and whether that is our assumption: for energy the specification says Wh."""
    if measurand.startswith("Energy") or measurand == "Energy":
        return "Wh", False
    for prefix, unit in _NATURAL.items():
        if measurand == prefix or measurand.startswith(prefix + "."):
            return unit, unit not in {"Percent", "RPM", "Hz", ""}  # these have no other unit in 1.6
    return "", False


def normalise(value: float | None, unit: str) -> tuple[float | None, str]:
    """The value in its normal unit; an unknown unit is its own normal form."""
    normal, factor = UNITS.get(unit.casefold(), (unit, 1.0))
    if value is None:
        return None, normal
    if normal == "Celsius":
        return _celsius(value, unit.casefold()), normal
    return value * factor, normal


def _celsius(value: float, unit: str) -> float:
    if unit == "k":
        return value - KELVIN_ZERO
    return (value - 32) * 5 / 9 if unit == "fahrenheit" else value
