"""What dies between a command and its outcome: replicas, links, brokers. One outcome each, none sent twice."""

import asyncio
import time
from contextlib import AsyncExitStack

import pytest

from contracts.commands import Reason
from contracts.envelope import OutcomeKind
from tests.support.calling import until
from tests.support.commanding import command_caller_on, commands_service, desk_of
from tests.support.crashing import Remembering, crashing_service
from tests.support.proxy import CuttingProxy
from tests.support.scripted_gateway import ScriptedGateway, gateway_on
from tests.support.worker_store import migrated_store
from workers.runtime.application import Application


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr("workers.commands.directory.LEAST_WAIT_S", 0.3)
    monkeypatch.setattr("workers.commands.desk.TICK_S", 0.05)
    monkeypatch.setattr("contracts.broker.link.BACKOFF_FIRST_S", 0.02)
    monkeypatch.setattr("contracts.broker.link.BACKOFF_MOST_S", 0.5)


async def test_a_replica_takes_over_what_another_one_had_in_hand(amqp_url, sqlite_database_url):
    async with (
        migrated_store(sqlite_database_url) as store,
        gateway_on(amqp_url, "CP-1") as gateway,
        command_caller_on(amqp_url) as caller,
    ):
        script = Remembering(gateway)

        def swallow(command) -> None:
            script(command)  # sent, and answered into the void

        async with crashing_service(amqp_url, store):
            gateway.script = swallow
            sent = caller.ask("CP-1", command_id="sent")
            await gateway.commanded(1)
            gateway.script = script
        async with commands_service(amqp_url, sqlite_database_url):
            assert (await caller.outcome(sent)).ok
        assert script.sent == ["sent"]
        assert len(caller.answers[sent]) == 1


async def test_a_redelivered_command_that_the_gateway_does_not_know_is_not_sent(amqp_url, sqlite_database_url):
    async with (
        migrated_store(sqlite_database_url) as store,
        gateway_on(amqp_url, "CP-1") as gateway,
        command_caller_on(amqp_url) as caller,
    ):
        async with crashing_service(amqp_url, store):
            gateway.script = gateway.silent
            asked = caller.ask("CP-1")
            await gateway.commanded()
            script = gateway.script = Remembering(gateway)
        async with commands_service(amqp_url, sqlite_database_url):
            outcome = await caller.outcome(asked)
        assert (outcome.outcome, outcome.reason) == (OutcomeKind.UNKNOWN, Reason.REDELIVERED)
        assert not script.sent


async def test_a_standby_replica_takes_over_at_once(amqp_url, sqlite_database_url):
    async with (
        migrated_store(sqlite_database_url) as store,
        gateway_on(amqp_url, *(f"CP-{number}" for number in range(40))) as gateway,
        command_caller_on(amqp_url) as caller,
    ):
        script = gateway.script = Remembering(gateway)
        async with AsyncExitStack() as first:
            await first.enter_async_context(crashing_service(amqp_url, store))
            async with commands_service(amqp_url, sqlite_database_url) as standby:
                before = [caller.ask(f"CP-{number}") for number in range(40)]
                assert all([(await caller.outcome(one)).ok for one in before])
                assert not standby_is_used(standby)
                await first.aclose()
                after = [caller.ask(f"CP-{number}") for number in range(40)]
                assert all([(await caller.outcome(one)).ok for one in after])
        assert len(script.sent) == 80


def standby_is_used(application: Application) -> bool:
    return bool(len(desk_of(application)._memory))


async def test_a_cut_link_repeats_a_dispatched_command_to_its_session_alone(amqp_url, sqlite_database_url):
    async with (
        CuttingProxy.before(amqp_url) as proxy,
        gateway_on(amqp_url, "CP-1", "CP-2") as gateway,
        command_caller_on(amqp_url) as caller,
        commands_service(proxy.url(amqp_url), sqlite_database_url) as application,
    ):
        script = Remembering(gateway)
        gateway.script = gateway.silent
        never_got, sent = caller.ask("CP-1", command_id="never-got"), caller.ask("CP-2", command_id="sent")
        first, second = sorted((await gateway.commanded(2))[:2], key=lambda command: command.identity)
        script(second)
        gateway.script = script
        proxy.cut()
        for asked in (never_got, sent):
            outcome = await caller.outcome(asked)
            assert outcome.ok
        again = {command.command_id: command for command in gateway.commands[2:]}
        assert (again["never-got"].session, again["never-got"].again) == (first.session, False)
        assert sorted(script.sent) == ["never-got", "sent"]
        await until(lambda: desk_of(application).complete)


