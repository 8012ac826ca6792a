"""The topology as the broker carries it out: routing, expiry, dead letters, and its size."""

import asyncio

import aio_pika
import pytest

from contracts import actions, topology
from contracts.actions import Service
from contracts.broker.declare import declare, put_policies
from contracts.broker.endpoint import BrokerEndpoint
from contracts.errors import LinkDownError
from contracts.topology import TOPOLOGY
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
