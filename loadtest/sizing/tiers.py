"""What a tier of one cell needs, and which need decides."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil

MILLION = 1e6
KB, MB, GB = 1024.0, 1024.0**2, 1024.0**3


@dataclass(frozen=True, kw_only=True)
class Need:
    """One reason for a number of replicas."""

    why: str
    replicas: int


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """What grows with charge points and cannot be added to: one process, one queue, one server."""

    what: str
    share: float
    """Of what it can bear; 1 is its end."""
    then: str
    """What is to be done past it."""


@dataclass(frozen=True, kw_only=True)
class Tier:
    """Replicas of one kind of process, or nodes of one server."""

    name: str
    replicas: int
    why: str
    """What asks for so many."""
    busy_cores: float
    """Used by all of them together in the busiest hour."""
    cores: float
    """To ask for, for each."""
    memory_gb: float
    """To ask for, for each."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """What else is to know, by name with unit."""


def most(needs: list[Need]) -> Need:
    """The need that decides; of equal ones the first."""
    return max(needs, key=lambda need: need.replicas)


def rounded_up(value: float, to: float) -> float:
    """The next multiple."""
    return round(ceil(round(value / to, 9)) * to, 6)
