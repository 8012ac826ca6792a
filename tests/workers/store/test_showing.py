"""What `ocpp-worker show` shows."""

from datetime import UTC, datetime

import pytest

from tests.support.worker_store import migrated_store
from workers.store import tables
from workers.store.provisioning import apply_plan, read_plan
from workers.store.showing import SUBJECTS, rows_of

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("subject", SUBJECTS)
async def test_every_subject_has_columns_and_is_empty_at_first(database_url, subject):
    async with migrated_store(database_url) as store, store.transaction(read_only=True) as transaction:
        names, rows = await rows_of(transaction, subject, 5)
    assert len(names) > 3
    assert rows == []


async def test_rows_are_written_for_people_and_never_steer_a_terminal(database_url):
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        await apply_plan(transaction, read_plan('[[tokens]]\nid_token = "\\u001b[31mRED"'), NOW)
        values = {"identity": "CP-1", "natural_key": "k", "ocpp_version": "1.6", "state": "ended"}
        await transaction.run(tables.transactions.insert(), {**values, "energy_wh": 1500.0, "started_at": NOW})
        names, tokens = await rows_of(transaction, "tokens", 5)
        columns, transactions = await rows_of(transaction, "transactions", 5)
    assert dict(zip(names, tokens[0], strict=True))["id_token"] == "?[31mRED"
    shown = dict(zip(columns, transactions[0], strict=True))
    assert (shown["energy_wh"], shown["started_at"]) == ("1500", "2026-05-01 12:00:00Z")
