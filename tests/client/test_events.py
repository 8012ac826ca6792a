"""The event stream against the real broker: bounded, at least once, and undisturbed by cuts and garbage."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import aio_pika
import pytest

from contracts import topology
from contracts.bodies import ContentType
from contracts.broker.declare import count, declare
from contracts.client import CommandClient
from contracts.errors import LinkDownError
from contracts.events import ConnectorStatusChanged, Event, event_key
from contracts.topology import TOPOLOGY, Queue, Topology
from tests.support.proxy import CuttingProxy

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STATUS = "connector.status_changed"


def an_event(seq: int, *, identity: str = "CP-1", kind: str = STATUS, **data: Any) -> Event:
    return Event(
        event_id=f"{identity}-{seq}", type=kind, identity=identity, seq=seq, occurred_at=NOW, recorded_at=NOW,
        data=data or {"status": "Available"},
    )  # fmt: skip


class Relay:
    """Publishes events as the relay does."""

    def __init__(self, channel: aio_pika.abc.AbstractChannel) -> None:
        self._channel = channel

    async def publish(self, *events: Event, content_type: ContentType = ContentType.JSON) -> None:
        for event in events:
            await self.raw(event.encode(content_type), event_key(event.type, event.identity), content_type)

    async def raw(self, body: bytes, key: str, content_type: str = "application/json") -> None:
        exchange = await self._channel.get_exchange(topology.EVENTS)
        await exchange.publish(aio_pika.Message(body, content_type=content_type, type="event"), key, mandatory=False)


@pytest.fixture
async def relay(amqp_url: str):
    await declare(amqp_url, TOPOLOGY)
    async with await aio_pika.connect(amqp_url) as connection:
        yield Relay(await connection.channel(publisher_confirms=True))


async def seqs(stream: Any, wanted: int) -> list[int]:
    found: list[int] = []
    async with asyncio.timeout(30):
        async for event in stream:
            found.append(event.seq)
            if len(found) == wanted:
                break
    return found


@pytest.mark.parametrize("content_type", list(ContentType))
async def test_events_come_in_order_and_typed(amqp_url: str, relay: Relay, content_type: ContentType) -> None:
    async with CommandClient(amqp_url) as client:
        stream = client.events("billing")
        await stream.start()
        await relay.publish(*(an_event(n) for n in range(1, 6)), content_type=content_type)
        assert await seqs(stream, 4) == [1, 2, 3, 4]
        event = await anext(stream)
        assert event.typed() == ConnectorStatusChanged(status="Available")


async def test_a_durable_queue_keeps_what_was_not_asked_past(amqp_url: str, relay: Relay) -> None:
    async with CommandClient(amqp_url) as client:
        stream = client.events("billing")
        await stream.start()
        await relay.publish(*(an_event(n) for n in range(1, 5)))
        assert await seqs(stream, 2) == [1, 2]
    await relay.publish(an_event(5))
    async with CommandClient(amqp_url) as client:
        stream = client.events("billing")
        assert await seqs(stream, 4) == [2, 3, 4, 5]
        await stream.finish()
    assert await count(amqp_url, "billing") == 0


async def test_events_come_again_after_a_cut_and_none_is_missed(amqp_url: str, relay: Relay) -> None:
    seen = set[int]()
    async with CuttingProxy.before(amqp_url) as proxy, CommandClient(proxy.url(amqp_url)) as client:
        stream = client.events("billing", prefetch=5)
        await stream.start()
        await relay.publish(*(an_event(n) for n in range(1, 41)))
        async with asyncio.timeout(60):
            async for event in stream:
                if event.seq not in seen and event.seq % 10 == 0:
                    proxy.cut()
                seen.add(event.seq)
                if len(seen) == 40:
                    break
    assert seen == set(range(1, 41))


async def test_no_more_than_the_prefetch_waits_here(amqp_url: str, relay: Relay) -> None:
    async with CommandClient(amqp_url) as client:
        stream = client.events("billing", prefetch=3)
        await stream.start()
        await relay.publish(*(an_event(n) for n in range(1, 11)))
        assert (await anext(stream)).seq == 1
        await stream.link.settled()
        assert len(stream._arrived) <= 2
        assert await seqs(stream, 9) == list(range(2, 11))


async def test_types_and_charge_points_choose_what_comes(amqp_url: str, relay: Relay) -> None:
    async with CommandClient(amqp_url) as client:
        stream = client.events("some", types=[STATUS], identities=["CP-1", "CP.*"], temporary=True)
        await stream.start()
        await relay.publish(
            an_event(1, identity="CP-2"),
            an_event(2, kind="security.event"),
            an_event(3, identity="CP.#"),
            an_event(4, identity="CP.*"),
            an_event(5),
        )
        assert await seqs(stream, 2) == [4, 5]


async def test_what_a_queue_holds_for_an_earlier_choice_is_passed_over(amqp_url: str, relay: Relay) -> None:
    async with CommandClient(amqp_url) as client:
        first = client.events("some")
        await first.start()
        await relay.publish(an_event(1, identity="CP-9"), an_event(2))
        await first.close()
        assert await seqs(client.events("some", identities=["CP-1"]), 1) == [2]


async def test_bodies_that_cannot_be_read_are_skipped_and_counted(amqp_url: str, relay: Relay) -> None:
    async with CommandClient(amqp_url) as client:
        stream = client.events("billing")
        await stream.start()
        for body, content_type in ((b"\xff", "application/json"), (b"{}", "application/json"), (b"x", "text/plain")):
            await relay.raw(body, f"{STATUS}.CP-1", content_type)
        await relay.publish(an_event(7))
        assert await seqs(stream, 1) == [7]
        assert stream.skipped == 3
        await stream.finish()
    assert await count(amqp_url, "billing") == 0


async def test_a_temporary_queue_is_gone_with_its_stream_and_back_after_a_cut(amqp_url: str, relay: Relay) -> None:
    async with CuttingProxy.before(amqp_url) as proxy, CommandClient(proxy.url(amqp_url)) as client:
        stream = client.events("mine", temporary=True)
        await stream.start()
        await relay.publish(an_event(1))
        assert await seqs(stream, 1) == [1]
        proxy.cut()
        again = asyncio.create_task(anext(stream))
        async with asyncio.timeout(30):
            while not again.done():
                await relay.publish(an_event(2))
                await asyncio.wait({again}, timeout=0.1)
        assert (await again).seq == 2
    await declare(amqp_url, Topology((), (Queue("mine"),), (), ()))


async def test_closing_the_client_ends_the_loop(amqp_url: str, relay: Relay) -> None:
    async with CommandClient(amqp_url) as client:
        stream = client.events("billing")
        await stream.start()
        waiting = asyncio.create_task(anext(stream, None))
        await stream.link.settled()
    assert await waiting is None


async def test_a_queue_that_exists_with_other_traits_is_an_error_that_says_so(amqp_url: str, relay: Relay) -> None:
    await declare(amqp_url, Topology((), (Queue("billing"),), (), ()))
    async with CommandClient(amqp_url) as client:
        with pytest.raises(LinkDownError, match="PRECONDITION_FAILED"):
            await anext(client.events("billing"))
