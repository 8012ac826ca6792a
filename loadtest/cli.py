"""The command `ocpp-loadtest`."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import orjson

from loadtest.anchors import command as anchors
from loadtest.charge_point import ChargePoint
from loadtest.clock import Clock
from loadtest.fleet import Fleet, Plan
from loadtest.observer import Unobserved
from loadtest.parsing import DEFAULT_TAGS, file_to_write, identity_template, number, tag_list, websocket_url
from loadtest.report import command as report
from loadtest.scenarios import command as scenarios
from loadtest.settings import IDENTITY, Behaviour, LinkSettings
from loadtest.sizing import command as sizing
from loadtest.summary import Report
from loadtest.v16 import ChargePoint16
from loadtest.v201 import ChargePoint201

PASSWORD_VARIABLE = "OCPP_LOADTEST_PASSWORD"  # noqa: S105 - a variable's name
_BAD_ARGUMENTS = 2


def main(argv: list[str] | None = None) -> int:
    """Run the command; 0 when nothing was lost, 1 when something was, 2 for bad arguments.

    The rooms beside the simulator add commands of their own (`add_to`), whose `run` takes the arguments and gives the
    exit code; ValueError for arguments that it cannot take.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        if "run" in arguments:
            code: int = arguments.run(arguments)
            return code
        work = _fleet(arguments) if arguments.command == "fleet" else _one(arguments)
    except ValueError as error:
        parser.error(str(error))
    return _run(work)


def _run(work: Callable[[], Coroutine[Any, Any, int]]) -> int:
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    with suppress(ImportError):
        from uvloop import new_event_loop

        factory = new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(work())


def _fleet(arguments: argparse.Namespace) -> Callable[[], Coroutine[Any, Any, int]]:
    plan = Plan(
        link=_link(arguments),
        behaviour=_behaviour(arguments),
        count=arguments.count,
        share_201=arguments.share_201,
        ramp_per_s=arguments.ramp,
        source_addresses=arguments.source_addresses,
        identity_prefix=arguments.prefix,
        id_tags=tag_list(arguments.id_tags),
        session_s=arguments.session_seconds,
        pause_s=arguments.pause_seconds,
        seed=arguments.seed,
        speed=arguments.speed,
        seconds=arguments.seconds,
        until_transactions=arguments.until_transactions,
        grace_s=arguments.grace_seconds,
        keep_readings=arguments.json is not None,
    )

    async def work() -> int:
        fleet = Fleet(plan, lambda identity, crash: print(f"{identity} crashed: {crash!r}", file=sys.stderr))
        _on_signals(fleet.stop)
        server = None
        if arguments.metrics_port is not None:
            try:
                server, port = fleet.metrics.serve(arguments.metrics_port, arguments.metrics_address)
            except OSError as error:
                print(f"ocpp-loadtest: cannot serve metrics: {error.strerror}", file=sys.stderr)
                return _BAD_ARGUMENTS
            print(f"metrics: http://{arguments.metrics_address}:{port}/metrics", flush=True)
        progress = asyncio.create_task(_progress(fleet, arguments.progress_seconds))
        try:
            report = await fleet.run()
        finally:
            progress.cancel()
            if server is not None:
                server.shutdown()
                server.server_close()
        return _conclude(report, arguments.json)

    return work


def _one(arguments: argparse.Namespace) -> Callable[[], Coroutine[Any, Any, int]]:
    kind: type[ChargePoint16 | ChargePoint201] = ChargePoint16 if arguments.version == "1.6" else ChargePoint201
    link, behaviour = _link(arguments), _behaviour(arguments)
    tag = tag_list(arguments.id_tags)[0]

    async def work() -> int:
        printing = _Printing()
        point = kind(
            arguments.identity,
            link,
            behaviour,
            clock=Clock(arguments.speed, horizon_s=arguments.session_seconds / arguments.speed + 60.0),
            rng=Random(arguments.seed),
            observer=printing,
        )
        started = asyncio.get_running_loop().time()
        await _one_transaction(point, tag, arguments)
        seconds = asyncio.get_running_loop().time() - started
        wanted = 0 if arguments.boot_only else 1
        report = Report([point.ledger], seconds, wanted_transactions=wanted, frames=printing.frames)
        if arguments.boot_only and point.registration != "Accepted":
            print("no BootNotification was accepted", file=sys.stderr)
            return 1
        return _conclude(report, arguments.json)

    return work


