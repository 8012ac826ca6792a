"""What a scenario is: a name, its help, its defaults, and how it is played."""

import argparse
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from loadtest.scenarios.running import Run
from loadtest.scenarios.system import Fault

Play = Callable[[Run, argparse.Namespace], Awaitable[None]]


def _nothing_more(parser: argparse.ArgumentParser) -> None:
    del parser


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One of the things that can be asked of a system; `play` fills the run's report and is bounded in time."""

    name: str
    """Of its subcommand."""
    title: str
    """Of its live view."""
    help: str
    """One sentence."""
    play: Play
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Of the shared arguments, where they differ from those of all."""
    add_to: Callable[[argparse.ArgumentParser], None] = _nothing_more
    """Adds arguments of its own."""
    faults: frozenset[Fault] = frozenset()
    """What has to be possible with the system, whatever the arguments."""
