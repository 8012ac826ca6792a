"""The `ocpp-worker` command as an operator meets it: real processes, exit codes, plain words."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import orjson
import pytest

from contracts.topology import RELAY_SERVICES
from tests.support.calling import caller_on
from tests.support.worker_store import all_rows
from workers.settings import WorkerSettings
from workers.store import tables
from workers.store.engine import Store

START = {"connectorId": 1, "idTag": "DEMO", "meterStart": 0, "timestamp": "2026-05-01T12:00:00Z"}


def environment(database_url, amqp_url="amqp://127.0.0.1:1/", **more) -> Any:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("OCPP_")}
    return {
        **kept,
        "DATABASE_URL": database_url,
        "AMQP_URL": amqp_url,
        "OCPP_MONITOR_HOST": "127.0.0.1",
        "OCPP_MONITOR_PORT": "0",
        **more,
    }


def worker(*arguments, env) -> Any:
    command = [sys.executable, "-m", "workers", *map(str, arguments)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


@asynccontextmanager
async def worker_process(service, env) -> Any:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "workers", service, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def heard(process, text) -> Any:
    async with asyncio.timeout(30):
        while text not in (line := (await process.stdout.readline()).decode()):
            assert line, f"the worker ended before it said {text}"


@pytest.fixture
def sqlite_url(tmp_path) -> Any:
    return f"sqlite+aiosqlite:///{tmp_path}/ocpp.db"


def test_migrate_provision_and_show_lead_a_newcomer_to_the_first_rows(sqlite_url, tmp_path):
    env = environment(sqlite_url)
    assert "revision" in worker("migrate", env=env).stdout
    file = tmp_path / "demo.toml"
    file.write_text('[[tokens]]\nid_token = "DEMO"\n[[charge_points]]\nidentity = "CP-\\u001b[2J"\n')
    done = worker("provision", file, env=env)
    assert (done.returncode, done.stdout) == (0, "on record: 1 charge points, 1 tokens\n")
    shown = worker("show", "charge-points", env=env).stdout
    assert "CP-?[2J" in shown
    assert "\x1b" not in shown


def test_a_bad_file_is_refused_with_every_mistake(sqlite_url, tmp_path):
    file = tmp_path / "bad.toml"
    file.write_text('[[tokens]]\nid_tokn = "DEMO"\n')
    done = worker("provision", file, env=environment(sqlite_url))
    assert done.returncode == 2
    assert "tokens #1: id_token is required" in done.stderr
    assert "tokens #1: unknown key 'id_tokn'" in done.stderr
    assert worker("provision", tmp_path / "none.toml", env=environment(sqlite_url)).returncode == 2


def test_a_database_without_tables_is_named_before_anything_starts(sqlite_url):
    done = worker("metering", env=environment(sqlite_url, OCPP_LOG_LEVEL="error"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "run `ocpp-worker migrate`" in done.stderr


def test_a_taken_monitor_port_is_one_line_and_no_crash(sqlite_url):
    assert worker("migrate", env=environment(sqlite_url)).returncode == 0
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        env = environment(sqlite_url, OCPP_MONITOR_PORT=port, OCPP_LOG_FORMAT="json")
        done = worker("metering", env=env)
    assert (done.returncode, done.stderr) == (1, "")
    (line,) = map(orjson.loads, done.stdout.splitlines())
    assert (line["event"], line["service"]) == ("worker.not_started", "metering")
    assert port in line["problem"]


def test_show_of_a_database_that_is_not_there_creates_none_and_says_so(tmp_path):
    file = tmp_path / "ocpp.db"
    for suffix in ("", "?timeout=1"):
        done = worker("show", "transactions", env=environment(f"sqlite+aiosqlite:///{file}{suffix}"))
        assert (done.returncode, done.stdout) == (2, "")
        assert f"there is no database {file}; DATABASE_URL" in done.stderr
        assert "migrate" not in done.stderr
    assert not file.exists()


@pytest.mark.parametrize(
    "url",
    [
        "sqlite+aiosqlite:///",
        "sqlite+aiosqlite:///:memory:",
        "sqlite+aiosqlite:///file:ocpp.db?mode=ro&uri=true",
        "postgresql+asyncpg:///ocpp.db",
    ],
)
def test_a_store_without_a_plain_file_is_never_missing_one(url):
    assert WorkerSettings(database_url=url).missing_file() is None


def test_an_sqlite_url_with_a_slash_too_few_is_a_wrong_setting():
    done = worker("check-config", env=environment("sqlite+aiosqlite://ocpp.db"))
    assert done.returncode == 2
    assert "DATABASE_URL: Value error, must begin with one of sqlite+aiosqlite:///, " in done.stderr


@pytest.mark.parametrize(
    "command", [["migrate"], ["provision", "none.toml"], ["show", "jobs"], *([service] for service in RELAY_SERVICES)]
)
def test_every_command_checks_its_settings_first(sqlite_url, command):
    done = worker(*command, env=environment(sqlite_url, "foo", OCPP_WORKER_LANES="many", OCPP_WORKER_LANE="1"))
    assert (done.returncode, done.stdout) == (2, "")
    named = sorted(line.partition(":")[0] for line in done.stderr.splitlines())
    assert named == ["AMQP_URL", "OCPP_WORKER_LANE", "OCPP_WORKER_LANES"]


def test_every_wrong_setting_is_named_at_once(sqlite_url):
    env = environment("mysql://root:secret@db/x", OCPP_WORKER_LANES="many", OCPP_WORKER_LANE="1")
    done = worker("check-config", env=env)
    assert done.returncode == 2
    for part in ("DATABASE_URL", "OCPP_WORKER_LANES", "OCPP_WORKER_LANE: no such setting"):
        assert part in done.stderr
    assert "secret" not in done.stdout + done.stderr
    assert worker("check-config", env=environment(sqlite_url)).returncode == 0


async def test_a_worker_killed_in_mid_call_leaves_it_to_the_next_one(amqp_url, database_url):
    env = environment(database_url, amqp_url, OCPP_LOG_FORMAT="json", OCPP_WORKER_BATCH_MILLISECONDS="1000")
    assert (await asyncio.to_thread(worker, "migrate", env=env)).returncode == 0
    async with caller_on(amqp_url) as caller:
        async with worker_process("metering", env) as process:
            await heard(process, "broker.connected")
            sent = [caller.publish("StartTransaction", START, identity=f"CP-{number}") for number in range(50)]
            await caller.reply_to(sent[0])
            more = [caller.publish("StartTransaction", START, identity=f"CP-{number}") for number in range(50, 100)]
            process.send_signal(signal.SIGKILL)
        async with worker_process("metering", env) as process:
            for one in sent + more:
                assert (await caller.reply_to(one)).error is None
            process.send_signal(signal.SIGTERM)
            await process.communicate()
            assert process.returncode == 0
        ids = {orjson.loads(caller.replies[one][0].payload)["transactionId"] for one in sent + more}
        assert len(ids) == 100
        assert not caller.dead
    store = Store(database_url)
    assert {row["id"] for row in await all_rows(store, tables.transactions)} == ids
    await store.close()


async def test_a_worker_waits_for_its_database_and_still_obeys_sigterm(amqp_url):
    env = environment("postgresql+asyncpg://nobody@127.0.0.1:1/none", amqp_url, OCPP_LOG_FORMAT="json")
    async with worker_process("authorization", env) as process:
        await heard(process, "store.unavailable")
        process.send_signal(signal.SIGTERM)
        await process.communicate()
        assert process.returncode == 0


async def test_await_schema_returns_when_somebody_has_migrated(sqlite_url):
    env = environment(sqlite_url, OCPP_LOG_FORMAT="json")
    async with worker_process("await-schema", env) as process:
        await heard(process, "store.schema_awaited")
        assert (await asyncio.to_thread(worker, "migrate", env=env)).returncode == 0
        await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 0


def test_a_database_url_that_cannot_be_read_is_told_without_its_password():
    for command in (["check-config"], ["show", "transactions"], ["migrate"]):
        done = worker(*command, env=environment("postgresql+asyncpg://u:pa@12:hush@127.0.0.1/db"))
        assert done.returncode == 2
        assert "DATABASE_URL" in done.stderr
        assert "hush" not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def test_show_takes_no_row_count_that_the_database_refuses(sqlite_url):
    for limit in ("0", "-1", str(2**70), "many"):
        done = worker("show", "transactions", "--limit", limit, env=environment(sqlite_url))
        assert done.returncode == 2
        assert "--limit: must be a number from 1 to 100000\n" in done.stderr


def test_the_command_knows_its_version(sqlite_url):
    done = worker("--version", env=environment(sqlite_url))
    assert (done.returncode, done.stdout) == (0, f"ocpp-worker {version('ocpp-gateway')}\n")
