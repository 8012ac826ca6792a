"""Fixtures: real servers, private to this test session, started when the first test asks for them.

A missing server is an error and never a skip. AMQP_URL (with AMQP_MANAGEMENT_URL for a vhost per test) and DATABASE_URL
(its role needs CREATEDB) stand for servers that run already.
"""

import contextlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.support.preparing import prepare
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
_LEAST_FREE_BYTES = 4 * 1024**3


def _state() -> Path:
    """Where the nodes' data are: in memory where there is room, as a test's tables and queues outlive no test.

    Quorum queues write each declaration, and each message, through to the disk before they answer. A killed process
    loses nothing that it has written to memory either.
    """
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own in it
    folder = memory / f"ocpp-tests-{os.getuid()}"
    with contextlib.suppress(OSError):
        if shutil.disk_usage(memory).free >= _LEAST_FREE_BYTES:
            folder.mkdir(mode=0o711, exist_ok=True)  # the user postgres passes through it
            if folder.stat().st_uid == os.getuid():
                return folder
    return Path(__file__).parents[2] / ".dev" / "test"


STATE = _state()


def state_dir(purpose: str) -> Path:
    """Return a path that nobody else uses, not yet made; what dead sessions left beside it is swept."""
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


@contextlib.contextmanager
def _in_the_background(delete: Callable[[str], None]) -> Iterator[Callable[[str], None]]:
    """Delete while the next test runs; what could not be deleted is an error at the end of the session."""
    deletions: list[Future[None]] = []
    with ThreadPoolExecutor(1) as thread:
        yield lambda name: deletions.append(thread.submit(delete, name))
    for deletion in deletions:
        deletion.result()


@pytest.fixture(scope="session")
def delete_vhost(rabbit: Broker) -> Iterator[Callable[[str], None]]:
    """Hundreds of vhosts would slow the broker down, but nobody need wait for the end of one."""
    with _in_the_background(rabbit.delete_vhost) as delete:
        yield delete


@pytest.fixture
def amqp_url(rabbit: Broker, delete_vhost: Callable[[str], None]) -> Iterator[str]:
    """An empty vhost of the session's broker, deleted after the test."""
    vhost = f"test-{uuid.uuid4().hex[:12]}"
    yield rabbit.create_vhost(vhost)
    delete_vhost(vhost)


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


@pytest.fixture(scope="session")
def drop_database(postgres: Database) -> Iterator[Callable[[str], None]]:
    with _in_the_background(postgres.drop_database) as drop:
        yield drop


@pytest.fixture
def postgres_url(postgres: Database, drop_database: Callable[[str], None]) -> Iterator[str]:
    """An empty database of the session's server, dropped after the test."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield postgres.create_database(name)
    drop_database(name)


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
    drop: Callable[[str], None] = request.getfixturevalue("drop_database")
    yield admin.create_database(name, template=request.getfixturevalue("migrated_postgres"))
    drop(name)


@pytest.fixture
def sqlite_database_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """The SQLite one alone: for what no database changes."""
    shutil.copy(migrated_sqlite, tmp_path / SQLITE_FILE)
    return _sqlite_url(tmp_path)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file to copy."""
    folder = tmp_path_factory.mktemp("migrated")
    prepare(_sqlite_url(folder))
    return folder / SQLITE_FILE


@pytest.fixture(scope="session")
def migrated_postgres(postgres: Database) -> Iterator[str]:
    """Name of a PostgreSQL database to copy."""
    name = f"migrated_{uuid.uuid4().hex[:12]}"
    prepare(postgres.create_database(name))
    yield name
    postgres.drop_database(name)


def _sqlite_url(folder: Path) -> str:
    return f"sqlite+aiosqlite:///{folder}/{SQLITE_FILE}"
