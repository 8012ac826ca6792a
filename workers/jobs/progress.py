"""How a charge point's report fits a job: the words that firmware updates and log uploads have in common."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

StateT = TypeVar("StateT", bound=StrEnum)

IDLE = "Idle"


class Verdict(StrEnum):
    """What a report did to the job."""

    ADVANCED = "advanced"
    SKIPPED = "skipped"
    """Advanced, though steps in between were never reported."""
    DUPLICATE = "duplicate"
    OUT_OF_ORDER = "out_of_order"
    """An earlier step than the job's: kept, without effect."""
    CONTRADICTORY = "contradictory"
    """An end that the reported steps exclude, such as DownloadFailed after Downloaded: taken, and flagged."""
    AFTER_END = "after_end"
    """The job had ended: kept, without effect."""
    IDLE = "idle"
    """The answer to a trigger: says nothing about the job."""
    UNKNOWN_STATUS = "unknown_status"
    UNSOLICITED = "unsolicited"
    """No job of this charge point fits."""

    @property
    def is_irregular(self) -> bool:
        """Whether an operator may want to look at it."""
        return self not in {Verdict.ADVANCED, Verdict.DUPLICATE, Verdict.IDLE}


@dataclass(frozen=True, slots=True)
class Step(Generic[StateT]):
    """The job's state after a report, and how the report fitted."""

    state: StateT
    verdict: Verdict


def read_report(
    state: StateT, status: str, states: Mapping[str, StateT], ended: Collection[StateT]
) -> Step[StateT] | StateT:
    """The step of a report that moves no job, whatever it is about; else the state that the report names."""
    if status == IDLE:
        return Step(state, Verdict.IDLE)
    reported = states.get(status)
    if reported is None:
        return Step(state, Verdict.UNKNOWN_STATUS)
    if reported is state:
        return Step(state, Verdict.DUPLICATE)
    if state in ended:
        return Step(state, Verdict.AFTER_END)
    return reported
