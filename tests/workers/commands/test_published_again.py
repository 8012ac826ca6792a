"""A direct command whose backend publishes it again: the same command, wherever the first one got to."""

from contextlib import asynccontextmanager
from typing import Any

import pytest

from contracts.commands import CommandOutcome, Reason
from contracts.envelope import OutcomeKind
from tests.support.commanding import CommandCaller, command_caller_on, commands_service
from tests.support.crashing import Remembering
from tests.support.scripted_gateway import gateway_on

RESULT, UNKNOWN, REJECTED = OutcomeKind.RESULT, OutcomeKind.UNKNOWN, OutcomeKind.REJECTED


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr("workers.commands.directory.LEAST_WAIT_S", 0.3)
    monkeypatch.setattr("workers.commands.desk.TICK_S", 0.05)
    monkeypatch.setattr("workers.commands.dispatching.PATIENCE_MS", 300)


@asynccontextmanager
async def world(amqp_url, database_url) -> Any:
    async with (
        gateway_on(amqp_url, "CP-1") as gateway,
        commands_service(amqp_url, database_url),
        command_caller_on(amqp_url) as caller,
    ):
        yield gateway, caller


async def published(caller: CommandCaller, **more: Any) -> CommandOutcome:
    return await caller.command("CP-1", command_id="c-1", **more)


def ending(outcome: CommandOutcome) -> tuple[OutcomeKind, str | None]:
    return outcome.outcome, outcome.reason


@pytest.mark.parametrize("within_s", [20, -1])
async def test_what_has_ended_is_told_again_and_not_sent_on_the_next_session(amqp_url, sqlite_database_url, within_s):
    async with world(amqp_url, sqlite_database_url) as (gateway, caller):
        first = await published(caller)
        gateway.connect("CP-1")
        again = await published(caller, within_s=within_s)
        assert (ending(again), again.payload, again.session) == (ending(first), first.payload, first.session)
        assert len(gateway.commands) == 1


async def test_what_was_dispatched_and_has_no_outcome_is_asked_of_its_own_session_alone(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url) as (gateway, caller):
        gateway.script = gateway.silent
        assert ending(await published(caller, within_s=0.3)) == (UNKNOWN, Reason.NO_OUTCOME)
        gateway.connect("CP-1")
        gateway.script = gateway.accept
        assert ending(await published(caller)) == (UNKNOWN, Reason.REDELIVERED)
        first, second = gateway.commands
        assert first.session == second.session


async def test_what_was_dispatched_and_has_no_outcome_gets_it_from_its_session(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url) as (gateway, caller):
        script = Remembering(gateway)
        gateway.script = lambda command: (script(command), None)[1]
        assert ending(await published(caller, within_s=0.3)) == (UNKNOWN, Reason.NO_OUTCOME)
        gateway.script = script
        assert (await published(caller)).ok
        assert script.sent == ["c-1"]


async def test_the_answer_of_another_request_is_not_told_to_who_reuses_its_id(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url) as (gateway, caller):
        assert (await published(caller)).ok
        for change in ({"payload": {"type": "Hard"}}, {"action": "ClearCache", "payload": {}}, {"session": "s"}):
            assert ending(await published(caller, **change)) == (REJECTED, Reason.COMMAND_ID_REUSED)
        assert (await published(caller)).ok
        assert len(gateway.commands) == 1


async def test_what_its_session_had_no_room_for_is_sent_when_it_is_published_again(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url) as (gateway, caller):
        gateway.script = lambda command: gateway.outcome(command, REJECTED, Reason.QUEUE_FULL)
        assert ending(await published(caller)) == (REJECTED, Reason.QUEUE_FULL)
        gateway.script = gateway.accept
        gateway.connect("CP-1")
        assert (await published(caller)).ok


async def test_one_that_comes_late_does_not_call_the_one_under_way_expired(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url) as (gateway, caller):
        gateway.script = gateway.silent
        asked = caller.ask("CP-1", command_id="c-1")
        await gateway.commanded()
        late, other = caller.ask("CP-1", command_id="c-1", within_s=-1), caller.ask("CP-1", within_s=-1)
        await caller.outcome(other)
        gateway.answer_open()
        assert (await caller.outcome(asked)).ok
        assert (await caller.outcome(late)).ok
