"""The newest socket of a charge point wins, on whatever gateway it is."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from statistics import median
from time import perf_counter
from urllib.parse import quote

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from contracts.client import CommandClient
from contracts.commands import CommandOutcome, Reason
from contracts.envelope import OutcomeKind
from contracts.versions import Version
from tests.support.figures import note
from tests.support.live import LiveSystem
from tests.support.stations import socket_to
from tests.support.systems import running_stack
from tools.nodes import Broker

pytestmark = pytest.mark.system

TAKEOVERS = 15
REPLACED = 1008


@pytest.fixture(scope="module")
def live(rabbit: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSystem]:
    """Two gateways and the workers."""
    folder = tmp_path_factory.mktemp("takeover")
    vhost = f"takeover-{uuid.uuid4().hex[:12]}"
    amqp_url, database_url = rabbit.create_vhost(vhost), f"sqlite+aiosqlite:///{folder}/ocpp.db"
    try:
        with running_stack(amqp_url, database_url, folder, gateways=2) as stack:
            yield LiveSystem(stack, amqp_url, database_url, folder)
    finally:
        rabbit.delete_vhost(vhost)


@pytest.fixture
async def client(live: LiveSystem) -> AsyncIterator[CommandClient]:
    """A backend's client."""
    async with CommandClient(live.amqp_url) as client:
        yield client


async def answer_next(socket: ClientConnection) -> None:
    """Answer the next Call."""
    _, unique_id, *_ = json.loads(await asyncio.wait_for(socket.recv(), 15))
    await socket.send(json.dumps([3, unique_id, {"status": "Accepted"}]))


async def trigger(client: CommandClient, identity: str) -> CommandOutcome:
    return await client.call(identity, "TriggerMessage", {"requestedMessage": "Heartbeat"}, timeout_s=15)


async def routable(client: CommandClient, identity: str, socket: ClientConnection) -> None:
    """Return once a command has reached this socket, and been answered on it."""
    answering = asyncio.create_task(answer_next(socket))
    outcome = await trigger(client, identity)
    while not outcome.ok:  # nobody has heard of the session yet
        assert outcome.outcome is OutcomeKind.OFFLINE
        outcome = await trigger(client, identity)
    await answering


async def test_a_socket_on_another_gateway_takes_over_and_the_older_one_is_closed(
    live: LiveSystem, client: CommandClient
) -> None:
    seconds = []
    for number in range(TAKEOVERS):
        identity = f"CP-{number}"
        async with socket_to(live.stack.urls[0], identity, Version.V16) as first:
            await routable(client, identity, first)
            began = perf_counter()
            async with socket_to(live.stack.urls[1], identity, Version.V16) as second:
                with pytest.raises(ConnectionClosed):
                    await asyncio.wait_for(first.recv(), 15)
                assert first.close_code == REPLACED
                await routable(client, identity, second)
                seconds.append(perf_counter() - began)
    note(f"takeover, from the new socket's handshake to an answered command: median {median(seconds) * 1000:.0f} ms")


async def test_a_command_in_flight_on_the_older_socket_ends_unknown_and_is_not_sent_on_the_newer_one(
    live: LiveSystem, client: CommandClient
) -> None:
    async with socket_to(live.stack.urls[0], "CP-1", Version.V16) as first:
        await routable(client, "CP-1", first)
        flying = asyncio.create_task(client.call("CP-1", "Reset", {"type": "Soft"}, timeout_s=15))
        _, unique_id, action, _ = json.loads(await asyncio.wait_for(first.recv(), 15))
        assert action == "Reset"
        first.transport.pause_reading()  # half-open from here on
        async with socket_to(live.stack.urls[1], "CP-1", Version.V16) as second:
            outcome = await flying
            assert (outcome.outcome, outcome.reason) == (OutcomeKind.UNKNOWN, Reason.SESSION_CLOSED)
            assert outcome.command_id == unique_id
            await first.send(json.dumps([3, unique_id, {"status": "Accepted"}]))  # nobody listens to it
            await routable(client, "CP-1", second)
        first.transport.abort()


async def test_identities_with_broker_syntax_are_commanded_each_for_itself(
    live: LiveSystem, client: CommandClient
) -> None:
    identities = ["a.b", "a.*", "#", "*", "a/b", "a%2Fb", "a b", "ä", "ocpp.calls", "x" * 48, "A.B", "é" * 120]

    async def be_commanded(identity: str, url: str) -> None:
        async with socket_to(url, identity, Version.V16, path=quote(identity, safe="")) as socket:
            await routable(client, identity, socket)
            payload = {"key": identity[:50], "value": "1"}
            commanding = asyncio.create_task(client.call(identity, "ChangeConfiguration", payload, timeout_s=15))
            _, unique_id, _, received = json.loads(await asyncio.wait_for(socket.recv(), 15))
            assert received == payload
            await socket.send(json.dumps([3, unique_id, {"status": "Accepted"}]))
            assert (await commanding).identity == identity

    async with asyncio.TaskGroup() as group:
        for number, identity in enumerate(identities):
            # The path's one segment: a slash of the identity travels as %2F.
            group.create_task(be_commanded(identity, live.stack.urls[number % 2]))
