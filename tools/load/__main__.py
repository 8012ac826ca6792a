"""`make load ARGS="steady --rate 2000"`: a scenario of ocpp-loadtest on a whole system that is started for the run."""

import argparse
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

from loadtest.scenarios import command
from loadtest.scenarios.system import SystemFailed
from tools.load.local import ID_TAGS, LocalSystem, Plan
from tools.nodes import NodeFailed, NodeUnavailable
from tools.stack import ROOT

FOLDER = ROOT / ".dev" / "load"
_INTERRUPTED = 130
_SEVERAL = {"storm": 3, "drain": 3}
"""Scenarios that need more than one gateway, and how many they get."""
_LIMITED = ("storm",)
"""Those that keep the limits of production: how the system defends itself is a part of what they show."""

_ADDRESSES = 100
"""From so many a storm comes: some of production's limits are for each address, and a city has many."""


def main(argv: list[str] | None = None) -> int:
    """Run one scenario; 0 passed, 1 failed, 2 bad arguments, 3 generator limited."""
    parser = argparse.ArgumentParser(
        prog="make load", description="A load scenario on a broker, a database, gateways and workers of its own.",
        epilog="AMQP_URL and DATABASE_URL, where they are set, are used instead of servers of its own.",
    )  # fmt: skip
    commands = parser.add_subparsers(dest="scenario", required=True)
    command.add_scenarios(commands, add_to, opened, program="python -m tools.load", prefix=f"{FOLDER}/")
    for scenario in commands.choices.values():
        scenario.set_defaults(id_tags=ID_TAGS)
    commands.choices["storm"].set_defaults(source_addresses=_ADDRESSES)
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # leave nothing behind either way
    try:
        code: int = options.run(options)
    except ValueError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        return _INTERRUPTED
    return code


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that describe the system."""
    add = parser.add_argument_group("system").add_argument
    add("--gateways", type=int, metavar="N", help="gateway processes (1; 3 for storm and drain)")
    add("--replicas", type=_replicas, action="append", default=[], metavar="SERVICE=N",
        help="so many workers of a service, as metering=2 (1)")  # fmt: skip
    add("--setting", type=_setting, action="append", default=[], metavar="NAME=VALUE",
        help="environment of all gateways and workers")  # fmt: skip
    add("--sqlite", action="store_true", help="instead of PostgreSQL")
    add("--limits", action=argparse.BooleanOptionalAction, default=None,
        help="keep production's limits on handshakes, reconnects and frames (only for storm)")  # fmt: skip


@contextmanager
def opened(options: argparse.Namespace) -> Iterator[LocalSystem]:
    """The system of these arguments, running; SystemFailed when it cannot be started."""
    plan = plan_of(options)
    folder = FOLDER / f"system-{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}"
    with ExitStack() as undo:
        try:
            system = undo.enter_context(LocalSystem(plan, folder, _say))
        except (NodeFailed, NodeUnavailable) as failure:
            raise SystemFailed(str(failure)) from None
        _say(f"logs: {system.logs}")
        yield system


def plan_of(options: argparse.Namespace) -> Plan:
    """What the arguments ask for; ValueError when that is no system."""
    return Plan(
        gateways=_SEVERAL.get(options.scenario, 1) if options.gateways is None else options.gateways,
        replicas=dict(options.replicas),
        settings=dict(options.setting),
        sqlite=options.sqlite,
        tls=options.tls,
        limits=options.scenario in _LIMITED if options.limits is None else options.limits,
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _replicas(text: str) -> tuple[str, int]:
    service, count = _setting(text)
    if not count.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not SERVICE=N")
    return service, int(count)


if __name__ == "__main__":
    sys.exit(main())
