"""Two gateways on a real broker: newest socket wins, snapshots, heartbeats, broken links."""

import asyncio
import time
from collections.abc import AsyncIterator

import aio_pika
import pytest
from aio_pika.abc import AbstractQueue

from contracts.announcements import SNAPSHOT_REQUEST_TYPE, Announcement, Heartbeat, SnapshotRequest, read
from contracts.envelope import CommandEnvelope, OutcomeEnvelope, OutcomeKind
from contracts.topology import GATEWAYS, SESSIONS
from gateway.app import Gateway
from gateway.clock import Clock
from tests.gateway.conftest import until
from tests.gateway.station import call, hear, plug_in
from tests.support.proxy import CuttingProxy


class Ear:
    """Hears the sessions exchange as a service would, with a private queue that is also its reply queue."""

    def __init__(self, channel: aio_pika.abc.AbstractChannel, queue: AbstractQueue) -> None:
        self._channel = channel
        self.queue = queue
        self.heard: list[Announcement | Heartbeat | SnapshotRequest] = []
        self.answers: list[Announcement] = []

    async def take(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        heard = read(message.body)
        assert message.type in {"sessions", "heartbeat", "snapshot-request"}
        if message.exchange == SESSIONS:
            self.heard.append(heard)
        else:
            assert isinstance(heard, Announcement)
            self.answers.append(heard)

    async def ask(self) -> None:
        exchange = await self._channel.get_exchange(SESSIONS, ensure=False)
        body = SnapshotRequest("a test").encode()
        await exchange.publish(aio_pika.Message(body, type=SNAPSHOT_REQUEST_TYPE, reply_to=self.queue.name), "")

    def of(self, gateway: Gateway) -> list[Announcement]:
        mine = gateway.settings.gateway_id
        return [heard for heard in self.heard if isinstance(heard, Announcement) and heard.gateway == mine]

    def beats(self, gateway: Gateway) -> list[Heartbeat]:
        mine = gateway.settings.gateway_id
        return [heard for heard in self.heard if isinstance(heard, Heartbeat) and heard.gateway == mine]

    def closed(self, gateway: Gateway) -> list[str]:
        return [entry.identity for part in self.of(gateway) for entry in part.closed]


@pytest.fixture
async def ear(amqp_url: str) -> AsyncIterator[Ear]:
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        await channel.declare_exchange(SESSIONS, "fanout", durable=True)
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(SESSIONS, "")
        listening = Ear(channel, queue)
        tag = await queue.consume(listening.take, no_ack=True)
        yield listening
        await queue.cancel(tag)


async def test_a_charge_point_that_connects_to_another_gateway_loses_its_old_socket(start_gateway, worker, ear):
    first, second = await start_gateway(), await start_gateway()
    old = await plug_in(first)
    async with await plug_in(second) as new:
        await old.wait_closed()
        assert (old.close_code, old.close_reason) == (1008, "replaced by a newer connection")
        assert (await call(new, "1", "Heartbeat"))[:2] == [3, "1"]
        assert (len(first.edge.registry), len(second.edge.registry)) == (0, 1)
        await until(lambda: ear.closed(first) == ["CP-1"])
        async with await plug_in(first) as newest:
            await new.wait_closed()
            assert (await call(newest, "2", "Heartbeat"))[:2] == [3, "2"]


class LaggingClock(Clock):
    """An hour behind."""

    def wall_ms(self, now: float) -> int:
        return super().wall_ms(now) - 3_600_000


async def test_a_gateway_whose_clock_lags_keeps_its_newer_sockets(start_gateway, worker):
    first, second = await start_gateway(heartbeat_seconds=0.1), await start_gateway()
    second.edge.clock = LaggingClock()
    old = await plug_in(first)
    await until(lambda: second.edge.registry.last_epoch == first.edge.registry.last_epoch)
    async with await plug_in(second) as new:
        await old.wait_closed()
        assert (await call(new, "1", "Heartbeat"))[:2] == [3, "1"]


async def test_a_command_in_flight_on_a_session_that_is_taken_over_ends_unknown(start_gateway, amqp_url):
    first, second = await start_gateway(), await start_gateway()
    async with await aio_pika.connect(amqp_url) as asker:
        channel = await asker.channel()
        replies = await channel.declare_queue(exclusive=True)
        exchange = await channel.get_exchange(GATEWAYS, ensure=False)
        old = await plug_in(first)

        async def send(session: str | None, *, again: bool) -> None:
            deadline_ms = int(time.time() * 1000) + 60_000
            command = CommandEnvelope("c1", "CP-1", "ClearCache", b"{}", deadline_ms, session, again)
            message = aio_pika.Message(command.encode(), reply_to=replies.name, correlation_id="c1")
            await exchange.publish(message, first.settings.gateway_id)

        async def outcome() -> OutcomeEnvelope:
            async with replies.iterator(no_ack=True, timeout=10) as messages:
                async for message in messages:
                    return OutcomeEnvelope.decode(message.body)
            raise AssertionError

        await send(None, again=False)
        assert (await hear(old))[:2] == [2, "c1"]
        async with await plug_in(second):
            ended = await outcome()
            assert (ended.kind, ended.error_code) == (OutcomeKind.UNKNOWN, "session_closed")
            assert ended.sent_ms is not None
            await send(ended.session, again=False)
            pinned = await outcome()
            assert (pinned.kind, pinned.error_code) == (OutcomeKind.OFFLINE, "not_here")
            await send(ended.session, again=True)
            redelivered = await outcome()
            assert (redelivered.kind, redelivered.error_code) == (OutcomeKind.UNKNOWN, "redelivered")
        await old.wait_closed()


async def test_every_gateway_answers_whoever_asks_what_it_holds(start_gateway, ear):
    first, second = await start_gateway(), await start_gateway()
    stations = [await plug_in(first, f"CP-{number}") for number in range(3)]
    await ear.ask()
    await until(lambda: sum(part.last for part in ear.answers) == 2)
    held = {part.gateway: {entry.identity for entry in part.opened} for part in ear.answers}
    assert held == {first.settings.gateway_id: {"CP-0", "CP-1", "CP-2"}, second.settings.gateway_id: set()}
    for station in stations:
        await station.close()


async def test_a_gateway_lives_by_its_heartbeats_and_leaves_with_one(start_gateway, ear):
    gateway = await start_gateway(heartbeat_seconds=0.1)
    async with await plug_in(gateway):
        await until(lambda: any(beat.sessions for beat in ear.beats(gateway)))
        await gateway.stop()
    await until(lambda: ear.beats(gateway)[-1].leaving)
    assert ear.closed(gateway) == ["CP-1"]
    assert ear.heard[-1] == ear.beats(gateway)[-1]


async def test_after_a_broken_link_it_tells_what_closed_meanwhile_and_what_it_holds(start_gateway, ear, amqp_url):
    async with CuttingProxy.before(amqp_url) as proxy:
        gateway = await start_gateway(amqp_url=proxy.url(amqp_url))
        stays, leaves = await plug_in(gateway, "CP-1"), await plug_in(gateway, "CP-2")
        await until(lambda: len(gateway.edge.announcements) == 0)
        proxy.refuse(True)
        proxy.cut()
        await until(lambda: not gateway.link.up)
        await leaves.close()
        await until(lambda: len(gateway.edge.registry) == 1)
        ear.heard.clear()
        proxy.refuse(False)
        await until(lambda: any(part.last for part in ear.of(gateway)))
        assert isinstance(ear.heard[0], Heartbeat)
        told, snapshot = ear.of(gateway)
        assert [entry.identity for entry in told.closed] == ["CP-2"]
        assert [entry.identity for entry in snapshot.opened] == ["CP-1"]
        await until(lambda: len(gateway.edge.announcements) == 0)
        await stays.close()


async def test_sockets_that_move_while_a_link_is_broken_are_settled_when_it_is_back(start_gateway, worker, amqp_url):
    async with CuttingProxy.before(amqp_url) as proxy:
        first, second = await start_gateway(amqp_url=proxy.url(amqp_url)), await start_gateway()
        old = await plug_in(first)
        proxy.refuse(True)
        proxy.cut()
        await until(lambda: not first.link.up)
        async with await plug_in(second) as new:
            proxy.refuse(False)
            async with asyncio.timeout(20):
                await old.wait_closed()
            assert old.close_code == 1008
            assert (await call(new, "1", "Heartbeat"))[:2] == [3, "1"]
