"""Least privileges as data; what they refuse is proven on PostgreSQL in tests/system/test_least_rights.py."""

import re

import pytest

from tests.support.preparing import prepare
from tests.support.worker_store import migrated_store
from workers import granting
from workers.cli import main
from workers.errors import StoreUnavailableError, WorkerError
from workers.store.roles import PRIVILEGES, SHOW, grant_roles, statements
from workers.store.schema import metadata

SERVICES = [role for role in PRIVILEGES if role != SHOW]


def test_every_table_exists_and_is_somebodys():
    tables = {"alembic_version", *metadata.tables}
    named = {table for role in SERVICES for table in PRIVILEGES[role]}
    assert named <= tables
    assert tables - named == set()


def test_nobody_deletes_billing_data():
    for role, privileges in PRIVILEGES.items():
        for table in ("transactions", "transaction_events", "meter_samples", "authorizations"):
            assert "DELETE" not in privileges.get(table, ""), (role, table)


def test_password_hashes_are_written_by_authorization_and_read_by_commands_besides():
    rights = {
        role: granted["charge_point_keys"] for role, granted in PRIVILEGES.items() if "charge_point_keys" in granted
    }
    assert rights == {"authorization": "SELECT, INSERT, UPDATE, DELETE", "commands": "SELECT"}


@pytest.mark.parametrize("names", [{"prefix": 'x"; DROP'}, {"prefix": "A"}, {"schema": "a b"}, {"prefix": "1"}])
def test_names_that_would_need_quotes_are_refused(names):
    with pytest.raises(ValueError, match="letters"):
        list(statements(**names))


def test_the_sql_can_be_printed_for_somebody_else_to_run(capsys):
    assert exit_code("grant-roles", "--print", "--prefix", "net_") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "GRANT SELECT ON public.meter_keys TO net_metering;" in lines
    assert all(line.endswith(";") and re.match(r"DO|GRANT|REVOKE", line) for line in lines)


async def test_sqlite_has_no_roles(sqlite_database_url):
    async with migrated_store(sqlite_database_url) as store, store.transaction() as transaction:
        with pytest.raises(WorkerError):
            await grant_roles(transaction)


def test_a_database_that_goes_away_meanwhile_is_asked_again_and_sqlite_never(tmp_path, monkeypatch, capsys):
    async def away(*_, **__):
        raise StoreUnavailableError("closed")

    url = f"sqlite+aiosqlite:///{tmp_path}/ocpp.db"
    prepare(url)
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("AMQP_URL", "amqp://127.0.0.1/")
    assert exit_code("grant-roles") == 2
    assert "SQLite has no roles" in capsys.readouterr().err
    monkeypatch.setattr(granting, "grant_roles", away)
    assert exit_code("grant-roles") == 1  # 2 would be the end of a job that tries again
    assert "the database does not answer" in capsys.readouterr().err


def exit_code(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert isinstance(ended.value.code, int)
    return ended.value.code
