"""The examples of docs/backend.md on a real broker, against a scripted service."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from contracts.events import SecurityEventReported, binding_key
from contracts.identity import routing_token
from tests.support.backend_examples import LANGUAGES, running
from tests.support.proxy import CuttingProxy
from tests.support.scripted_commands import ScriptedCommands, scripted_commands_on

STRANGE = "Käfer.*# 7"
LONG = "ö." * 60


def test_one_of_the_identities_is_so_long_that_its_token_is_a_digest():
    assert len(routing_token(LONG)) == 160


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(name="service")
async def scripted_service(amqp_url: str) -> AsyncIterator[ScriptedCommands]:
    async with scripted_commands_on(amqp_url) as service:
        yield service


async def test_send_command_prints_the_outcome(service: ScriptedCommands, amqp_url: str, language: str):
    arguments = ("CP-1", "GetConfiguration", '{"key": ["HeartbeatInterval"]}')
    async with running(language, "send_command", amqp_url, *arguments) as example:
        outcome = await example.json()
        assert await example.status() == 0
    (request,) = service.requests
    assert (request.action, request.payload) == ("GetConfiguration", {"key": ["HeartbeatInterval"]})
    assert (outcome["command_id"], outcome["outcome"]) == (request.command_id, "result")


async def _accepted(service: ScriptedCommands) -> None:
    async with asyncio.timeout(30):
        await service.arrived.wait()
    service.arrived.clear()


@pytest.mark.parametrize("identity", ["CP-1", STRANGE, LONG])
async def test_track_command_prints_the_receipt_and_later_the_end(
    service: ScriptedCommands, amqp_url: str, language: str, identity: str
):
    async with running(language, "track_command", amqp_url, identity, "Reset", '{"type": "Soft"}') as example:
        assert (await example.line()).startswith("command ")
        assert await example.line() == "stored, held"
        await _accepted(service)
        (request,) = service.requests
        assert request.tracked
        await service.tell(identity, SecurityEventReported(type="FirmwareUpdated"))
        await service.end(request, identity)
        assert (await example.json())["command_id"] == request.command_id
        assert await example.status() == 0


async def test_track_command_goes_on_where_an_earlier_run_left_off(
    service: ScriptedCommands, amqp_url: str, language: str
):
    async with running(language, "track_command", amqp_url, "CP-1", "Reset", '{"type": "Soft"}') as example:
        _, command_id = (await example.line()).split()
        assert await example.line() == "stored, held"
        await _accepted(service)
    await service.end(service.requests[0], "CP-1")
    arguments = ("CP-1", "Reset", '{"type": "Soft"}', command_id)
    async with running(language, "track_command", amqp_url, *arguments) as example:
        await example.line()
        assert await example.line() == "stored, ended"
        assert (await example.json())["outcome"] == "result"
    assert [request.command_id for request in service.requests] == [command_id, command_id]


async def test_listen_events_gets_what_was_published_while_it_was_down_once(
    service: ScriptedCommands, amqp_url: str, language: str
):
    data = SecurityEventReported(type="FirmwareUpdated")
    async with running(language, "listen_events", amqp_url, "mine.events") as example:
        assert await example.complaint() == "listening on mine.events"
        first = await service.tell("CP-1", data)
        assert (await example.json())["event_id"] == first.event_id
    second, third = await service.tell("CP-1", data), await service.tell("CP-2", data)
    await service.publish(second)
    last = await service.tell("CP-1", data)
    async with running(language, "listen_events", amqp_url, "mine.events") as example:
        heard: list[str] = []
        while last.event_id not in heard:
            heard.append((await example.json())["event_id"])
    # It was killed after it had printed the first, perhaps before the broker had its ack.
    assert [event_id for event_id in heard if event_id != first.event_id] == [
        second.event_id,
        third.event_id,
        last.event_id,
    ]


async def test_listen_events_hears_only_what_its_keys_name(service: ScriptedCommands, amqp_url: str, language: str):
    data = SecurityEventReported(type="FirmwareUpdated")
    key = binding_key(SecurityEventReported.TYPE, STRANGE)
    async with running(language, "listen_events", amqp_url, "mine.events", key) as example:
        assert await example.complaint() == "listening on mine.events"
        await service.tell("CP-1", data)
        await service.tell(STRANGE, data)
        assert (await example.json())["identity"] == STRANGE


async def test_listen_events_says_that_something_was_missed(service: ScriptedCommands, amqp_url: str, language: str):
    data = SecurityEventReported(type="FirmwareUpdated")
    async with running(language, "listen_events", amqp_url, "mine.events") as example:
        await example.complaint()
        event = await service.tell("CP-1", data)
        await service.publish(event.model_copy(update={"event_id": "later", "seq": 4}))
        assert await example.complaint() == "missed 2 to 3 of CP-1"


async def test_an_example_that_waits_ends_when_the_connection_breaks(
    service: ScriptedCommands, amqp_url: str, language: str
):
    async with CuttingProxy.before(amqp_url) as proxy:
        url = proxy.url(amqp_url)
        async with (
            running(language, "listen_events", url, "mine.events") as listening,
            running(language, "track_command", url, "CP-1", "Reset", '{"type": "Soft"}') as tracking,
        ):
            await listening.complaint()
            await tracking.line()
            await tracking.line()
            proxy.cut()
            assert "connection lost" in await listening.complaints()
            assert "connection lost" in await tracking.complaints()
            assert await listening.status() != 0
            assert await tracking.status() != 0
