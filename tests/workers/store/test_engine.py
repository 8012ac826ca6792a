"""Transactions commit wholly or not at all, and failures are told apart."""

import asyncio
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from tests.support.calling import until
from tests.support.worker_store import all_rows, migrated_store
from workers.errors import StoreUnavailableError
from workers.store import engine, tables
from workers.store.engine import Store, is_transient
from workers.store.upserts import insert_new, insert_new_returning

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def point(identity="CP-1", **more) -> Any:
    return {"identity": identity, "created_at": NOW, **more}


@pytest.fixture
async def store(database_url) -> Any:
    async with migrated_store(database_url) as store:
        yield store


async def test_what_raises_leaves_nothing_behind_not_even_what_was_appended(store):
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the block is what fails
        async with store.transaction() as transaction:
            await transaction.run(tables.charge_points.insert(), point())
            transaction.append(insert_new(tables.charge_points, store.dialect), point("CP-2"))
            _ = 1 / 0
    assert await all_rows(store, tables.charge_points) == []


async def test_appended_rows_are_written_at_the_commit_once_per_natural_key(store):
    async with store.transaction() as transaction:
        for identity in ("CP-1", "CP-2", "CP-1"):
            transaction.append(insert_new(tables.charge_points, store.dialect), point(identity))
    assert [row["identity"] for row in await all_rows(store, tables.charge_points)] == ["CP-1", "CP-2"]


async def test_an_insert_of_a_known_key_returns_nothing(store):
    row = {"identity": "CP-1", "natural_key": "k", "ocpp_version": "1.6", "state": "active"}
    statement = insert_new_returning(tables.transactions, store.dialect, "id")
    async with store.transaction() as transaction:
        first = await transaction.first(statement, row)
        assert first[0] == 1
        assert await transaction.first(statement, row) is None


async def test_moments_come_back_in_utc_and_nul_does_not_break_text(store):
    there = datetime(2026, 5, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    async with store.transaction() as transaction:
        await transaction.run(tables.charge_points.insert(), point("NUL\x00", booted_at=there))
        values = {"delivery_key": "k", "identity": "x", "vendor_id": "v", "status": "s", "received_at": NOW}
        await transaction.run(tables.data_transfers.insert(), {**values, "data": {"deep": ["NUL\x00", 2**63, None]}})
    (row,) = await all_rows(store, tables.charge_points)
    assert (row["identity"], row["booted_at"], row["booted_at"].tzinfo) == ("NUL\ufffd", NOW, UTC)
    (transfer,) = await all_rows(store, tables.data_transfers)
    assert transfer["data"] == {"deep": ["NUL\x00", 2**63, None]}


async def test_a_new_sqlite_file_that_another_process_is_changing_is_waited_for(tmp_path, monkeypatch):
    file, refused, pragma = tmp_path / "new.db", asyncio.Event(), engine._pragma

    async def watched(connection, setting) -> None:
        try:
            await pragma(connection, setting)
        except sqlite3.OperationalError:
            refused.set()
            raise

    monkeypatch.setattr(engine, "_pragma", watched)
    store = Store(f"sqlite+aiosqlite:///{file}")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # SQLite refuses to enter WAL beside it, without waiting
        answer = asyncio.create_task(store.reachable())
        await asyncio.wait_for(refused.wait(), 10)
        other.execute("ROLLBACK")
        assert await answer
    await store.close()


@pytest.mark.parametrize(
    "values",
    [
        {"identity": "CP-1", "natural_key": "k", "ocpp_version": "1.6"},
        {"identity": "CP-1", "natural_key": "k", "ocpp_version": "1.6", "state": "a", "evse_id": 2**70},
        {"identity": "CP-1", "natural_key": "k", "ocpp_version": "1.6", "state": "a", "evse_id": {"a": 1}},
        {"identity": {"no": "text"}, "natural_key": "k", "ocpp_version": "1.6", "state": "a"},
    ],
)
async def test_data_that_no_database_takes_is_not_taken_for_an_outage(store, values):
    with pytest.raises(Exception) as caught:
        async with store.transaction() as transaction:
            await transaction.run(tables.transactions.insert(), values)
    assert not is_transient(caught.value)


async def test_a_constraint_is_the_datas_fault_and_a_missing_table_the_environments(store):
    with pytest.raises(IntegrityError):
        async with store.transaction() as transaction:
            await transaction.run(tables.charge_points.insert(), [point(), point()])
    with pytest.raises(StoreUnavailableError):
        async with store.transaction() as transaction:
            await transaction.run(text("SELECT * FROM no_such_table"))


async def test_a_database_that_is_not_there_is_unavailable(tmp_path):
    for url in (f"sqlite+aiosqlite:///{tmp_path}/no/such/folder.db", "postgresql+asyncpg://u:secret@127.0.0.1:1/db"):
        store = Store(url)
        assert not await store.reachable()
        with pytest.raises(StoreUnavailableError) as caught:
            async with store.transaction():
                raise AssertionError("there is no database")
        assert "secret" not in str(caught.value)
        await store.close()
    # aiosqlite lets the thread of a connection that failed end by itself, and it still reports to this loop.
    await until(lambda: not any("_connection_worker_thread" in thread.name for thread in threading.enumerate()))


async def test_cut_connections_are_unavailable_and_then_made_anew(postgres, postgres_url):
    store = Store(postgres_url)
    with pytest.raises(StoreUnavailableError):  # noqa: PT012 - as above
        async with store.transaction() as transaction:
            await transaction.run(text("SELECT 1"))
            await asyncio.to_thread(postgres.kill_backends)
            await transaction.run(text("SELECT 1"))
    assert await store.reachable()
    await store.close()


async def test_two_writers_of_one_sqlite_file_take_turns(tmp_path):
    url = f"sqlite+aiosqlite:///{tmp_path}/ocpp.db"
    async with migrated_store(url) as one:
        two = Store(url)

        async def write(store, prefix) -> Any:
            for number in range(20):
                async with store.transaction() as transaction:
                    await transaction.rows(tables.charge_points.select())
                    await transaction.run(tables.charge_points.insert(), point(f"{prefix}-{number}"))

        await asyncio.gather(write(one, "A"), write(two, "B"))
        assert len(await all_rows(one, tables.charge_points)) == 40
        await two.close()


@pytest.mark.parametrize("state", ["54000", "54001", "21000"])
async def test_a_limit_that_the_data_exceeds_is_not_taken_for_an_outage(postgres_url, state):
    store = Store(postgres_url)
    with pytest.raises(DBAPIError) as caught:
        async with store.transaction() as transaction:
            await transaction.run(text(f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{state}'; END $$"))
    assert not is_transient(caught.value)
    await store.close()


@pytest.mark.parametrize("state", ["40001", "40P01", "53100", "57P01", "25006", "42P01", "42703", "55P03"])
async def test_what_the_environment_must_mend_is_an_outage(postgres_url, state):
    store = Store(postgres_url)
    with pytest.raises(StoreUnavailableError):
        async with store.transaction() as transaction:
            await transaction.run(text(f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{state}'; END $$"))
    await store.close()
