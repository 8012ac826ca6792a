"""A replica dies at every point of a tracked command's way: it is sent once, and ends once."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from contracts.commands import TrackedState
from contracts.envelope import OutcomeKind
from tests.support.commanding import desk_of
from tests.support.crashing import Remembering, crashing_service
from tests.support.scripted_gateway import gateway_on
from tests.support.tracked import START, backend_of, until_stored
from tests.support.worker_store import migrated_store
from workers.errors import StoreUnavailableError


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr("workers.commands.directory.LEAST_WAIT_S", 0.3)
    monkeypatch.setattr("workers.commands.tracking.LOOK_AGAIN", timedelta(seconds=0.5))
    monkeypatch.setattr("workers.commands.waking.POLL_S", 0.1)
    monkeypatch.setattr("workers.commands.waking.LEASE", timedelta(seconds=0.5))
    monkeypatch.setattr("workers.commands.waking.AGAIN_AFTER", timedelta(seconds=0.5))


@asynccontextmanager
async def backend(amqp_url, database_url, *identities) -> Any:
    """A store, a gateway that remembers what it sent, and a backend."""
    async with (
        migrated_store(database_url) as store,
        gateway_on(amqp_url, *identities) as gateway,
        backend_of(amqp_url, store) as here,
    ):
        script = gateway.script = Remembering(gateway)
        yield here, gateway, script, store


async def test_what_is_held_outlives_the_replica_that_took_it(amqp_url, database_url):
    async with backend(amqp_url, database_url) as (here, gateway, script, store):
        async with crashing_service(amqp_url, store):
            held = [await here.held("CP-1") for _ in range(3)]
        async with crashing_service(amqp_url, store):
            gateway.connect("CP-1")
            for command_id in held:
                assert (await here.completions.of(command_id)).ok
        assert script.sent == held


async def test_what_was_sent_before_the_replica_died_is_asked_for_and_not_sent_again(amqp_url, database_url):
    async with backend(amqp_url, database_url, "CP-1") as (here, gateway, script, store):

        def swallow(command) -> None:
            script(command)  # sent, and answered into the void

        async with crashing_service(amqp_url, store):
            gateway.script = swallow
            command_id = await here.held("CP-1")
            await gateway.commanded()
        gateway.script = script
        async with crashing_service(amqp_url, store):
            outcome = await here.completions.of(command_id)
        assert (outcome.outcome, outcome.attempts) == (OutcomeKind.RESULT, 1)
        assert script.sent == [command_id]


async def test_what_was_claimed_and_never_dispatched_is_sent_by_the_next_replica(amqp_url, database_url, monkeypatch):
    async with backend(amqp_url, database_url, "CP-1") as (here, _, script, store):
        async with crashing_service(amqp_url, store) as first:

            async def never(*_: Any, **__: Any) -> Any:
                await asyncio.Event().wait()

            monkeypatch.setattr(desk_of(first), "dispatch", never)
            command_id = await here.held("CP-1")
            await until_stored(here, command_id, lambda row: row.state == TrackedState.UNDER_WAY)
        async with crashing_service(amqp_url, store):
            assert (await here.completions.of(command_id)).ok
        assert script.sent == [command_id]


async def test_an_outcome_that_was_not_stored_is_asked_for_again(amqp_url, database_url, monkeypatch):
    async with backend(amqp_url, database_url, "CP-1") as (here, gateway, script, store):
        async with crashing_service(amqp_url, store):
            with monkeypatch.context() as patch:

                async def away(*_: Any, **__: Any) -> bool:
                    raise StoreUnavailableError("gone")

                patch.setattr("workers.store.commands.settle", away)
                command_id = await here.held("CP-1")
                await gateway.commanded()
        async with crashing_service(amqp_url, store):
            assert (await here.completions.of(command_id)).ok
        assert script.sent == [command_id]


async def test_a_session_that_is_gone_with_the_replica_leaves_the_outcome_unknown(amqp_url, database_url):
    async with backend(amqp_url, database_url, "CP-1") as (here, gateway, script, store):
        async with crashing_service(amqp_url, store):
            gateway.script = lambda command: (script(command), None)[1]
            command_id = await here.held("CP-1")
            await gateway.commanded()
        gateway.connect("CP-1")
        gateway.script = Remembering(gateway)
        async with crashing_service(amqp_url, store):
            outcome = await here.completions.of(command_id)
        assert outcome.outcome is OutcomeKind.UNKNOWN
        assert script.sent == [command_id]


async def test_a_request_whose_receipt_was_lost_is_taken_once(amqp_url, database_url, monkeypatch):
    async with backend(amqp_url, database_url) as (here, gateway, script, store):
        async with crashing_service(amqp_url, store) as first:
            monkeypatch.setattr(desk_of(first)._replies, "tell", lambda *_, **__: None)
            asked = here.track("CP-1", START, command_id="once")
            async with asyncio.timeout(30):
                while not await here.is_stored("once"):  # noqa: ASYNC110 - the store tells nobody
                    await asyncio.sleep(0.02)
        async with crashing_service(amqp_url, store):
            assert (await here.receipt(asked)).command_id == "once"
            gateway.connect("CP-1")
            assert (await here.completions.of("once")).ok
        assert script.sent == ["once"]


async def test_a_standby_replica_takes_over_and_nothing_is_sent_twice(amqp_url, database_url):
    identities = [f"CP-{number}" for number in range(30)]
    async with backend(amqp_url, database_url, *identities) as (here, _, script, store):
        async with AsyncExitStack() as first:
            await first.enter_async_context(crashing_service(amqp_url, store))
            async with crashing_service(amqp_url, store):
                asked = [here.track(identity) for identity in identities]
                held = [(await here.receipt(one)).command_id for one in asked[:10]]
                await first.aclose()
                held += [(await here.receipt(one)).command_id for one in asked[10:]]
                for command_id in held:
                    assert (await here.completions.of(command_id, timeout_s=60)).ok
        assert sorted(script.sent) == sorted(held)
        assert all(len(outcomes) == 1 for outcomes in here.completions.outcomes.values())