async def _one_transaction(point: ChargePoint, tag: str, arguments: argparse.Namespace) -> None:
    running = asyncio.create_task(point.run())

    async def session() -> None:
        await point.wait_online()
        if arguments.boot_only:
            return
        await point.charge(1, tag, arguments.session_seconds)
        await point.wait_drained()

    playing = asyncio.create_task(session())
    stopped = asyncio.Event()
    _on_signals(stopped.set)
    waiting = asyncio.create_task(stopped.wait())
    try:
        done, _ = await asyncio.wait(
            {running, playing, waiting}, timeout=arguments.seconds, return_when=asyncio.FIRST_COMPLETED
        )
        if playing not in done or playing.exception() is None:
            # After a boot there is nothing to finish: what it tells of its connectors may go unanswered.
            await point.finish(0 if arguments.boot_only else arguments.grace_seconds)
    finally:
        for task in (running, playing, waiting):
            task.cancel()
        await asyncio.gather(running, playing, waiting, return_exceptions=True)


class _Printing(Unobserved):
    def __init__(self) -> None:
        self.frames = {"in": 0, "out": 0}

    def frame(self, identity: str, direction: str, text: str | bytes) -> None:
        del identity
        self.frames[direction] += 1
        shown = text if isinstance(text, str) else repr(text[:200])
        print("->" if direction == "out" else "<-", shown, flush=True)

    def connect_failed(self, identity: str, reason: str, again_in_s: float) -> None:
        del identity
        print(f"!! cannot connect: {reason}; again in {again_in_s:.1f} s", flush=True)

    def protocol_error(self, identity: str, note: str) -> None:
        del identity
        print("!!", note, flush=True)


async def _progress(fleet: Fleet, every_s: float) -> None:
    while every_s > 0:
        await asyncio.sleep(every_s)
        states = " ".join(f"{state} {count}" for state, count in fleet.metrics.states.items() if count)
        frames = fleet.metrics.frames
        line = f"{states} | transactions {fleet.metrics.completed} | frames out {frames['out']} in {frames['in']}"
        print(line, file=sys.stderr, flush=True)


def _conclude(report: Report, path: Path | None) -> int:
    print("\n".join(report.lines()), flush=True)
    if path is not None:
        path.write_bytes(orjson.dumps(report.to_json(), option=orjson.OPT_INDENT_2))
        print(f"ledger: {path}")
    return 1 if report.failures() else 0


