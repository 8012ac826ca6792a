"""Commands of the workers' own: exactly one outcome each, whatever happens on the way."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.actions import Service
from contracts.envelope import OutcomeEnvelope, OutcomeKind
from tests.support.calling import GATEWAY, caller_on, until
from tests.support.serving import serving, worker_settings
from tests.support.worker_store import migrated_store
from workers.runtime.calls import ServiceDefinition
from workers.store import presence
from workers.store.presence import Place


def soon(seconds=20.0) -> Any:
    return datetime.now(UTC) + timedelta(seconds=seconds)


@asynccontextmanager
async def commander_on(amqp_url, tmp_path, *, gateway=GATEWAY, **settings) -> Any:
    config = worker_settings(amqp_url, **settings)
    definition = ServiceDefinition(Service.AUTHORIZATION, {})
    async with migrated_store(f"sqlite+aiosqlite:///{tmp_path}/ocpp.db") as store, caller_on(amqp_url) as caller:
        async with store.transaction() as transaction:
            await presence.note(transaction, [Place("CP-1", gateway, "s", 1, "1.6")], datetime.now(UTC))
        async with serving(definition, config, store) as application:
            yield application._commander, caller


def answer(command) -> Any:
    return OutcomeEnvelope(command.command_id, command.identity, OutcomeKind.RESULT, GATEWAY, payload=b'{"a":1}')


async def test_a_command_goes_to_the_gateway_last_heard_and_brings_its_outcome(amqp_url, tmp_path):
    async with commander_on(amqp_url, tmp_path) as (commander, caller):
        caller.answer_command = answer
        outcome = await commander.send("CP-1", "Reset", {"type": "Soft"}, soon())
        assert (outcome.kind, outcome.payload) == (OutcomeKind.RESULT, b'{"a":1}')
        assert (caller.commands[0].identity, caller.commands[0].action) == ("CP-1", "Reset")


async def test_a_gateway_that_is_gone_makes_the_charge_point_offline(amqp_url, tmp_path):
    async with commander_on(amqp_url, tmp_path, gateway="gone") as (commander, _):
        outcome = await commander.send("CP-1", "Reset", {}, soon())
        assert (outcome.kind, outcome.error_code) == (OutcomeKind.OFFLINE, "gateway_gone")


async def test_a_charge_point_never_heard_is_offline(amqp_url, tmp_path):
    async with commander_on(amqp_url, tmp_path) as (commander, _):
        assert (await commander.send("CP-9", "Reset", {}, soon())).error_code == "never_seen"


async def test_silence_ends_at_the_deadline(amqp_url, tmp_path):
    async with commander_on(amqp_url, tmp_path) as (commander, _):
        assert (await commander.send("CP-1", "Reset", {}, soon(0.1))).kind is OutcomeKind.TIMEOUT
        assert (await commander.send("CP-1", "Reset", {}, soon(-1))).kind is OutcomeKind.EXPIRED


async def test_commands_beyond_the_bound_wait_their_turn(amqp_url, tmp_path):
    async with commander_on(amqp_url, tmp_path, commands_outstanding=2) as (commander, caller):
        sent = [asyncio.create_task(commander.send("CP-1", "Reset", {}, soon())) for _ in range(5)]
        await until(lambda: len(caller.commands) == 2)
        assert not any(task.done() for task in sent)
        caller.answer_command = answer
        for command in list(caller.commands):
            commander._end(command.command_id, OutcomeKind.RESULT, "")
        assert {outcome.kind for outcome in await asyncio.gather(*sent)} == {OutcomeKind.RESULT}


async def test_losing_the_broker_leaves_a_sent_command_unknown(amqp_url, tmp_path):
    async with commander_on(amqp_url, tmp_path) as (commander, caller):
        sent = asyncio.create_task(commander.send("CP-1", "Reset", {}, soon()))
        await until(lambda: caller.commands)
        commander.link_lost()
        assert (await sent).kind is OutcomeKind.UNKNOWN
