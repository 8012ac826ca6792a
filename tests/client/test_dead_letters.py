"""Dead letters on the real broker: looking leaves them, replaying and dropping take exactly the one."""

import aio_pika
import pytest

from contracts import topology
from contracts.actions import Service
from contracts.broker.declare import count, declare
from contracts.client import DeadLetters
from contracts.envelope import CallEnvelope
from contracts.errors import LinkDownError, RefusedError
from contracts.topology import TOPOLOGY
from contracts.versions import Version
from tests.support.proxy import CuttingProxy

METERING = topology.calls_queue(Service.METERING)
FRAME = b'[2,"u1","StartTransaction",{"connectorId":1,"idTag":"SECRETTAG","meterStart":0}]'
CALL = CallEnvelope("CP-1", Version.V16, "gw", "s1", 5, "u1", "StartTransaction", FRAME, 1000)


class Morgue:
    """Makes dead letters."""

    def __init__(self, channel: aio_pika.abc.AbstractChannel) -> None:
        self._channel = channel

    async def kill(self, *bodies: bytes, key: str = "ocpp16.StopTransaction", **properties: object) -> None:
        exchange = await self._channel.get_exchange(topology.CALLS)
        for body in bodies:
            message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT, **properties)  # type: ignore[arg-type]
            await exchange.publish(message, key)
        queue = await self._channel.get_queue(METERING)
        for _ in bodies:
            await (await self.take(queue)).reject(requeue=False)

    async def take(self, queue: aio_pika.abc.AbstractQueue) -> aio_pika.abc.AbstractIncomingMessage:
        async with queue.iterator(timeout=20) as messages:
            return await anext(messages)

    async def again(self) -> aio_pika.abc.AbstractIncomingMessage:
        return await self.take(await self._channel.get_queue(METERING))


@pytest.fixture
async def morgue(amqp_url: str):
    await declare(amqp_url, TOPOLOGY)
    async with await aio_pika.connect(amqp_url) as connection:
        yield Morgue(await connection.channel(publisher_confirms=True))


async def test_looking_changes_nothing_however_often(amqp_url: str, morgue: Morgue) -> None:
    await morgue.kill(b"1", b"2", b"3")
    looks = []
    for _ in range(topology.DELIVERY_LIMIT + 3):
        async with DeadLetters(amqp_url) as letters:
            looks.append([(letter.id, letter.body) for letter in letters.letters])
    assert all(look == looks[0] for look in looks)
    assert [body for _, body in looks[0]] == [b"1", b"2", b"3"]


async def test_an_empty_queue_has_none(amqp_url: str, morgue: Morgue) -> None:
    async with DeadLetters(amqp_url) as letters:
        assert letters.letters == []


async def test_what_is_beyond_the_bound_is_said(amqp_url: str, morgue: Morgue) -> None:
    await morgue.kill(b"1", b"2", b"3")
    async with DeadLetters(amqp_url, most=2) as letters:
        assert ([letter.body for letter in letters.letters], letters.left_out) == ([b"1", b"2"], 1)


async def test_a_letter_tells_where_it_comes_from_and_hides_tokens(amqp_url: str, morgue: Morgue) -> None:
    await morgue.kill(CALL.encode(), correlation_id="c1", headers={"Authorization": "Basic abc", "n": 1})
    async with DeadLetters(amqp_url) as letters:
        (letter,) = letters.letters
    told = letter.description()
    assert (told["queue"], told["reason"], told["identity"]) == (METERING, "rejected", "CP-1")
    assert (told["exchange"], told["routing_key"]) == (topology.CALLS, "ocpp16.StopTransaction")
    assert told["headers"] == {"Authorization": "***", "n": 1}
    assert told["properties"]["correlation_id"] == "c1"
    assert [death["queue"] for death in told["deaths"]] == [METERING]
    assert told["body"]["frame"] == [2, "u1", "StartTransaction", {"connectorId": 1, "idTag": "***", "meterStart": 0}]
    assert "SECRETTAG" not in str(told)


async def test_a_replayed_letter_arrives_as_it_was_published(amqp_url: str, morgue: Morgue) -> None:
    await morgue.kill(
        b"1", b"2",
        correlation_id="c1", reply_to="r", message_id="m", type="call", app_id="app", content_type="x/y",
        priority=3, headers={"mine": [1, "a", {"b": True}]}, timestamp=1_700_000_000,
    )  # fmt: skip
    async with DeadLetters(amqp_url) as letters:
        await letters.replay(letters.letters[1])
    message = await morgue.again()
    assert (message.body, message.routing_key, message.exchange) == (b"2", "ocpp16.StopTransaction", topology.CALLS)
    assert (message.correlation_id, message.reply_to, message.message_id) == ("c1", "r", "m")
    assert (message.type, message.app_id, message.content_type, message.priority) == ("call", "app", "x/y", 3)
    assert message.delivery_mode is aio_pika.DeliveryMode.PERSISTENT
    assert {name: value for name, value in message.headers.items() if name != "x-delivery-count"} == {
        "mine": [1, "a", {"b": True}]
    }
    assert await count(amqp_url, topology.DEAD_LETTERS) == 1


async def test_a_large_letter_is_replayed_whole(amqp_url: str, morgue: Morgue) -> None:
    await morgue.kill(b"z" * 300_000)
    async with DeadLetters(amqp_url) as letters:
        await letters.replay(letters.letters[0])
    assert (await morgue.again()).body == b"z" * 300_000


async def test_a_letter_that_no_queue_takes_stays(amqp_url: str, morgue: Morgue) -> None:
    await morgue.kill(b"1")
    async with await aio_pika.connect(amqp_url) as connection:
        queue = await (await connection.channel()).get_queue(METERING)
        await queue.unbind(topology.CALLS, "ocpp16.StopTransaction")
    async with DeadLetters(amqp_url) as letters:
        with pytest.raises(RefusedError, match="NO_ROUTE"):
            await letters.replay(letters.letters[0])
    async with DeadLetters(amqp_url) as letters:
        assert [letter.body for letter in letters.letters] == [b"1"]


async def test_dropping_takes_exactly_the_one(amqp_url: str, morgue: Morgue) -> None:
    await morgue.kill(b"1", b"2", b"3")
    async with DeadLetters(amqp_url) as letters:
        await letters.drop(letters.find(letters.letters[1].id[:8]))
    async with DeadLetters(amqp_url) as letters:
        assert [letter.body for letter in letters.letters] == [b"1", b"3"]


async def test_letters_alike_in_everything_have_ids_of_their_own(amqp_url: str, morgue: Morgue) -> None:
    await morgue.kill(b"1", b"1", b"1")
    async with DeadLetters(amqp_url) as letters:
        assert len({letter.id for letter in letters.letters}) == 3


async def test_an_id_that_names_none_or_several_is_refused(amqp_url: str, morgue: Morgue) -> None:
    await morgue.kill(b"1", b"2")
    async with DeadLetters(amqp_url) as letters:
        for wrong in ("nothing", ""):
            with pytest.raises(RefusedError, match="not_found"):
                letters.find(wrong)


async def test_after_a_cut_nothing_is_taken(amqp_url: str, morgue: Morgue) -> None:
    await morgue.kill(b"1")
    async with CuttingProxy.before(amqp_url) as proxy, DeadLetters(proxy.url(amqp_url)) as letters:
        proxy.stall()
        proxy.cut()
        with pytest.raises(LinkDownError):
            await letters.replay(letters.letters[0])
        proxy.flow()
    async with DeadLetters(amqp_url) as letters:
        assert [letter.body for letter in letters.letters] == [b"1"]
