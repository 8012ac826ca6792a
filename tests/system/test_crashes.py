"""What dies is replaced, and nothing that a charge point was promised is missing or double afterwards."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.ledgers import Comparison, compare
from tests.support.systems import FleetProcess, running_stack, until
from tools.nodes import KillableBroker, KillableDatabase
from tools.stack import Stack
from workers.store.engine import Store

pytestmark = pytest.mark.system

CHARGE_POINTS = int(os.environ.get("CRASH_CHARGE_POINTS", "60"))
IN_TRANSACTION = CHARGE_POINTS * 5 // 6
"""So many at the same moment when the fault comes; the fleet is larger, since some are between two sessions."""
# Sessions of 7.5 to 22.5 s of real time with a sample every 1.5 s; a third of the fleet speaks 2.0.1.
SESSIONS: dict[str, float] = {
    "speed": 40,
    "session_seconds": 600,
    "sample_seconds": 60,
    "pause_seconds": 60,
    "share_201": 0.33,
    "until_transactions": CHARGE_POINTS,
    "grace_seconds": 60,
}


async def run_fleet(stack: Stack, database_url: str, folder: Path, disturb: Callable[[Stack], object]) -> Comparison:
    """Charge with a fleet, disturb when enough are in mid-transaction, and compare store and ledgers at the end."""
    fleet = FleetProcess(stack.urls[0], folder, count=CHARGE_POINTS, **SESSIONS)
    try:
        await until(lambda: fleet.charging() >= IN_TRANSACTION, f"{IN_TRANSACTION} charge points in mid-transaction")
        await asyncio.to_thread(disturb, stack)
        printed = await fleet.ended(180)
    finally:
        fleet.release()
    store = Store(database_url)
    try:
        comparison = await compare(store, fleet.ledger_file)
    finally:
        await store.close()
    print(printed, comparison)
    assert comparison.transactions >= CHARGE_POINTS
    assert comparison.samples > CHARGE_POINTS * 50
    assert comparison.differences == []
    assert comparison.dropped == 0
    return comparison


async def test_a_broker_crash_drops_no_socket_and_loses_or_doubles_nothing(
    own_rabbit: KillableBroker, tmp_path: Path
) -> None:
    database_url = f"sqlite+aiosqlite:///{tmp_path}/ocpp.db"

    def crash(_: Stack) -> None:
        own_rabbit.kill()
        own_rabbit.restart()

    with running_stack(own_rabbit.amqp_url, database_url, tmp_path) as stack:
        comparison = await run_fleet(stack, database_url, tmp_path, crash)
        assert comparison.reconnects == 0


def cut_connections(database: KillableDatabase) -> None:
    assert sum(database.kill_backends() for _ in range(5)) > 0


def crash_and_restart(database: KillableDatabase) -> None:
    database.kill()
    database.restart()


@pytest.mark.parametrize("fault", [cut_connections, crash_and_restart])
async def test_a_database_fault_drops_no_socket_and_loses_or_doubles_nothing(
    amqp_url: str, own_postgres: KillableDatabase, tmp_path: Path, fault: Callable[[KillableDatabase], None]
) -> None:
    with running_stack(amqp_url, own_postgres.url, tmp_path) as stack:
        comparison = await run_fleet(stack, own_postgres.url, tmp_path, lambda _: fault(own_postgres))
        assert comparison.reconnects == 0
        assert comparison.timeouts == 0


async def test_killed_workers_lose_and_double_nothing(amqp_url: str, postgres_url: str, tmp_path: Path) -> None:
    def crash(stack: Stack) -> None:
        for service in ("metering", "authorization", "metering"):
            stack.workers[service].kill()
            stack.workers[service].start()
            stack.workers[service].await_ready()

    with running_stack(amqp_url, postgres_url, tmp_path) as stack:
        comparison = await run_fleet(stack, postgres_url, tmp_path, crash)
        assert comparison.reconnects == 0
        assert comparison.timeouts == 0
