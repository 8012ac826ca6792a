"""`ocpp-worker grant-roles`: a database role with the least privileges for each service (PostgreSQL)."""

import argparse
import sys
from collections.abc import Awaitable, Callable

from workers.errors import StoreUnavailableError, WorkerError
from workers.store.engine import Store
from workers.store.migrating import require_head
from workers.store.roles import PREFIX, grant_roles, statements

EXIT_REFUSED = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--prefix", default=PREFIX, help=f"before each role's name ({PREFIX})")
    parser.add_argument("--print", action="store_true", dest="shown", help="print the SQL; change nothing")


def run(options: argparse.Namespace, with_store: Callable[[Callable[[Store], Awaitable[int]]], int]) -> int:
    """The exit code; `with_store` runs work on the store of the settings."""
    try:
        lines = list(statements(prefix=options.prefix))
    except ValueError as error:
        print(f"ocpp-worker: {error}", file=sys.stderr)
        return EXIT_REFUSED
    if options.shown:
        print("\n".join(f"{line};" for line in lines))
        return 0

    async def work(store: Store) -> int:
        await require_head(store)
        try:
            async with store.transaction() as transaction:
                names = await grant_roles(transaction, prefix=options.prefix)
        except StoreUnavailableError:
            raise  # what may be good the next time is no refusal: a job that exits with 2 is not tried again
        except WorkerError as error:
            print(f"ocpp-worker: {error}", file=sys.stderr)
            return EXIT_REFUSED
        print(f"granted {', '.join(names)} what each needs; ALTER ROLE … LOGIN PASSWORD … lets one log in")
        return 0

    return with_store(work)
