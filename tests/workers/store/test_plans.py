"""Marked statements are given to PostgreSQL's driver itself, and mean what they mean by way of SQLAlchemy."""

import importlib
import pkgutil
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Executable, Insert, bindparam, func, select, text
from sqlalchemy.exc import IntegrityError

import workers.store
from tests.support.worker_store import all_rows, migrated_store
from workers.errors import StoreUnavailableError
from workers.store import tables
from workers.store.engine import Store
from workers.store.plans import Plans, planned
from workers.store.upserts import insert_new, insert_new_returning, upsert

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
STATE = {"status": "Available", "reported_at": NOW, "received_at": NOW}


def statements() -> Any:
    """Every statement that a module of the store keeps and has marked."""
    for module in pkgutil.iter_modules(workers.store.__path__, "workers.store."):
        if not module.ispkg:
            for name, value in vars(importlib.import_module(module.name)).items():
                if isinstance(value, Executable) and "ocpp_planned" in value.get_execution_options():
                    yield f"{module.name}.{name}", value


async def test_every_marked_statement_of_the_store_is_planned_as_the_database_understands_it(postgres_url):
    async with migrated_store(postgres_url):
        driver = await asyncpg.connect(postgres_url.replace("+asyncpg", ""))
        seen = 0
        for name, statement in statements():
            if isinstance(statement, Insert):
                continue  # its columns are those of the rows
            names = tuple(bind for bind, known in statement.compile().binds.items() if known.required)
            plan = Plans().plan(statement, names)
            assert plan is not None, name
            prepared = await driver.prepare(plan.sql)
            shape = [attribute.name for attribute in prepared.get_attributes()]
            assert plan.width in {None, len(shape)}, name
            seen += 1
        await driver.close()
    assert seen > 15


def test_what_is_not_marked_is_left_to_sqlalchemy():
    assert Plans().plan(select(tables.charge_points), ()) is None


async def test_rows_are_the_same_each_time_they_are_asked_for(postgres_url):
    points = tables.charge_points
    counting = planned(select(func.count()).select_from(points))
    query = planned(select(points).where(points.c.identity.in_(bindparam("wanted", expanding=True))))
    async with migrated_store(postgres_url) as store:
        rows = [{"identity": name, "created_at": NOW, "vendor": "NUL\x00"} for name in "ABC"]
        async with store.transaction() as transaction:
            await transaction.run(insert_new(tables.charge_points, store.dialect), rows)
        for _ in range(3):
            async with store.transaction() as transaction:
                found = await transaction.rows(query, {"wanted": ["A", "C"]})
                assert [(row.identity, row.vendor, row.created_at) for row in found] == [
                    ("A", "NUL\ufffd", NOW),
                    ("C", "NUL\ufffd", NOW),
                ]
                assert found[0]._asdict() == (await all_rows(store, tables.charge_points))[0]
                assert await transaction.rows(query, {"wanted": []}) == []
                counted = await transaction.first(counting)
                assert counted is not None
                assert counted[0] == 3


async def test_many_rows_are_written_at_once_and_told_apart_each_time(postgres_url):
    new = insert_new_returning(tables.transactions, "postgresql", "natural_key")
    row = {"identity": "A", "ocpp_version": "1.6", "state": "active", "token_reply": {"a": [1]}, "started_at": NOW}
    async with migrated_store(postgres_url) as store:
        for turn in range(3):
            async with store.transaction() as transaction:
                rows = [{**row, "natural_key": key} for key in ("old", "old", f"new {turn}")]
                inserted = {found.natural_key for found in await transaction.returned(new, rows)}
            assert inserted == ({"old", "new 0"} if turn == 0 else {f"new {turn}"})
        assert [found["token_reply"] for found in await all_rows(store, tables.transactions)] == [{"a": [1]}] * 4


async def test_an_upsert_of_the_same_row_twice_leaves_the_last_one(postgres_url):
    keys = ("identity", "evse_id", "connector_id")
    statement = upsert(tables.connector_states, "postgresql", keys, ("status",))
    async with migrated_store(postgres_url) as store:
        for turn in range(3):
            async with store.transaction() as transaction:
                for status in ("Charging", f"Last {turn}"):
                    row = {**STATE, "identity": "A", "evse_id": 0, "connector_id": 1, "status": status}
                    transaction.append(statement, row)
            (found,) = await all_rows(store, tables.connector_states)
            assert found["status"] == f"Last {turn}"


async def test_errors_keep_their_classes_and_connections_their_use(postgres_url):
    statement = planned(tables.charge_points.insert())
    missing = planned(text("SELECT * FROM no_such_table"))
    store = Store(postgres_url, pool_size=1)
    async with migrated_store(postgres_url):
        for _ in range(3):
            with pytest.raises(IntegrityError):  # noqa: PT012 - the transaction is what fails
                async with store.transaction() as transaction:
                    for _ in range(2):
                        await transaction.run(statement, {"identity": "A", "created_at": NOW})
            with pytest.raises(StoreUnavailableError):
                async with store.transaction() as transaction:
                    await transaction.rows(missing)
        assert await all_rows(store, tables.charge_points) == []
        await store.close()


async def test_lists_that_the_statement_gives_stay_apart_from_those_that_are_left_out(postgres_url):
    points = tables.charge_points
    among = planned(select(points.c.identity).where(points.c.identity.in_(["A", "B"]), points.c.identity.not_in(["B"])))
    async with migrated_store(postgres_url) as store:
        async with store.transaction() as transaction:
            rows = [{"identity": name, "created_at": NOW} for name in ("A", "B", "C")]
            await transaction.run(points.insert(), rows)
        for _ in range(3):
            async with store.transaction(read_only=True) as transaction:
                assert [tuple(row) for row in await transaction.rows(among)] == [("A",)]
