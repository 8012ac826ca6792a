"""An ordinary charge point's day in numbers, and what a network of them sends; the sources are in docs/day-mix.md."""

import math
from collections import defaultdict
from dataclasses import dataclass

DAY_S = 86_400.0
_CONNECTORS_16, _CONNECTORS_201 = 2, 1
_STATUS_16, _STATUS_201 = 4, 2
"""Status changes of a session: Preparing, Charging, Finishing, Available; 2.x knows Occupied and Available alone."""


@dataclass(frozen=True, kw_only=True)
class Mix:
    """One charge point with one connector, on average over a day."""

    heartbeat_s: float = 300.0
    sample_s: float = 60.0
    """Between two meter samples of a transaction."""
    session_s: float = 7200.0
    """From a transaction's start to its end."""
    sessions_per_day: float = 1.5
    boots_per_day: float = 0.1
    peak_factor: float = 2.0
    """How much busier with sessions the busiest hour is than the average; timelines are of the average."""

    def __post_init__(self) -> None:
        if min(self.heartbeat_s, self.sample_s, self.session_s, self.sessions_per_day, self.boots_per_day) <= 0:
            raise ValueError("intervals and counts of a mix are above 0")
        if self.charging_share >= 1:
            raise ValueError(f"{self.sessions_per_day:g} sessions of {self.session_s:g} s do not fit into a day")

    @property
    def charging_share(self) -> float:
        """The part of the connectors that charge at any time."""
        return self.sessions_per_day * self.session_s / DAY_S

    @property
    def samples_per_session(self) -> int:
        """Between start and end; the first is one interval after the start."""
        return max(0, math.ceil(self.session_s / self.sample_s) - 1)

    @classmethod
    def charging(cls, share: float, **others: float) -> "Mix":
        """One in which that share of the connectors charges: by the number of sessions, not by their length."""
        mix = cls(**others)
        return cls(**{**others, "sessions_per_day": share * DAY_S / mix.session_s})


DAY_MIX = Mix()


def calls_per_second(
    mix: Mix, charge_points: float, *, share_201: float = 0.0, at_peak: bool = False
) -> dict[str, float]:
    """Calls a second by action of so many charge points, a part of them with 2.0.1; `at_peak`: in the busiest hour."""
    sessions = mix.sessions_per_day * (mix.peak_factor if at_peak else 1.0)
    calls: defaultdict[str, float] = defaultdict(float)
    for share, connectors, statuses, is_201 in (
        (1.0 - share_201, _CONNECTORS_16, _STATUS_16, False),
        (share_201, _CONNECTORS_201, _STATUS_201, True),
    ):
        points = charge_points * share / DAY_S
        if not points:
            continue
        calls["Heartbeat"] += points * DAY_S / mix.heartbeat_s
        calls["BootNotification"] += points * mix.boots_per_day
        calls["StatusNotification"] += points * (sessions * statuses + mix.boots_per_day * connectors)
        calls["Authorize"] += points * sessions
        if is_201:
            calls["TransactionEvent"] += points * sessions * (mix.samples_per_session + 2)
        else:
            calls["StartTransaction"] += points * sessions
            calls["StopTransaction"] += points * sessions
            calls["MeterValues"] += points * sessions * mix.samples_per_session
    return dict(calls)
