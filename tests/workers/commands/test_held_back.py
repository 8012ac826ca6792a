"""Direct commands that had to wait when the link went down: they were not dispatched, and are when they come again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.calling import until
from tests.support.commanding import commands_service, desk_of
from tests.support.proxy import CuttingProxy
from tests.support.scripted_gateway import gateway_on
from tests.support.tracked import Hanging, ServedWorld, backend_of


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr("workers.commands.directory.LEAST_WAIT_S", 0.3)
    monkeypatch.setattr("contracts.broker.link.BACKOFF_FIRST_S", 0.02)
    monkeypatch.setattr("workers.commands.store_room.PATIENCE_S", 60.0)


@asynccontextmanager
async def cuttable(amqp_url: str, database_url: str, proxy: CuttingProxy) -> AsyncIterator[ServedWorld]:
    async with (
        commands_service(proxy.url(amqp_url), database_url) as application,
        backend_of(amqp_url, application._store) as here,
    ):
        yield ServedWorld(here.caller, here.completions, here.store, application)


async def test_what_waited_for_its_shard_is_dispatched_when_it_comes_again(amqp_url, sqlite_database_url):
    async with (
        CuttingProxy.before(amqp_url) as proxy,
        gateway_on(amqp_url, "CP-1") as gateway,
        cuttable(amqp_url, sqlite_database_url, proxy) as here,
    ):
        hanging = Hanging(here.store)
        asked = here.caller.ask("CP-1")
        await until(lambda: desk_of(here.application)._entry._held_back)
        proxy.cut()
        await until(lambda: not desk_of(here.application)._entry._held_back)
        hanging.back.set()
        assert (await here.caller.outcome(asked)).ok
        assert [command.again for command in gateway.commands] == [False]


async def test_what_waited_for_held_ones_is_dispatched_when_it_comes_again(amqp_url, sqlite_database_url):
    async with (
        CuttingProxy.before(amqp_url) as proxy,
        gateway_on(amqp_url) as gateway,
        cuttable(amqp_url, sqlite_database_url, proxy) as here,
    ):
        held = await here.held("CP-1")
        hanging = Hanging(here.store)
        gateway.connect("CP-1")
        asked = here.caller.ask("CP-1", command_id="direct")
        await until(lambda: desk_of(here.application)._entry._behind)
        proxy.cut()
        await until(lambda: not desk_of(here.application)._entry._behind)
        hanging.back.set()
        assert (await here.caller.outcome(asked)).ok
        assert [(command.command_id, command.again) for command in gateway.commands] == [
            (held, False),
            ("direct", False),
        ]
