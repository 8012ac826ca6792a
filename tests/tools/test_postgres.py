import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.support.nodes import state_dir
from tests.support.processes import await_none_of, is_alive, processes_of
from tools.nodes import (
    Database,
    KillableDatabase,
    NodeFailed,
    NodeUnavailable,
    PrivatePostgres,
    binaries,
    choose,
    database_for,
)
from tools.nodes.given import GivenDatabase
from tools.nodes.sql import plain_url

ROOT = Path(__file__).parents[2]


@pytest.fixture
def second() -> Iterator[PrivatePostgres]:
    server = PrivatePostgres(state_dir("second"))
    yield server
    server.discard()


async def execute(url: str, statement: str) -> object:
    connection = await asyncpg.connect(plain_url(url))
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_a_committed_row_survives_a_crash_of_the_server_on_the_same_url(own_postgres: KillableDatabase):
    url = own_postgres.url
    await execute(url, "CREATE TABLE kept (value int)")
    await execute(url, "INSERT INTO kept VALUES (42)")
    own_postgres.kill()
    with pytest.raises(OSError, match="Connect call failed"):
        await execute(url, "SELECT 1")
    own_postgres.restart()
    assert own_postgres.url == url
    assert await execute(url, "SELECT value FROM kept") == 42


async def test_killing_the_backends_cuts_connections_and_leaves_the_server(own_postgres: KillableDatabase):
    connection = await asyncpg.connect(plain_url(own_postgres.url))
    assert own_postgres.kill_backends() == 1
    with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.AdminShutdownError)):
        await connection.fetchval("SELECT 1")
    await connection.close()
    assert await execute(own_postgres.url, "SELECT 1") == 1


async def test_a_kill_ends_backends_in_the_middle_of_a_statement(own_postgres: KillableDatabase):
    connection = await asyncpg.connect(plain_url(own_postgres.url))
    pid = connection.get_server_pid()
    own_postgres.kill()
    with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
        await connection.fetchval("SELECT pg_sleep(600)")
    await connection.close()
    assert not is_alive(pid)
    own_postgres.restart()
    assert await execute(own_postgres.url, "SELECT 1") == 1


async def test_two_servers_run_beside_each_other_and_a_stopped_one_leaves_no_process(
    postgres: Database, second: PrivatePostgres
):
    second.start()
    await execute(second.url, "CREATE TABLE only_here (value int)")
    with pytest.raises(asyncpg.UndefinedTableError):
        await execute(postgres.url, "SELECT * FROM only_here")
    cluster = second._cluster
    assert cluster is not None
    assert processes_of(cluster)
    second.stop()
    await_none_of(cluster, timeout_s=5)
    second.start()
    assert await execute(second.url, "SELECT count(*) FROM only_here") == 0
    second.discard()
    await_none_of(cluster, timeout_s=5)
    for directory in (cluster, second.data_dir):
        assert not os.access(directory, os.F_OK)


def test_a_server_and_its_directory_elsewhere_go_with_an_owner_that_was_killed():
    unreachable = Path(tempfile.mkdtemp(prefix="ocpp-unreachable-"))  # mode 0700
    script = (
        "import pathlib, sys, time\n"
        "from tools.nodes import PrivatePostgres\n"
        "server = PrivatePostgres(pathlib.Path(sys.argv[1]), fsync=False)\n"
        "server.start()\n"
        "print(server._cluster, flush=True)\n"
        "time.sleep(600)\n"
    )
    command = [sys.executable, "-c", script, str(unreachable / "deep")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stderr is not None
        cluster = Path(owner.stdout.readline().strip())
        assert (cluster / "PG_VERSION").exists()
        assert processes_of(cluster)
        owner.send_signal(signal.SIGKILL)
        said = owner.stderr.read()
    await_none_of(cluster, timeout_s=10)
    if os.geteuid() == 0:  # another user runs the server then, who cannot come here
        assert cluster.parts[:3] == ("/", "var", "tmp")
        assert f"its data are in {cluster.parent}" in said
        assert not cluster.exists()
    shutil.rmtree(unreachable)


async def test_a_created_database_is_empty_separate_and_can_be_dropped_while_in_use(postgres: Database):
    one, other = postgres.create_database("one-'\""), postgres.create_database("other")
    await execute(one, "CREATE TABLE t (value int)")
    with pytest.raises(asyncpg.UndefinedTableError):
        await execute(other, "SELECT * FROM t")
    user = await asyncpg.connect(plain_url(one))
    postgres.drop_database("one-'\"")
    postgres.drop_database("other")
    await user.close()
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await execute(one, "SELECT 1")


async def test_the_password_is_needed(postgres: Database):
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(plain_url(postgres.url), password="guess")


def test_a_server_that_was_not_started_has_no_url(tmp_path: Path):
    with pytest.raises(NodeFailed, match="not been started"):
        _ = PrivatePostgres(tmp_path).url


async def test_a_given_url_is_used_as_it_is(postgres: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("DATABASE_URL", postgres.url)
    given = database_for(tmp_path)
    given.start()
    assert isinstance(given, GivenDatabase)
    assert given.url == postgres.url
    beside = given.create_database("beside")
    assert await execute(beside, "SELECT current_database()") == "beside"
    given.drop_database("beside")
    given.discard()
    assert await execute(postgres.url, "SELECT 1") == 1


def test_without_postgresql_and_docker_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setattr(binaries, "_POSTGRES_PATTERN", str(tmp_path / "none-*"))
    monkeypatch.setattr(binaries, "search_path", lambda: str(tmp_path))
    monkeypatch.setattr(choose, "docker_answers", lambda: False)
    with pytest.raises(NodeUnavailable, match=r"Set DATABASE_URL .*tools/bootstrap\.sh test.* Docker"):
        database_for(tmp_path)
