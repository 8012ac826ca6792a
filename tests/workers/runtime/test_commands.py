"""Commands of the workers' own: exactly one outcome each, whatever happens on the way."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts import topology
from contracts.actions import Service
from contracts.bodies import ContentType
from contracts.broker import BrokerLink, Consumer, Delivery, Returned
from contracts.commands import CommandOutcome, CommandRequest, Reason
from contracts.envelope import OutcomeKind
from tests.support.calling import until
from tests.support.serving import serving, worker_settings
from tests.support.worker_store import migrated_store
from workers.runtime import commands
from workers.runtime.calls import ServiceDefinition


class CommandsService:
    """A commands service that answers as it is told; it is its link's listener."""

    def __init__(self, url: str) -> None:
        self.asked: list[tuple[Delivery, CommandRequest]] = []
        self.answering: dict[str, Any] | None = None
        consumers = tuple(Consumer(queue) for queue in topology.COMMAND_QUEUES)
        self.link = BrokerLink(url, self, name="test commands service", consumers=consumers)

    def answer(self, delivery: Delivery, request: CommandRequest, **values: Any) -> None:
        outcome = CommandOutcome(
            command_id=request.command_id, identity=delivery.routing_key, **{"outcome": OutcomeKind.RESULT, **values}
        )
        self.link.publish(
            "",
            delivery.reply_to,
            outcome.encode(ContentType.MSGPACK),
            correlation_id=delivery.correlation_id,
            content_type=ContentType.MSGPACK,
        )

    def link_up(self) -> None: ...
    def link_down(self) -> None: ...
    def confirmed(self, token: object) -> None: ...
    def refused(self, token: object) -> None: ...
    def flow_changed(self) -> None: ...
    def returned(self, message: Returned) -> None: ...

    def delivered(self, delivery: Delivery) -> None:
        request = CommandRequest.decode(delivery.body, ContentType.of(delivery.content_type))
        self.asked.append((delivery, request))
        self.link.ack(delivery)
        if self.answering is not None:
            self.answer(delivery, request, **self.answering)


def soon(seconds=20.0) -> Any:
    return datetime.now(UTC) + timedelta(seconds=seconds)


@asynccontextmanager
async def commander_on(amqp_url, sqlite_database_url, **settings) -> Any:
    config = worker_settings(amqp_url, **settings)
    definition = ServiceDefinition(Service.AUTHORIZATION, {})
    async with (
        migrated_store(sqlite_database_url) as store,
        serving(definition, config, store) as application,
    ):
        desk = CommandsService(amqp_url)
        running = asyncio.create_task(desk.link.run())
        try:
            await until(lambda: desk.link.up)
            yield application._commander, desk
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_a_command_brings_its_outcome(amqp_url, sqlite_database_url):
    async with commander_on(amqp_url, sqlite_database_url) as (commander, desk):
        desk.answering = {"payload": {"a": 1}, "gateway": "gw-1"}
        outcome = await commander.send("CP-1", "Reset", {"type": "Soft"}, soon(), command_id="c-1", session="s-1")
        assert (outcome.kind, outcome.payload, outcome.gateway) == (OutcomeKind.RESULT, b'{"a":1}', "gw-1")
        ((delivery, request),) = desk.asked
        assert (delivery.routing_key, request.command_id, request.session) == ("CP-1", "c-1", "s-1")
        assert (request.action, request.payload, request.tracked) == ("Reset", {"type": "Soft"}, False)


@pytest.mark.parametrize(
    ("kind", "reason", "gateway"),
    [
        (OutcomeKind.UNKNOWN, Reason.SESSION_CLOSED, "gw-1"),
        (OutcomeKind.UNKNOWN, Reason.NO_OUTCOME, ""),
        (OutcomeKind.UNKNOWN, Reason.REDELIVERED, ""),
        (OutcomeKind.UNKNOWN, Reason.GATEWAY_LOST, ""),
        (OutcomeKind.TIMEOUT, Reason.NO_ANSWER, "gw-1"),
        (OutcomeKind.REJECTED, Reason.QUEUE_FULL, "gw-1"),
    ],
)
async def test_an_outcome_names_a_gateway_only_when_it_is_that_gateways_word(
    amqp_url, sqlite_database_url, kind, reason, gateway
):
    async with commander_on(amqp_url, sqlite_database_url) as (commander, desk):
        desk.answering = {"outcome": kind, "reason": reason, "gateway": "gw-1"}
        outcome = await commander.send("CP-1", "Reset", {}, soon())
        assert (outcome.kind, outcome.error_code, outcome.gateway) == (kind, reason, gateway)


async def test_a_call_error_brings_its_code_and_details(amqp_url, sqlite_database_url):
    async with commander_on(amqp_url, sqlite_database_url) as (commander, desk):
        desk.answering = {
            "outcome": OutcomeKind.CALL_ERROR, "reason": Reason.CALL_ERROR, "gateway": "gw-1",
            "error_code": "NotSupported", "error_details": {"a": 1},
        }  # fmt: skip
        outcome = await commander.send("CP-1", "Reset", {}, soon())
        assert (outcome.error_code, outcome.details) == ("NotSupported", b'{"a":1}')


async def test_silence_ends_soon_after_the_deadline(amqp_url, sqlite_database_url, monkeypatch):
    monkeypatch.setattr(commands, "OUTCOME_LAG_S", 0.1)
    async with commander_on(amqp_url, sqlite_database_url) as (commander, _):
        outcome = await commander.send("CP-1", "Reset", {}, soon(0.1))
        assert (outcome.kind, outcome.gateway) == (OutcomeKind.TIMEOUT, "")
        assert (await commander.send("CP-1", "Reset", {}, soon(-1))).kind is OutcomeKind.EXPIRED


async def test_a_command_that_no_queue_takes_certainly_was_not_sent(amqp_url, sqlite_database_url, monkeypatch):
    async with commander_on(amqp_url, sqlite_database_url) as (commander, _):
        monkeypatch.setattr(topology, "COMMANDS", topology.GATEWAYS)
        outcome = await commander.send("CP-1", "Reset", {}, soon())
        assert (outcome.kind, outcome.error_code) == (OutcomeKind.OFFLINE, commands.NOT_TAKEN)


async def test_commands_beyond_the_bound_wait_their_turn(amqp_url, sqlite_database_url):
    async with commander_on(amqp_url, sqlite_database_url, commands_outstanding=2) as (commander, desk):
        sent = [asyncio.create_task(commander.send("CP-1", "Reset", {}, soon())) for _ in range(5)]
        await until(lambda: len(desk.asked) == 2)
        assert not any(task.done() for task in sent)
        desk.answering = {}
        for asked in list(desk.asked):
            desk.answer(*asked)
        assert {outcome.kind for outcome in await asyncio.gather(*sent)} == {OutcomeKind.RESULT}


async def test_losing_the_broker_leaves_a_sent_command_unknown(amqp_url, sqlite_database_url):
    async with commander_on(amqp_url, sqlite_database_url) as (commander, desk):
        sent = asyncio.create_task(commander.send("CP-1", "Reset", {}, soon()))
        await until(lambda: desk.asked)
        commander.link_lost()
        assert (await sent).kind is OutcomeKind.UNKNOWN
