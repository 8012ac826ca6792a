"""What becomes of PostgreSQL's connections and transactions when work on them is broken off."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import literal, select, text
from sqlalchemy.exc import IntegrityError

from tests.support.proxy import CuttingProxy
from tests.support.worker_store import all_rows, migrated_store
from workers.errors import StoreUnavailableError, TransactionAbortedError
from workers.store import postgres as connections
from workers.store import tables
from workers.store.engine import Store

POINT = {"identity": "CP-1", "created_at": datetime(2026, 5, 1, 12, tzinfo=UTC)}
_ONE = select(literal(1))


@pytest.fixture
async def cut_off(postgres_url, monkeypatch) -> Any:
    """A store with one connection by way of a proxy, and the proxy."""
    monkeypatch.setattr(connections, "ROLLBACK_TIMEOUT_S", 0.2)
    async with CuttingProxy.before(postgres_url) as proxy:
        store = Store(proxy.url(postgres_url), pool_size=1)
        for _ in range(3):  # the statement has its plan then
            async with store.transaction(read_only=True) as transaction:
                await transaction.rows(_ONE)
        yield store, proxy
        proxy.flow()
        await store.close()


async def test_who_is_cancelled_while_the_database_hangs_is_cancelled(cut_off):
    store, proxy = cut_off
    begun = asyncio.Event()

    async def work() -> None:
        async with store.transaction() as transaction:
            await transaction.run(text("SELECT 1"))
            proxy.stall()
            begun.set()
            await transaction.rows(_ONE)

    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    proxy.flow()
    assert await store.reachable()
    assert proxy.connections > 1


@pytest.mark.parametrize("begins", [False, True])
async def test_a_connection_on_which_a_statement_hung_is_not_used_again(cut_off, begins):
    store, proxy = cut_off
    for _ in range(4):  # more than there is room for
        before = proxy.connections
        with pytest.raises(StoreUnavailableError):  # noqa: PT012 - the block is what fails
            async with store.transaction() as transaction:
                if begins:
                    await transaction.run(text("SELECT 1"))
                proxy.stall()
                async with asyncio.timeout(0.1):
                    await transaction.rows(_ONE)
        assert store._connections._idle == []
        proxy.flow()
        assert await store.reachable()
        assert proxy.connections > before


async def test_who_goes_on_after_a_statement_failed_is_told_that_nothing_is_stored(postgres_url):
    async with migrated_store(postgres_url) as store:
        with pytest.raises(TransactionAbortedError):  # noqa: PT012 - as above
            async with store.transaction() as transaction:
                await transaction.run(tables.charge_points.insert(), POINT)
                with pytest.raises(IntegrityError):
                    await transaction.run(tables.charge_points.insert(), POINT)
        assert await all_rows(store, tables.charge_points) == []
        kept: Any = store._connections
        assert len(kept._idle) == 1
