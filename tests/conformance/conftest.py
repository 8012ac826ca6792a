"""One running system for each store, shared by all conformance tests; each test brings its own charge point."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import pytest
import uvloop

from tests.support.live import LiveSystem, Records
from tools.nodes import Broker, Database
from tools.stack import Stack

PROVISIONED = Path(__file__).parent / "provisioned.toml"


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop of production."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="package", params=["sqlite", "postgresql"])
def live(
    request: pytest.FixtureRequest, rabbit: Broker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveSystem]:
    """Gateway and workers as processes on the session's broker, their store migrated and provisioned."""
    folder = tmp_path_factory.mktemp(f"live-{request.param}")
    name = f"live_{uuid.uuid4().hex[:12]}"
    postgres: Database | None = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    database_url = f"sqlite+aiosqlite:///{folder}/ocpp.db" if postgres is None else postgres.create_database(name)
    amqp_url = rabbit.create_vhost(name)
    stack = Stack(
        amqp_url=amqp_url, database_url=database_url, logs=folder, settings={"OCPP_WORKER_INTERVAL_JITTER": "0"}
    )
    try:
        stack.migrate()
        stack.run_worker_command("provision", str(PROVISIONED))
        stack.start()
        yield LiveSystem(stack, amqp_url, database_url, folder)
    finally:
        stack.stop(timeout_s=10)
        rabbit.delete_vhost(name)
        if postgres is not None:
            postgres.drop_database(name)


@pytest.fixture
def identity() -> str:
    """A charge point that no other test uses."""
    return f"CP-{uuid.uuid4().hex[:12]}"


@pytest.fixture
async def records(live: LiveSystem, identity: str) -> AsyncIterator[Records]:
    """What the store holds of this test's charge point."""
    async with live.records(identity) as records:
        yield records
