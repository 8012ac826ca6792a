"""Migrations make exactly the tables that the code expects, on both databases, once."""

import asyncio
from datetime import UTC, datetime
from importlib.resources import as_file, files
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from tests.support.worker_store import all_rows, migrated_store
from workers.errors import SchemaNotAtHeadError
from workers.store import tables
from workers.store.engine import Store
from workers.store.migrating import head, migrate, require_head
from workers.store.partitions import make_partitions
from workers.store.schema import metadata


def _differences(connection) -> Any:
    def ours(item, name, kind, _reflected, _other) -> Any:
        return not (kind in {"table", "index"} and str(getattr(item, "table", item)).startswith("meter_samples_"))

    context = MigrationContext.configure(
        connection, opts={"compare_type": True, "include_object": ours, "compare_server_default": False}
    )
    return compare_metadata(context, metadata)


async def test_the_migrated_tables_are_those_of_the_code(empty_database_url):
    async with migrated_store(empty_database_url) as store, store.transaction(read_only=True) as transaction:
        assert await transaction.run_sync(_differences) == []


async def test_migrations_that_run_at_once_take_turns(empty_database_url):
    stores = [Store(empty_database_url) for _ in range(3)]
    done = await asyncio.gather(*(migrate(store) for store in stores))
    for store in stores:
        await require_head(store)
        await store.close()
    assert sorted(str(before) for before, _ in done) == sorted([head(), head(), "None"])


async def test_a_database_that_is_not_at_head_is_named(empty_database_url):
    store = Store(empty_database_url)
    with pytest.raises(SchemaNotAtHeadError, match="ocpp-worker migrate"):
        await require_head(store)
    await store.close()


async def test_the_previous_version_goes_on_with_the_tables_of_the_next_one(empty_database_url):
    async with migrated_store(empty_database_url) as store:
        async with store.transaction() as transaction:
            await transaction.run(text("UPDATE alembic_version SET version_num = '9999'"))
        await require_head(store)
        assert await migrate(store) == ("9999", "9999")


async def test_samples_go_to_their_months_partition_or_to_the_default_one(postgres_url):
    now = datetime(2026, 12, 15, tzinfo=UTC)
    async with migrated_store(postgres_url) as store:
        early = datetime(2027, 1, 3, tzinfo=UTC)
        async with store.transaction() as transaction:
            await transaction.run(tables.meter_samples.insert(), sample(early))
        found = await make_partitions(store, now)
        assert (found.made, found.impossible) == (
            ["meter_samples_2026_12", "meter_samples_2027_02"],
            ["meter_samples_2027_01"],
        )
        assert (await make_partitions(store, now)).made == []
        for moment in (now, datetime(1970, 1, 1, tzinfo=UTC)):
            async with store.transaction() as transaction:
                await transaction.run(tables.meter_samples.insert(), sample(moment))
        async with store.transaction(read_only=True) as transaction:
            rows = await transaction.rows(text("SELECT tableoid::regclass::text FROM meter_samples ORDER BY 1"))
        assert [row[0] for row in rows] == ["meter_samples_2026_12", "meter_samples_default", "meter_samples_default"]
        assert len(await all_rows(store, tables.meter_samples)) == 3


def sample(moment) -> Any:
    return {
        "sampled_at": moment,
        "natural_key": b"0123456789abcdef",
        "identity": "CP-1",
        "measurand": "Voltage",
        "context": "Sample.Periodic",
        "location": "Outlet",
        "format": "Raw",
        "raw_value": "1",
        "received_at": moment,
    }


def test_the_newest_revision_is_the_one_that_the_migrations_lead_to():
    with as_file(files("workers.store") / "migrations") as folder:
        assert ScriptDirectory(str(folder)).get_current_head() == head()
