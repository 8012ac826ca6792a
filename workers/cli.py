"""The `ocpp-worker` command."""

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path

import structlog
from rich.console import Console
from rich.table import Table

from contracts.actions import Service
from contracts.process import logs, running
from contracts.process.settings import check_config, load
from contracts.topology import RELAY_SERVICES
from contracts.tracing.starting import started
from workers import granting
from workers.errors import ProvisioningError, SchemaNotAtHeadError, SigningError, StoreUnavailableError
from workers.runtime.admission_news import tell_all_gateways
from workers.runtime.application import Application, definition_of
from workers.runtime.context import utc_now
from workers.settings import WorkerSettings
from workers.store.engine import Store
from workers.store.migrating import migrate, require_head
from workers.store.partitions import make_partitions
from workers.store.provisioning import apply_plan, read_plan
from workers.store.showing import SUBJECTS, rows_of

EXIT_REFUSED = 2
STORE_WAIT_S = 2.0
MOST_ROWS = 100_000


def main(arguments: list[str] | None = None) -> None:
    """Run the command; exits 0, 1 after a failure, 2 when settings, file or schema are not as they must be."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    raise SystemExit(run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ocpp-worker",
        description="Workers of the OCPP gateway. Settings are environment variables; check-config lists them.",
    )
    parser.add_argument("--version", action="version", version=f"ocpp-worker {version('ocpp-gateway')}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for service in RELAY_SERVICES:
        command = commands.add_parser(service.value, help=f"serve the Calls of {service.value} until SIGTERM")
        command.set_defaults(run=_serve, service=service)
    command = commands.add_parser(Service.COMMANDS.value, help="bring commands to charge points until SIGTERM")
    command.set_defaults(run=_serve, service=Service.COMMANDS)
    command = commands.add_parser("migrate", help="bring the database's tables to this version's")
    command.set_defaults(run=_migrate)
    command = commands.add_parser("await-schema", help="return once the database has this version's tables, or newer")
    command.set_defaults(run=_await_schema)
    command = commands.add_parser("check-config", help="list all settings, and what is wrong with them")
    command.set_defaults(run=_check_config)
    command = commands.add_parser("provision", help="put charge points, tokens and rules of a TOML file on record")
    command.add_argument("file", type=Path)
    command.set_defaults(run=_provision)
    command = commands.add_parser("grant-roles", help="give each service a database role with the least privileges")
    granting.add_arguments(command)
    command.set_defaults(
        run=lambda options: granting.run(options, lambda work: _with_store(load(WorkerSettings), work))
    )
    command = commands.add_parser("show", help="show the newest rows of the store")
    command.add_argument("subject", choices=SUBJECTS)
    command.add_argument("--limit", type=_row_count, default=20)
    command.set_defaults(run=_show)
    command = commands.add_parser("sign-firmware", help="sign a firmware image; prints what an update's payload needs")
    for option, meaning in (("image", "the file"), ("key", "PEM, not encrypted"), ("certificate", "PEM")):
        command.add_argument(f"--{option}", type=Path, required=True, metavar="FILE", help=meaning)
    command.set_defaults(run=_sign_firmware)
    return parser


def _row_count(text: str) -> int:
    try:
        count = int(text)
    except ValueError:
        count = 0
    if not 1 <= count <= MOST_ROWS:
        raise argparse.ArgumentTypeError(f"must be a number from 1 to {MOST_ROWS}")
    return count


def _serve(options: argparse.Namespace) -> int:
    settings = load(WorkerSettings)
    service: Service = options.service
    component = f"ocpp-worker-{service.value}"
    logs.configure(settings, component)
    tracing = started(settings, component)

    async def serve(stop: asyncio.Event) -> int:
        store = Store(
            settings.database_url.get_secret_value(),
            pool_size=settings.database_connections,
            events_off=settings.silent_events,
        )
        try:
            if not await _schema_fits(store, stop):
                return 0
            return await Application(definition_of(service, settings), settings, store, tracing=tracing).run(stop)
        except SchemaNotAtHeadError as error:
            print(f"ocpp-worker: {error}", file=sys.stderr)
            return EXIT_REFUSED
        finally:
            await store.close()

    return running.run(serve, component, tracing)


async def _schema_fits(store: Store, stop: asyncio.Event) -> bool:
    """Wait for the database, then raise SchemaNotAtHeadError or return True; False when asked to stop meanwhile."""
    while not stop.is_set():
        try:
            await require_head(store)
        except StoreUnavailableError as error:
            structlog.get_logger().warning("store.unavailable", reason=str(error), retry_in_s=STORE_WAIT_S)
            await _pause(stop)
        else:
            return True
    return False


async def _pause(stop: asyncio.Event) -> None:
    await asyncio.wait([waiting := asyncio.create_task(stop.wait())], timeout=STORE_WAIT_S)
    waiting.cancel()


def _await_schema(_options: argparse.Namespace) -> int:
    settings = load(WorkerSettings)
    logs.configure(settings, "ocpp-worker-await-schema")

    async def wait(stop: asyncio.Event) -> int:
        store = Store(settings.database_url.get_secret_value())
        try:
            while not stop.is_set():
                try:
                    return 0 if await _schema_fits(store, stop) else 1
                except SchemaNotAtHeadError as error:
                    structlog.get_logger().info("store.schema_awaited", reason=str(error), retry_in_s=STORE_WAIT_S)
                    await _pause(stop)
            return 1
        finally:
            await store.close()

    return running.run(wait, "ocpp-worker-await-schema")


def _migrate(_options: argparse.Namespace) -> int:
    async def work(store: Store) -> int:
        before, after = await migrate(store)
        await make_partitions(store, utc_now())  # before the first sample comes and lands in the default one
        print(f"the database is at revision {after}" + ("" if before == after else f", it was at {before or 'none'}"))
        return 0

    return _with_store(load(WorkerSettings), work)


def _provision(options: argparse.Namespace) -> int:
    settings = load(WorkerSettings)
    try:
        plan = read_plan(options.file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        print(f"{options.file}: {error}", file=sys.stderr)
        return EXIT_REFUSED
    except ProvisioningError as error:
        for problem in error.problems:
            print(f"{options.file}: {problem}", file=sys.stderr)
        return EXIT_REFUSED

    async def work(store: Store) -> int:
        await require_head(store)
        async with store.transaction() as transaction:
            counts = await apply_plan(transaction, plan, utc_now())
        print("on record: " + ", ".join(f"{count} {kind}" for kind, count in counts.items() if count))
        # Who provisions reads what is printed; why a connection failed is in it.
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        problem = await tell_all_gateways(settings.amqp_url.get_secret_value())
        if problem is not None:
            print(
                f"gateways were not told ({problem}): where they run, they may go by what was on record before"
                " until their OCPP_GATEWAY_ADMISSION_CACHE_SECONDS are over",
                file=sys.stderr,
            )
        return 0

    return _with_store(settings, work)


def _show(options: argparse.Namespace) -> int:
    settings = load(WorkerSettings)
    missing = settings.missing_file()
    if missing is not None:
        print(f"ocpp-worker: there is no database {missing}; DATABASE_URL says which one to show", file=sys.stderr)
        return EXIT_REFUSED

    async def work(store: Store) -> int:
        await require_head(store)
        async with store.transaction(read_only=True) as transaction:
            names, rows = await rows_of(transaction, options.subject, options.limit)
        table = Table(*names, title=f"{options.subject} ({len(rows)} newest)", title_justify="left")
        for row in rows:
            table.add_row(*row)
        # Into a file or a pipe goes every column, however wide.
        Console(width=None if sys.stdout.isatty() else 240, markup=False, emoji=False).print(table)
        return 0

    return _with_store(settings, work)


def _sign_firmware(options: argparse.Namespace) -> int:
    from workers.firmware.signing import sign_image  # no other command needs what it takes

    try:
        signed = sign_image(options.image, options.key, options.certificate)
    except SigningError as error:
        print(f"ocpp-worker: {error}", file=sys.stderr)
        return EXIT_REFUSED
    print(json.dumps(signed, indent=2))
    return 0


def _with_store(settings: WorkerSettings, work: Callable[[Store], Awaitable[int]]) -> int:
    async def run() -> int:
        store = Store(settings.database_url.get_secret_value())
        try:
            return await work(store)
        finally:
            await store.close()

    try:
        return asyncio.run(run())
    except SchemaNotAtHeadError as error:
        print(f"ocpp-worker: {error}", file=sys.stderr)
        return EXIT_REFUSED
    except StoreUnavailableError as error:
        print(f"ocpp-worker: the database does not answer: {error}", file=sys.stderr)
        return 1


def _check_config(_options: argparse.Namespace) -> int:
    return check_config(WorkerSettings)
