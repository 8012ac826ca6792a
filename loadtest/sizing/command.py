"""The command `ocpp-loadtest size`."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from loadtest.crowd.mix import DAY_MIX, Mix
from loadtest.parsing import number
from loadtest.report.model import Report
from loadtest.sizing import constants, showing
from loadtest.sizing.cells import plan
from loadtest.sizing.demand import Options

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse has no public name for it

_DEFAULT = Options()
_A_DAY_S = 86_400.0


def add_to(commands: "Commands") -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "size",
        help="what a number of charge points needs: replicas, memory, broker, database",
        description="Computes an installation from the measured constants; docs/capacity.md explains how, and where "
        "that ends. Nothing is measured or contacted.",
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("--charge-points", type=number(1, 100_000_000, int), required=True, metavar="N")
    add("--tls", action="store_true", help="charge points connect by wss:// to the gateways themselves")
    add("--share-201", type=number(0, 1), default=0.0, metavar="SHARE", help="that speak 2.0.1 (default %(default)s)")
    add("--format", choices=("text", "json", "helm-values"), default="text", help="(default %(default)s)")
    add("--from", type=Path, action="append", default=[], metavar="REPORT.json", dest="reports",
        help="use what this report of ocpp-loadtest measured instead of our constants; may be repeated")  # fmt: skip
    add(
        "--constants",
        type=Path,
        metavar="FILE",
        help="other constants than those shipped, as --write-constants has them",
    )
    add("--write-constants", type=Path, metavar="FILE", help="write the constants that were used there")

    mix = parser.add_argument_group("what the charge points do").add_argument
    day = number(1, _A_DAY_S)
    mix("--heartbeat-seconds", type=day, default=DAY_MIX.heartbeat_s, metavar="S", help="(default %(default)g)")
    mix("--sample-seconds", type=day, default=DAY_MIX.sample_s, metavar="S",
        help="between meter samples of a transaction (default %(default)g)")  # fmt: skip
    mix("--session-seconds", type=day, default=DAY_MIX.session_s, metavar="S", help="(default %(default)g)")
    mix("--charging-share", type=number(0.0001, 0.999), metavar="SHARE",
        help=f"of connectors that charge, on average of a day (default {DAY_MIX.charging_share:g})")  # fmt: skip
    mix(
        "--boots-per-day",
        type=number(0.001, 1000),
        default=DAY_MIX.boots_per_day,
        metavar="B",
        help="(default %(default)g)",
    )
    mix("--peak-factor", type=number(1, 100), default=DAY_MIX.peak_factor, metavar="F",
        help="sessions in the busiest hour by those of the average hour (default %(default)g)")  # fmt: skip
    mix(
        "--samples-per-message",
        type=number(0, 1000),
        default=_DEFAULT.samples_per_message,
        metavar="N",
        help="(default %(default)g)",
    )
    mix("--commands-per-day", type=number(0, 100_000), default=_DEFAULT.commands_per_day, metavar="C",
        help="of backends to each charge point (default %(default)g)")  # fmt: skip
    mix("--reconnects-per-day", type=number(0, 10_000), default=_DEFAULT.reconnects_per_day, metavar="R",
        help="of each charge point on an ordinary day (default %(default)g)")  # fmt: skip
    mix("--no-meter-events", action="store_true", help="OCPP_WORKER_EVENTS_OFF=meter.sampled")

    bear = parser.add_argument_group("what it has to bear").add_argument
    bear("--head-room", type=number(0, 0.95), default=_DEFAULT.head_room, metavar="SHARE",
         help="of every core, free in the busiest hour (default %(default)g)")  # fmt: skip
    bear(
        "--lose",
        choices=("replica", "zone"),
        default=_DEFAULT.lose,
        help="what the rest can do without (default %(default)s)",
    )
    bear("--zones", type=number(2, 100, int), default=_DEFAULT.zones, metavar="N", help="(default %(default)s)")
    bear("--reconnect-seconds", type=number(1, 86_400), default=_DEFAULT.reconnect_s, metavar="S",
         help="until all of those lost are connected again (default %(default)g)")  # fmt: skip
    bear("--power-cut-seconds", type=number(1, 86_400), default=_DEFAULT.power_cut_s, metavar="S",
         help="until all of a cell are back after a cut of all (default %(default)g)")  # fmt: skip
    bear("--addresses", type=number(0, 10_000_000, int), default=0, metavar="N",
         help="source addresses that they share behind a carrier's NAT; 0: one each (default %(default)s)")  # fmt: skip
    bear("--outage-hours", type=number(0, 1000), default=_DEFAULT.outage_hours, metavar="H",
         help="without database, for which the broker keeps billing data (default %(default)g)")  # fmt: skip
    bear("--keep-days", type=number(1, 10_000), default=_DEFAULT.keep_days, metavar="D",
         help="of meter samples and transactions in the database (default %(default)g)")  # fmt: skip
    bear("--broker-nodes", type=int, choices=(1, 3, 5), default=_DEFAULT.broker_nodes, help="(default %(default)s)")
    bear("--cell", type=number(1000, 1_000_000, int), metavar="N", help="most charge points of a cell")


def run(arguments: argparse.Namespace) -> int:
    """Print the plan; ValueError when there is none, or for files that cannot be read."""
    known = constants.shipped()
    if arguments.constants is not None:
        known = constants.read(_bytes(arguments.constants).decode())
    known, renewed = known.measured_by(map(_report, arguments.reports))
    if arguments.reports:
        print(f"from the reports: {', '.join(renewed) or 'nothing'}", file=sys.stderr)
    wanted = plan(arguments.charge_points, options_of(arguments), known)
    if arguments.write_constants is not None:
        try:
            arguments.write_constants.write_text(known.toml(), encoding="utf-8")
        except OSError as error:
            raise ValueError(f"{arguments.write_constants} cannot be written: {error.strerror}") from None
    if arguments.format == "json":
        sys.stdout.write(showing.json(wanted, known).decode())
    else:
        sys.stdout.write(showing.text(wanted, known) if arguments.format == "text" else showing.helm_values(wanted))
    return 0


def options_of(arguments: argparse.Namespace) -> Options:
    """The options that the arguments name."""
    mix = Mix(
        heartbeat_s=arguments.heartbeat_seconds,
        sample_s=arguments.sample_seconds,
        session_s=arguments.session_seconds,
        boots_per_day=arguments.boots_per_day,
        peak_factor=arguments.peak_factor,
    )
    if arguments.charging_share is not None:
        sessions = arguments.charging_share * _A_DAY_S / arguments.session_seconds
        mix = replace(mix, sessions_per_day=sessions)
    return Options(
        mix=mix,
        share_201=arguments.share_201,
        tls=arguments.tls,
        samples_per_message=arguments.samples_per_message,
        commands_per_day=arguments.commands_per_day,
        reconnects_per_day=arguments.reconnects_per_day,
        meter_events=not arguments.no_meter_events,
        head_room=arguments.head_room,
        lose=arguments.lose,
        zones=arguments.zones,
        reconnect_s=arguments.reconnect_seconds,
        power_cut_s=arguments.power_cut_seconds,
        addresses=arguments.addresses,
        broker_nodes=arguments.broker_nodes,
        outage_hours=arguments.outage_hours,
        keep_days=arguments.keep_days,
        cell_charge_points=float(arguments.cell or 0),
    )


def _report(path: Path) -> Report:
    try:
        return Report.decode(_bytes(path))
    except ValueError as error:
        raise ValueError(f"{path} {error}") from None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
