"""The electricity: what a car draws, and what a meter reads. Pure."""

from dataclasses import dataclass
from random import Random

_RAMP_S = 30.0
_TAPER_FROM = 0.8
_LEAST_SHARE = 0.05
_NOMINAL_V = 230.0


@dataclass(frozen=True, slots=True)
class Reading:
    """One measured value in the unit and at the place that OCPP names."""

    measurand: str
    value: float
    unit: str
    phase: str | None = None
    location: str = "Outlet"

    @property
    def text(self) -> str:
        return f"{self.value:.0f}" if self.unit in {"Wh", "Percent"} else f"{self.value:.2f}"


class Car:
    """A battery that takes full power up to 80 % and tapers off above; it ramps up over half a minute."""

    def __init__(self, battery_wh: float, soc: float, most_w: float) -> None:
        self.battery_wh = battery_wh
        self.soc = soc
        self.most_w = most_w
        self.elapsed_s = 0.0

    @property
    def full(self) -> bool:
        return self.soc >= 1.0

    def power_w(self, offered_w: float) -> float:
        """Tell what the car draws now of what is offered."""
        if self.full:
            return 0.0
        wanted = self.most_w
        if self.soc > _TAPER_FROM:
            wanted *= max(_LEAST_SHARE, (1.0 - self.soc) / (1.0 - _TAPER_FROM))
        return max(0.0, min(wanted, offered_w)) * min(1.0, self.elapsed_s / _RAMP_S)

    def take(self, energy_wh: float) -> None:
        """Store energy."""
        self.soc = min(1.0, self.soc + energy_wh / self.battery_wh)


class Meter:
    """A connector's meter; its register never goes back, and grows by the trapezoid of the power it shows."""

    def __init__(self, phases: int, rng: Random, register_wh: float = 0.0) -> None:
        self.register_wh = register_wh
        self.power_w = 0.0
        self._phases = max(1, phases)
        self._rng = rng
        self._volts = [_NOMINAL_V] * self._phases

    @property
    def whole_wh(self) -> int:
        return int(self.register_wh)

    def advance(self, seconds: float, power_w: float) -> float:
        """Let time pass at a power that has moved to `power_w` by its end; give the energy of it in Wh."""
        energy_wh = (self.power_w + power_w) / 2.0 * max(0.0, seconds) / 3600.0
        self.register_wh += energy_wh
        self.power_w = power_w
        self._volts = [_NOMINAL_V + self._rng.uniform(-3.0, 3.0) for _ in range(self._phases)]
        return energy_wh

    def readings(self, soc: float | None) -> list[Reading]:
        """Read everything the meter shows; the state of charge too when a car tells it."""
        amperes = self.power_w / sum(self._volts)
        values = [
            Reading("Energy.Active.Import.Register", float(self.whole_wh), "Wh"),
            Reading("Power.Active.Import", round(self.power_w, 2), "W"),
        ]
        values += [Reading("Current.Import", round(amperes, 2), "A", f"L{i + 1}") for i in range(self._phases)]
        values += [Reading("Voltage", round(volts, 2), "V", f"L{i + 1}-N") for i, volts in enumerate(self._volts)]
        if soc is not None:
            values.append(Reading("SoC", float(int(soc * 100)), "Percent", location="EV"))
        return values
