"""What a charge point does in which order and when: endless, pure, and apart from the pace at which it is played."""

from collections.abc import Iterator
from enum import IntEnum, auto
from math import ceil
from random import Random

from loadtest.crowd.mix import DAY_MIX, DAY_S, Mix, calls_per_second
from loadtest.crowd.orders import Kind

_GOLDEN = 0.618033988749895


class Step(IntEnum):
    """One Call of a charge point, or a few that belong together: billing data first, changes of status last."""

    START = auto()
    METER = auto()
    STOP = auto()
    HEARTBEAT = auto()
    BOOT = auto()
    AUTHORIZE = auto()
    PREPARING = auto()
    CHARGING = auto()
    FINISHING = auto()
    AVAILABLE = auto()


Timeline = Iterator[tuple[float, Step]]
"""Seconds since the begin and what is due then, in order, without end."""

_SESSION_16: tuple[tuple[float, Step], ...] = (
    (-10.0, Step.PREPARING), (-5.0, Step.AUTHORIZE), (0.0, Step.START), (1.0, Step.CHARGING),
)  # fmt: skip
_SESSION_201 = tuple(one for one in _SESSION_16 if one[1] is not Step.CHARGING)
_END_16: tuple[tuple[float, Step], ...] = ((0.0, Step.STOP), (1.0, Step.FINISHING), (30.0, Step.AVAILABLE))
_END_201 = tuple(one for one in _END_16 if one[1] is not Step.FINISHING)


def timeline(kind: Kind, number: int, *, seed: int = 1, speaks_201: bool = False, mix: Mix = DAY_MIX) -> Timeline:
    """What the charge point of that number does under a kind of load."""
    if kind == "mix":
        return day(mix, number, Random(f"{seed}-{number}"), speaks_201=speaks_201)
    return even(Step.HEARTBEAT if kind == "heartbeat" else Step.METER, number)


def natural_rate(kind: Kind, count: int, *, share_201: float = 0.0, mix: Mix = DAY_MIX) -> float:
    """Calls a second of so many charge points whose timelines run at the pace of the clock."""
    return sum(calls_per_second(mix, count, share_201=share_201).values()) if kind == "mix" else float(count)


def even(step: Step, number: int) -> Timeline:
    """The same step once a second; many charge points are spread over that second by their numbers."""
    at_s = (number * _GOLDEN) % 1.0
    while True:
        yield at_s, step
        at_s += 1.0


def day(mix: Mix, number: int, rng: Random, *, speaks_201: bool) -> Timeline:
    """The day mix, day after day. Charge points begin at different places in it, be it within a session.

    Such a session has no start, so its first sample has to make up for it. Sessions are spread by the charge points'
    numbers, so that as many as should charge at any time do even among a few; the rest is by chance.
    """
    beat_s = rng.random() * mix.heartbeat_s
    boot_s = rng.random() * DAY_S / mix.boots_per_day
    cycle_s = DAY_S / mix.sessions_per_day
    begin_s = (number * _GOLDEN) % 1.0 * cycle_s - mix.session_s
    sessions = _sessions(mix, begin_s, cycle_s, speaks_201=speaks_201)
    at_s, step = next(sessions)
    del rng  # its state is larger than all the rest
    while True:
        if at_s <= beat_s and at_s <= boot_s:
            if at_s >= 0:
                yield at_s, step
            at_s, step = next(sessions)
        elif beat_s <= boot_s:
            yield beat_s, Step.HEARTBEAT
            beat_s += mix.heartbeat_s
        else:
            yield boot_s, Step.BOOT
            boot_s += DAY_S / mix.boots_per_day


def _sessions(mix: Mix, begin_s: float, cycle_s: float, *, speaks_201: bool) -> Timeline:
    before, after = (_SESSION_201, _END_201) if speaks_201 else (_SESSION_16, _END_16)
    while True:
        for offset_s, step in before:
            yield begin_s + offset_s, step
        for number in range(1, mix.samples_per_session + 1):
            yield begin_s + number * mix.sample_s, Step.METER
        for offset_s, step in after:
            yield begin_s + mix.session_s + offset_s, step
        begin_s += cycle_s


class Pace:
    """How fast timelines are played: at `begin_s` of the real clock they are at `from_s`, then `fold` times as fast."""

    __slots__ = ("_begin_ms", "_ms_per_s", "fold")

    def __init__(self, begin_s: float, from_s: float, fold: float) -> None:
        self.fold = fold
        self._ms_per_s = 1000.0 / fold
        self._begin_ms = begin_s * 1000.0 - from_s * self._ms_per_s

    def real_ms(self, at_s: float) -> int:
        """The millisecond of the real clock at which a timeline is at `at_s`."""
        return ceil(self._begin_ms + at_s * self._ms_per_s)

    def at_s(self, real_s: float) -> float:
        """Where timelines are at a time of the real clock."""
        return (real_s * 1000.0 - self._begin_ms) / self._ms_per_s
