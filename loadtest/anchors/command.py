"""The command `ocpp-loadtest anchors`."""

import argparse
import asyncio
import os
import sys
from dataclasses import asdict
from pathlib import Path

import orjson

from loadtest.anchors.measuring import Found, cpu_of, measure
from loadtest.anchors.sockets import Counts
from loadtest.report.model import Anchor

AMQP_VARIABLE = "AMQP_URL"


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "anchors",
        help="what others reach on this machine, to compare with",
        description="Measures a bare echo by websockets, its Sans-I/O core, a CSMS made of the ocpp package, and "
        "RabbitMQ's own ceiling on this machine. Takes about a minute with the defaults.",
    )
    add = parser.add_argument
    add("--seconds", type=_seconds, default=5.0, help="of each measurement (default %(default)s)")
    add("--sockets", type=int, default=Counts.many, help="at most, of each server (default %(default)s)")
    add("--active", type=int, default=Counts.few, help="the fewer that talk at first (default %(default)s)")
    add("--amqp-url", help=f"a broker to measure; {AMQP_VARIABLE} does not show in `ps`")
    add("--broker-pid", type=int, metavar="PID", help="of the broker, where it runs on this machine: its CPU is told")
    add("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print a table, write the JSON; 1 when something could not be measured. ValueError for bad arguments."""
    if not 0 < arguments.active < arguments.sockets:
        raise ValueError("--active must be at least 1, and less than --sockets")
    from uvloop import new_event_loop

    work = measure(
        seconds=arguments.seconds,
        counts=Counts(few=arguments.active, many=arguments.sockets),
        amqp_url=arguments.amqp_url or os.environ.get(AMQP_VARIABLE) or None,
        broker_cpu_s=None if arguments.broker_pid is None else cpu_of(arguments.broker_pid),
        tell=lambda text: print(text, file=sys.stderr, flush=True),
    )
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            found = runner.run(work)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 1
    print("\n".join(lines(found)))
    if arguments.json is not None:
        told = {"anchors": [asdict(anchor) for anchor in found.anchors], "notes": found.notes}
        arguments.json.write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2) + b"\n")
    return 1 if found.failed else 0


def lines(found: Found) -> list[str]:
    """The table as text, and the notes."""
    rows = [(anchor.name, _shown(anchor), anchor.unit, anchor.what) for anchor in found.anchors]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    return [
        *(f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}} {row[2]:<{widths[2]}}  {row[3]}" for row in rows),
        *found.notes,
    ]


def _shown(anchor: Anchor) -> str:
    return f"{anchor.value:,.0f}" if anchor.value >= 100 else f"{anchor.value:.1f}"


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0.1 <= value <= 600:
        raise argparse.ArgumentTypeError(f"{text} is not from 0.1 to 600")
    return value