def _on_signals(stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for which in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(which, stop)


def _link(arguments: argparse.Namespace) -> LinkSettings:
    return LinkSettings(
        url=arguments.url,
        secure_url=arguments.secure_url,
        profile=arguments.profile,
        password=_password(arguments),
        password_template=arguments.password_template,
        ca_file=_readable(arguments.ca_file),
        cert_file=_readable(arguments.cert),
        key_file=_readable(arguments.key),
        call_timeout_s=arguments.call_timeout_seconds,
        ping_interval_s=arguments.ping_seconds or None,
        message_ids=arguments.message_ids,
        validate=not arguments.no_validate,
    )


def _password(arguments: argparse.Namespace) -> bytes | None:
    if arguments.password_file is not None:
        try:
            return bytes(arguments.password_file.read_bytes().rstrip(b"\r\n"))
        except OSError as error:
            raise ValueError(f"--password-file: {error.strerror}") from None
    text = arguments.password or os.environ.get(PASSWORD_VARIABLE)
    return text.encode() if text else None


def _readable(name: str | None) -> str | None:
    """Check a file now; one of each charge point is looked for only when that one connects."""
    if name is not None and IDENTITY not in name and not os.access(name, os.R_OK):
        raise ValueError(f"{name} cannot be read")
    return name


def _behaviour(arguments: argparse.Namespace) -> Behaviour:
    return Behaviour(
        connectors=arguments.connectors,
        sample_interval_s=arguments.sample_seconds,
        fault_probability=getattr(arguments, "fault_probability", 0.0),
        transaction_attempts=arguments.attempts,
        transaction_retry_s=arguments.retry_seconds,
        timeouts_count=arguments.timeouts_count,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ocpp-loadtest", description="Simulated charge points for an OCPP server.",
        epilog=f"Without --password or --password-file, a Basic password of all is read from {PASSWORD_VARIABLE}.",
    )  # fmt: skip
    commands = parser.add_subparsers(dest="command", required=True)
    fleet = commands.add_parser("fleet", help="many charge points, many sessions")
    one = commands.add_parser("one", help="one charge point, one transaction, every frame printed")
    duration = number(0.001, 10_000_000)
    for command, session_s, speed in ((fleet, 3600, 1), (one, 600, 60)):
        add = command.add_argument
        add(
            "--url",
            required=True,
            type=websocket_url,
            help="the endpoint without identity, as ws://127.0.0.1:9000/ocpp",
        )
        add(
            "--secure-url",
            type=websocket_url,
            help="the wss:// endpoint, for when a security profile 2 or 3 is demanded",
        )
        add("--profile", type=int, choices=range(4), help="security profile to begin with (the highest possible)")
        add("--password", help=f"Basic password of all; {PASSWORD_VARIABLE} and --password-file do not show in `ps`")
        add("--password-file", type=Path, metavar="FILE", help="holds it; bytes as they are but for the last newline")
        add("--password-template", type=identity_template, help='own passwords, as "key-{identity}-0123456789"')
        add("--ca-file", metavar="FILE", help="trust roots for the server's certificate (the system's)")
        add("--cert", metavar="FILE", help="client certificate chain, for profile 3; may have {identity} in its name")
        add("--key", metavar="FILE", help="its key, if it is not in the same file")
        add("--id-tags", default=DEFAULT_TAGS, help="comma-separated, with ranges (default %(default)s)")
        add("--speed", type=number(0.01, 100_000), default=speed, help="session seconds per second (%(default)s)")
        add("--session-seconds", type=duration, default=session_s, help="about how long a car charges (%(default)s)")
        add("--sample-seconds", type=number(0, 86_400, int), default=60, help="between meter samples (%(default)s)")
        add("--seconds", type=duration, help="end after so many real seconds")
        add("--grace-seconds", type=number(0, 3600), default=30, help="to finish sessions at the end (%(default)s)")
        add("--connectors", type=number(1, 32, int), default=1, help="of each charge point (%(default)s)")
        add("--attempts", type=number(1, 1000, int), default=3, help="for a refused message (%(default)s)")
        add("--retry-seconds", type=number(0, 3600, int), default=10, help="times the attempt: the wait (%(default)s)")
        add("--timeouts-count", action="store_true", help="a timeout uses up an attempt too")
        add("--call-timeout-seconds", type=number(0.01, 3600), default=30, help="(default %(default)s)")
        add("--ping-seconds", type=number(0, 3600), default=60, help="between pings; 0 sends none (%(default)s)")
        add("--message-ids", choices=("uuid", "counter"), default="uuid", help="counter begins at 1 on each connection")
        add("--no-validate", action="store_true", help="do not check the server's payloads (saves 170 us a frame)")
        add("--seed", type=number(0, 2**63, int), default=1, help="the same seed gives the same cars (%(default)s)")
        add("--json", type=file_to_write, metavar="FILE", help="write the ledger of all charge points there")
    fleet.add_argument("--count", type=number(1, 200_000, int), default=10, help="charge points (%(default)s)")
    fleet.add_argument(
        "--share-201", type=number(0, 1), default=0.0, help="part that speaks 2.0.1, 0 to 1 (%(default)s)"
    )
    fleet.add_argument("--ramp", type=number(0.01, 100_000), default=50, help="starts a second (%(default)s)")
    fleet.add_argument("--pause-seconds", type=number(0, 1_000_000), default=300, help="between sessions")
    fleet.add_argument("--until-transactions", type=number(1, 10**9, int), help="end when so many are completed")
    fleet.add_argument("--source-addresses", type=number(0, 250, int), default=0, help="use 127.0.0.2 and on, so many")
    fleet.add_argument(
        "--fault-probability", type=number(0, 1), default=0.0, help="0 to 1, of each session (%(default)s)"
    )
    fleet.add_argument("--prefix", default="SIM", help="of the identities (%(default)s)")
    fleet.add_argument("--metrics-port", type=number(0, 65535, int), help="serve /metrics there; 0 takes a free port")
    fleet.add_argument("--metrics-address", default="127.0.0.1", help="(default %(default)s)")
    fleet.add_argument("--progress-seconds", type=number(0, 3600), default=10, help="0 prints none (%(default)s)")
    one.add_argument("--version", choices=("1.6", "2.0.1"), default="1.6", help="(default %(default)s)")
    one.add_argument("--boot-only", action="store_true", help="leave once BootNotification is accepted: no transaction")
    one.add_argument("--identity", default="SIM-ONE", help="(default %(default)s)")
    anchors.add_to(commands)
    report.add_to(commands)
    scenarios.add_to(commands)
    sizing.add_to(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
