"""Stores as `ocpp-worker migrate` and `provision` leave them, without the two seconds that each takes to start."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from workers.runtime.context import utc_now
from workers.store.engine import Store
from workers.store.migrating import migrate
from workers.store.partitions import make_partitions
from workers.store.provisioning import Plan, apply_plan, read_plan


def prepare(database_url: str, plan: Path | None = None) -> None:
    """Bring the tables to this version's, and put on record what the plan says; blocks."""
    wanted = None if plan is None else read_plan(plan.read_text("utf-8"))
    with ThreadPoolExecutor(1) as thread:  # in this one, an event loop may be running
        thread.submit(asyncio.run, _prepare(database_url, wanted)).result()


async def _prepare(database_url: str, plan: Plan | None) -> None:
    store = Store(database_url)
    try:
        await migrate(store)
        await make_partitions(store, utc_now())
        if plan is not None:
            async with store.transaction() as transaction:
                await apply_plan(transaction, plan, utc_now())
    finally:
        await store.close()
