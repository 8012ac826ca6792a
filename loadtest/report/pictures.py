"""The plots there can be, in the order of the page, and what each one shows; no drawing here."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Group:
    """One plot: its key is the group of its series, and the name of its file."""

    key: str
    title: str
    caption: str


@dataclass(frozen=True)
class Picture:
    """A drawn plot, on a light and on a dark ground."""

    group: Group
    light: bytes
    dark: bytes
    width: int
    height: int


GROUPS: Final = (
    Group("throughput", "Throughput", "What was sent and answered in each second."),
    Group("latency", "Latency", "Percentiles of each second. The scale is logarithmic: equal steps are equal factors."),
    Group("sockets", "Charge points", "How many are connected, and how many have been accepted after their boot."),
    Group("cpu", "CPU", "What each part uses, one upon the other; the upper edge is all of them together."),
    Group("memory", "Memory", "What each part holds resident."),
    Group("queue", "Queues", "What waits on its way, and for how long."),
    Group("generator", "Load generator", "Whether the tool itself kept up: past 85 % of a core it measures itself."),
)
STAGES_CPU: Final = Group("stages-cpu", "Where the CPU of a Call goes", "CPU time of each part for one Call.")
STAGES_TIME: Final = Group(
    "stages-time",
    "Where the time of a Call goes",
    "Half of the Calls are through a stage by the end of the strong bar, 99 % by the end of the pale one. "
    "Stages contain each other: the gateway's time includes the broker's and the worker's.",
)
ANCHORS: Final = Group(
    "anchors",
    "Beside others on this machine",
    "Measured in the same run. The ratio is ours to theirs, and is what holds on other machines too.",
)