async def test_after_a_cut_a_session_that_is_gone_leaves_its_command_unknown(amqp_url, sqlite_database_url):
    async with (
        CuttingProxy.before(amqp_url) as proxy,
        gateway_on(amqp_url, "CP-1") as gateway,
        command_caller_on(amqp_url) as caller,
        commands_service(proxy.url(amqp_url), sqlite_database_url),
    ):
        gateway.script = gateway.silent
        asked = caller.ask("CP-1")
        await gateway.commanded()
        gateway.connect("CP-1")
        gateway.script = gateway.accept
        proxy.cut()
        outcome = await caller.outcome(asked)
        assert (outcome.outcome, outcome.reason) == (OutcomeKind.UNKNOWN, Reason.REDELIVERED)
        assert (await caller.command("CP-1")).ok


async def test_a_killed_broker_costs_no_command_its_outcome(own_rabbit, sqlite_database_url):
    url = own_rabbit.amqp_url
    async with (
        gateway_on(url, "CP-1") as gateway,
        command_caller_on(url) as caller,
        commands_service(url, sqlite_database_url),
    ):
        gateway.script = gateway.silent
        await caller.link.settled()
        caller.ask("CP-1", command_id="before", within_s=60)
        await gateway.commanded(1)
        script = Remembering(gateway)
        script(gateway.commands[0])
        gateway.script = script
        own_rabbit.kill()
        await asyncio.to_thread(own_rabbit.restart)
        # Its private queue has gone with the broker; the command is delivered again, and ended for nobody.
        await until(lambda: len(gateway.commands) >= 2, timeout_s=60)
        assert gateway.commands[1].command_id == "before"
        await until(lambda: caller.link.up)
        assert (await caller.command("CP-1")).ok
        assert len(script.sent) == 2


async def test_stopping_waits_for_the_outcome_of_what_is_dispatched(amqp_url, sqlite_database_url):
    async with gateway_on(amqp_url, "CP-1") as gateway, command_caller_on(amqp_url) as caller:
        async with commands_service(amqp_url, sqlite_database_url) as application:
            gateway.script = gateway.silent
            asked = caller.ask("CP-1")
            await gateway.commanded()
            stopping = asyncio.create_task(answered_later(gateway, application))
        await stopping
        assert (await caller.outcome(asked)).ok
        assert len(gateway.commands) == 1


async def answered_later(gateway: ScriptedGateway, application: Application) -> None:
    await until(lambda: not application._link._consumers)
    gateway.answer_open()


async def test_stopping_leaves_what_has_no_outcome_in_time_to_the_next_replica(amqp_url, sqlite_database_url):
    async with gateway_on(amqp_url, "CP-1") as gateway, command_caller_on(amqp_url) as caller:
        script = Remembering(gateway)
        async with commands_service(amqp_url, sqlite_database_url, grace_seconds=0.3):
            gateway.script = gateway.silent
            asked = caller.ask("CP-1")
            await gateway.commanded()
        script(gateway.commands[0])
        gateway.script = script
        async with commands_service(amqp_url, sqlite_database_url):
            assert (await caller.outcome(asked)).ok
        assert (len(script.sent), gateway.commands[1].again) == (1, True)


async def test_a_command_that_expires_in_its_queue_still_gets_an_outcome(amqp_url, sqlite_database_url):
    async with gateway_on(amqp_url, "CP-1") as gateway, command_caller_on(amqp_url) as caller:
        body = b'{"command_id":"c-1","action":"ClearCache","deadline_ms":99}'
        asked = caller.ask_raw("CP-1", body, expiration_ms=1)
        async with commands_service(amqp_url, sqlite_database_url):
            outcome = await caller.outcome(asked)
        assert (outcome.outcome, outcome.reason) == (OutcomeKind.UNKNOWN, Reason.UNDELIVERABLE)
        assert (outcome.command_id, outcome.identity) == ("c-1", "CP-1")
        assert not gateway.commands


async def test_a_command_that_expires_after_its_replica_died_may_have_been_sent(amqp_url, sqlite_database_url):
    async with gateway_on(amqp_url, "CP-1") as gateway, command_caller_on(amqp_url) as caller:
        gateway.script = gateway.silent
        body = b'{"command_id":"c-1","action":"ClearCache","deadline_ms":%d}' % int((time.time() + 60) * 1000)
        async with commands_service(amqp_url, sqlite_database_url, grace_seconds=0.1):
            asked = caller.ask_raw("CP-1", body, expiration_ms=1500)
            await gateway.commanded()
            await asyncio.sleep(1.5)  # by the broker's own clock
        async with commands_service(amqp_url, sqlite_database_url):
            outcome = await caller.outcome(asked)
        assert (outcome.outcome, outcome.reason) == (OutcomeKind.UNKNOWN, Reason.UNDELIVERABLE)
