"""The subcommands of the scenarios, against a system that the arguments name or one that somebody else brings."""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from loadtest.scenarios import (
    arguments,
    commands,
    drain,
    given,
    growth,
    idle,
    max_load,
    slow_worker,
    soak,
    steady,
    storm,
)
from loadtest.scenarios.playing import Opening, play
from loadtest.scenarios.scenario import Scenario
from loadtest.scenarios.system import SystemFailed

SCENARIOS: tuple[Scenario, ...] = (
    steady.SCENARIO,
    max_load.SCENARIO,
    idle.SCENARIO,
    growth.SCENARIO,
    soak.SCENARIO,
    storm.SCENARIO,
    commands.SCENARIO,
    slow_worker.SCENARIO,
    drain.SCENARIO,
)


def add_to(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add all scenarios, played against the system that `--url` and `--metrics` name."""
    add_scenarios(commands, given.add_to, given.opened, program="ocpp-loadtest", prefix="load-")


def add_scenarios(
    commands: "argparse._SubParsersAction[Any]",
    add_system: Callable[[argparse.ArgumentParser], None],
    opening: Opening,
    *,
    program: str,
    prefix: str,
) -> None:
    """Add all scenarios; `opening` opens the system that the arguments of `add_system` describe.

    Without `--report`, the report's folder is the scenario's name and the time, with `prefix` before it; `program` is
    how the command is called.
    """
    for scenario in SCENARIOS:
        parser = commands.add_parser(scenario.name, help=scenario.help, description=scenario.help)
        add_system(parser)
        scenario.add_to(parser)
        arguments.add_to(parser, scenario.defaults)
        parser.set_defaults(run=partial(_run, scenario, opening, program, prefix))


def _run(scenario: Scenario, opening: Opening, program: str, prefix: str, options: argparse.Namespace) -> int:
    try:
        return play(scenario, options, opening, program, prefix)
    except SystemFailed as failure:
        print(f"{program} {scenario.name}: {failure}", file=sys.stderr)
        return 1
