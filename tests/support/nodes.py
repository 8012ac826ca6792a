"""Fixtures: real servers, private to this test session, started when the first test asks for them.

A missing server is an error and never a skip. AMQP_URL (with AMQP_MANAGEMENT_URL for a vhost per test) and DATABASE_URL
(its role needs CREATEDB) stand for servers that run already.
"""

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tools.nodes import (
    Broker,
    Database,
    KillableBroker,
    KillableDatabase,
    PrivatePostgres,
    broker_for,
    database_for,
    own_broker_for,
    own_database_for,
)
from tools.nodes.sql import SqlAdmin

SQLITE_FILE = "ocpp.db"
STATE = Path(__file__).parents[2] / ".dev" / "test"


def state_dir(purpose: str) -> Path:
    """Return a path below .dev/test that nobody else uses, not yet made; what dead sessions left there is swept."""
    for left in STATE.glob("*-*-*"):
        owner = left.name.rsplit("-", 2)[1]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
    return STATE / f"{purpose}-{os.getpid()}-{uuid.uuid4().hex[:6]}"


@pytest.fixture(scope="session")
def rabbit() -> Iterator[Broker]:
    """The session's broker; do not stop or kill it, `own_rabbit` is for that."""
    broker = broker_for(state_dir("rabbit"))
    try:
        broker.start()
        yield broker
    finally:
        broker.discard()


@pytest.fixture
def amqp_url(rabbit: Broker) -> Iterator[str]:
    """An empty vhost of the session's broker, deleted after the test."""
    vhost = f"test-{uuid.uuid4().hex[:12]}"
    url = rabbit.create_vhost(vhost)
    yield url
    rabbit.delete_vhost(vhost)


@pytest.fixture
def own_rabbit() -> Iterator[KillableBroker]:
    """A broker for one test, to kill and restart; it takes 4 s or more to start."""
    broker = own_broker_for(state_dir("rabbit"))
    try:
        broker.start()
        yield broker
    finally:
        broker.discard()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Database]:
    """The session's database server, without fsync; connections may be cut, but `own_postgres` is for killing it."""
    server = database_for(state_dir("postgres"))
    if isinstance(server, PrivatePostgres):
        server = PrivatePostgres(server.data_dir, fsync=False)
    try:
        server.start()
        yield server
    finally:
        server.discard()


@pytest.fixture
def postgres_url(postgres: Database) -> Iterator[str]:
    """An empty database of the session's server, dropped after the test."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    url = postgres.create_database(name)
    yield url
    postgres.drop_database(name)


@pytest.fixture
def own_postgres() -> Iterator[KillableDatabase]:
    """A database server for one test, to kill and restart."""
    server = own_database_for(state_dir("postgres"))
    try:
        server.start()
        yield server
    finally:
        server.discard()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of each kind in turn, without tables, as SQLAlchemy's async engine takes it."""
    if request.param == "sqlite":
        return _sqlite_url(tmp_path)
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The same with the tables of this version, copied from a database that was migrated once."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite_database_url")
        return
    admin, name = SqlAdmin(request.getfixturevalue("postgres").url), f"test_{uuid.uuid4().hex[:12]}"
    yield admin.create_database(name, template=request.getfixturevalue("migrated_postgres"))
    admin.drop_database(name)


@pytest.fixture
def sqlite_database_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """The SQLite one alone: for what no database changes."""
    shutil.copy(migrated_sqlite, tmp_path / SQLITE_FILE)
    return _sqlite_url(tmp_path)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file to copy."""
    folder = tmp_path_factory.mktemp("migrated")
    _migrate(_sqlite_url(folder))
    return folder / SQLITE_FILE


@pytest.fixture(scope="session")
def migrated_postgres(postgres: Database) -> Iterator[str]:
    """Name of a PostgreSQL database to copy."""
    name = f"migrated_{uuid.uuid4().hex[:12]}"
    _migrate(postgres.create_database(name))
    yield name
    postgres.drop_database(name)


def _sqlite_url(folder: Path) -> str:
    return f"sqlite+aiosqlite:///{folder}/{SQLITE_FILE}"


def _migrate(url: str) -> None:
    # In a process of its own: an event loop may be running here.
    command = [sys.executable, "-m", "workers", "migrate"]
    subprocess.run(command, env={**os.environ, "DATABASE_URL": url}, check=True, capture_output=True, timeout=60)
