"""The topology as the broker carries it out: routing, expiry, dead letters, and its size."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import aio_pika
import pytest

from contracts import actions, topology
from contracts.actions import Service
from contracts.broker.declare import declare, put_policies
from contracts.broker.endpoint import BrokerEndpoint
from contracts.errors import LinkDownError
from contracts.topology import FRAME_LOG_TOPOLOGY, TOPOLOGY
from contracts.versions import Version
from tools.nodes import Broker
from tools.nodes.management import ManagementApi


@pytest.fixture
async def channel(amqp_url: str):
    await declare(amqp_url, TOPOLOGY)
    async with await aio_pika.connect(amqp_url) as connection:
        yield await connection.channel()


async def take(channel: aio_pika.abc.AbstractChannel, queue_name: str) -> aio_pika.abc.AbstractIncomingMessage:
    """The next delivery of a queue, waited for."""
    queue = await channel.get_queue(queue_name)
    taken: asyncio.Queue[aio_pika.abc.AbstractIncomingMessage] = asyncio.Queue()
    tag = await queue.consume(taken.put)
    async with asyncio.timeout(20):
        message = await taken.get()
    await queue.cancel(tag)
    return message


async def publish(
    channel: aio_pika.abc.AbstractChannel, key: str, body: bytes, expiration: float | None = None
) -> None:
    exchange = await channel.get_exchange(topology.CALLS)
    message = aio_pika.Message(body, expiration=expiration, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
    await exchange.publish(message, key, mandatory=True)


async def test_declaring_twice_changes_nothing(amqp_url: str) -> None:
    await declare(amqp_url, TOPOLOGY)
    await declare(amqp_url, TOPOLOGY)


async def test_every_charge_point_action_reaches_its_owner(channel: aio_pika.abc.AbstractChannel) -> None:
    for action in actions.table().values():
        if action.from_charge_point:
            key = topology.call_key(action.version, action.name)
            assert key is not None
            await publish(channel, key, action.name.encode())
    for service in topology.RELAY_SERVICES:
        wanted = sum(1 for a in actions.table().values() if a.owner is service and a.from_charge_point)
        queue = await channel.declare_queue(topology.calls_queue(service), passive=True)
        assert queue.declaration_result.message_count == wanted


@pytest.mark.parametrize("action", ["a.b", "#", "*", "ä", "x" * 101, "", "a b"])
def test_actions_that_are_no_routing_word_have_no_key(action: str) -> None:
    assert topology.call_key(Version.V16, action) is None


@pytest.mark.parametrize("service", [Service.AUTHORIZATION, Service.METERING])
async def test_a_rejected_delivery_is_a_dead_letter_with_its_reason(
    channel: aio_pika.abc.AbstractChannel, service: Service
) -> None:
    key = "ocpp16.Heartbeat" if service is Service.AUTHORIZATION else "ocpp16.StopTransaction"
    await publish(channel, key, b"poison")
    await (await take(channel, topology.calls_queue(service))).reject(requeue=False)
    letter = await take(channel, topology.DEAD_LETTERS)
    assert (letter.body, letter.headers["x-first-death-reason"]) == (b"poison", "rejected")


async def test_a_delivery_that_keeps_coming_back_ends_as_a_dead_letter(channel: aio_pika.abc.AbstractChannel) -> None:
    await publish(channel, "ocpp16.StopTransaction", b"poison")
    for _ in range(topology.DELIVERY_LIMIT + 1):
        await (await take(channel, topology.calls_queue(Service.METERING))).reject(requeue=True)
    letter = await take(channel, topology.DEAD_LETTERS)
    assert (letter.body, letter.headers["x-first-death-reason"]) == (b"poison", "delivery_limit")


async def test_an_expired_call_leaves_no_trace(channel: aio_pika.abc.AbstractChannel) -> None:
    await publish(channel, "ocpp16.Heartbeat", b"stale", expiration=0.001)
    await publish(channel, "ocpp16.Heartbeat", b"poison")
    message = await take(channel, topology.calls_queue(Service.AUTHORIZATION))
    assert message.body == b"poison"
    await message.reject(requeue=False)
    assert (await take(channel, topology.DEAD_LETTERS)).body == b"poison"


async def test_commands_are_spread_over_the_shards_and_one_charge_points_are_all_in_one(
    channel: aio_pika.abc.AbstractChannel,
) -> None:
    exchange = await channel.get_exchange(topology.COMMANDS)
    for _ in range(2):
        for number in range(200):
            key = topology.command_key(f"CP.{number}#ä")
            await exchange.publish(aio_pika.Message(key.encode()), key, mandatory=True)
    shards = []
    for name in topology.COMMAND_QUEUES:
        queue = await channel.declare_queue(name, passive=True)
        taken = [message async for message in all_of(queue)]
        shards.append(Counter(taken))
    assert sum(shard.total() for shard in shards) == 400
    assert all(len(shard) > 20 for shard in shards)
    assert {times for shard in shards for times in shard.values()} == {2}


async def test_a_shard_has_one_active_consumer_and_hands_over_when_it_goes(amqp_url: str) -> None:
    await declare(amqp_url, TOPOLOGY)
    taken: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
    async with await aio_pika.connect(amqp_url) as first, await aio_pika.connect(amqp_url) as second:
        tags = []
        for name, connection in (("first", first), ("second", second)):
            channel = await connection.channel()
            queue = await channel.get_queue(topology.COMMAND_QUEUES[0])

            async def take(message: aio_pika.abc.AbstractIncomingMessage, name: str = name) -> None:
                await message.ack()
                taken.put_nowait((name, message.body))

            tags.append((queue, await queue.consume(take)))
        default = (await second.channel()).default_exchange
        async with asyncio.timeout(20):
            for body in (b"1", b"2"):
                await default.publish(aio_pika.Message(body), topology.COMMAND_QUEUES[0])
                assert await taken.get() == ("first", body)
            await tags[0][0].cancel(tags[0][1])
            await default.publish(aio_pika.Message(b"3"), topology.COMMAND_QUEUES[0])
            assert await taken.get() == ("second", b"3")
            await tags[1][0].cancel(tags[1][1])


@pytest.mark.parametrize("queue", topology.COMMAND_QUEUES)
async def test_a_command_that_expires_in_its_shard_is_kept_for_its_outcome_and_is_no_dead_letter(
    channel: aio_pika.abc.AbstractChannel, queue: str
) -> None:
    message = aio_pika.Message(b"stale", reply_to="r", correlation_id="c", expiration=0.001)
    await channel.default_exchange.publish(message, queue)
    given_up = await take(channel, topology.UNDELIVERABLE_COMMANDS)
    assert (given_up.body, given_up.reply_to, given_up.correlation_id) == (b"stale", "r", "c")
    assert given_up.headers["x-first-death-reason"] == "expired"
    letters = await channel.declare_queue(topology.DEAD_LETTERS, passive=True)
    assert letters.declaration_result.message_count == 0


async def test_everybody_who_listens_hears_announcements_and_presence_keeps_them(
    channel: aio_pika.abc.AbstractChannel,
) -> None:
    listeners = [await channel.declare_queue(exclusive=True) for _ in range(2)]
    for listener in listeners:
        await listener.bind(topology.SESSIONS)
    exchange = await channel.get_exchange(topology.SESSIONS)
    await exchange.publish(aio_pika.Message(b"opened"), "")
    for name in (topology.PRESENCE, *(listener.name for listener in listeners)):
        message = await take(channel, name)
        assert message.body == b"opened"
        await message.ack()


async def test_the_frame_log_is_a_stream_within_its_bounds(rabbit: Broker, amqp_url: str) -> None:
    assert rabbit.management_url is not None
    for _ in range(2):
        await declare(amqp_url, FRAME_LOG_TOPOLOGY)
    vhost = BrokerEndpoint.parse(amqp_url).vhost
    queue = ManagementApi(rabbit.management_url).request("GET", f"/api/queues/{vhost}/{topology.FRAMES}")
    assert queue["type"] == "stream"
    assert queue["arguments"]["x-max-length-bytes"] == topology.FRAME_LOG_BYTES
    assert queue["arguments"]["x-max-age"] == topology.FRAME_LOG_AGE
    assert queue["arguments"]["x-stream-max-segment-size-bytes"] == topology.FRAME_LOG_SEGMENT_BYTES
    assert topology.FRAMES not in {queue.name for queue in TOPOLOGY.queues}


async def test_dead_letters_may_be_looked_at_without_end(channel: aio_pika.abc.AbstractChannel) -> None:
    await channel.default_exchange.publish(aio_pika.Message(b"letter"), topology.DEAD_LETTERS)
    for _ in range(topology.DELIVERY_LIMIT + 5):
        letter = await take(channel, topology.DEAD_LETTERS)
        assert letter.body == b"letter"
        await letter.reject(requeue=True)


async def all_of(queue: aio_pika.abc.AbstractQueue) -> AsyncIterator[bytes]:
    """The bodies of everything that is in a queue now."""
    left = queue.declaration_result.message_count or 0
    async with queue.iterator(timeout=20, no_ack=True) as messages:
        while left:
            yield (await anext(messages)).body
            left -= 1


async def test_policies_bound_the_queues_on_the_broker(rabbit: Broker, amqp_url: str) -> None:
    assert rabbit.management_url is not None
    await declare(amqp_url, TOPOLOGY)
    vhost = BrokerEndpoint.parse(amqp_url).vhost
    await put_policies(rabbit.management_url, vhost, TOPOLOGY.policies)
    await put_policies(rabbit.management_url, vhost, TOPOLOGY.policies)
    policies = ManagementApi(rabbit.management_url).request("GET", f"/api/policies/{vhost}")
    assert {policy["name"]: policy["definition"] for policy in policies} == {
        policy.name: policy.definition for policy in TOPOLOGY.policies
    }


async def test_an_unreachable_management_api_is_said_in_words() -> None:
    with pytest.raises(LinkDownError, match="management API"):
        await put_policies("http://guest:secret@127.0.0.1:1", "/", TOPOLOGY.policies)
