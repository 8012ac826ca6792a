"""The event relay on a real broker and both stores."""

import asyncio
import json
from collections import defaultdict
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgpack
import pytest
from prometheus_client import REGISTRY

from contracts import topology
from contracts.broker import BrokerLink, Consumer, Delivery
from contracts.events import Event, SecurityEventReported, binding_key
from contracts.topology import Binding, Queue, Topology
from tests.support.calling import until
from tests.support.proxy import CuttingProxy
from tests.support.serving import worker_settings
from tests.support.worker_store import all_rows, migrated_store
from workers import metrics
from workers.commands import event_relay
from workers.commands.event_relay import MOST_REFUSED, Refused, relay_events, writer
from workers.runtime.context import ServiceContext
from workers.runtime.publisher import Publisher
from workers.settings import EventsFormat
from workers.store import leases, outbox
from workers.store.engine import Store
from workers.store.outbox import OutgoingEvent

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Backend:
    """A backend with a queue for all events, on a link that also is the relay's."""

    def __init__(self, url: str, *bindings: Binding, queues: tuple[Queue, ...] = ()) -> None:
        wanted = Topology(topology.TOPOLOGY.exchanges, (Queue("backend"), *queues), (*bindings,), policies=())
        self.link = BrokerLink(url, self, name="backend", consumers=(Consumer("backend"),), topology=wanted)
        self.publisher = Publisher(self.link)
        self.events: list[Event] = []
        self.deliveries: list[Delivery] = []

    def link_up(self) -> None: ...
    def link_down(self) -> None:
        self.publisher.link_lost()

    def returned(self, message: Any) -> None: ...
    def flow_changed(self) -> None: ...
    def confirmed(self, token: object) -> None:
        self.publisher.confirmed(token)

    def refused(self, token: object) -> None:
        self.publisher.refused(token)

    def delivered(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        self.events.append(Event.decode(delivery.body))
        self.link.ack(delivery)


@asynccontextmanager
async def backend_on(url, *bindings, queues=()) -> Any:
    backend = Backend(url, *(bindings or (Binding(topology.EVENTS, "backend", binding_key()),)), queues=queues)
    running = asyncio.create_task(backend.link.run())
    try:
        await until(lambda: backend.link.up)
        yield backend
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def context_of(backend, store, amqp_url, **settings) -> Any:
    return ServiceContext(store, None, backend.publisher, worker_settings(amqp_url, **settings))  # type: ignore[arg-type]


@asynccontextmanager
async def relaying(context) -> Any:
    task = asyncio.create_task(relay_events(context))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def emit(store, *identities) -> None:
    async with store.transaction() as transaction:
        for number, identity in enumerate(identities):
            data = SecurityEventReported(type=f"T{number}", tech_info="é\x00")
            outbox.emit(transaction, identity, data, occurred_at=NOW, now=datetime.now(UTC))


def by_identity(events) -> dict[str, list[int]]:
    found = defaultdict(list)
    for event in events:
        found[event.identity].append(event.seq)
    return found


def has_come(backend, count) -> bool:
    return bool(len(backend.events) == count)


async def is_empty(store) -> bool:
    return await all_rows(store, outbox.outbox) == []


async def emptied(store) -> None:
    async with asyncio.timeout(20):
        while not await is_empty(store):  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.02)


async def test_events_come_in_order_numbered_without_gaps_and_leave_the_outbox(amqp_url, database_url):
    async with migrated_store(database_url) as store, backend_on(amqp_url) as backend:
        await emit(store, *(["A", "B"] * 600))
        async with relaying(context_of(backend, store, amqp_url)):
            await until(lambda: len(backend.events) == 1200)
            await emit(store, "B", "C")
            await until(lambda: len(backend.events) == 1202)
            await emptied(store)
    assert by_identity(backend.events) == {"A": [*range(1, 601)], "B": [*range(1, 602)], "C": [1]}
    types = [event.data["type"] for event in backend.events if event.identity == "A"]
    assert types == [f"T{number}" for number in range(0, 1200, 2)]
    first = backend.deliveries[0]
    assert (first.message_id, first.type) == (backend.events[0].event_id, "security.event")
    assert first.content_type == "application/json"
    assert backend.events[0].data["tech_info"] == "é\x00"


async def test_what_was_committed_before_a_relay_died_comes_from_the_next_with_the_same_numbers(
    amqp_url, database_url, monkeypatch
):
    async with migrated_store(database_url) as store, backend_on(amqp_url) as backend:
        context = context_of(backend, store, amqp_url)
        await emit(store, "A", "B", "A")

        relay = event_relay.EventRelay(context)
        assert await relay._take_lease()
        numbered = await relay._next()  # committed, and then it is killed: nothing is released either
        assert numbered is not None
        await emit(store, "A")
        monkeypatch.setattr(event_relay, "WAIT_FOR_LEASE_S", 0.1)
        async with relaying(context):
            await until(lambda: len(backend.events) == 4)
            await emptied(store)
    assert by_identity(backend.events) == {"A": [1, 2, 3], "B": [1]}
    assert [event.event_id for event in backend.events[:3]] == [event.event_id for event in numbered]


async def test_of_two_relays_one_works_and_the_other_takes_over(amqp_url, database_url):
    async with migrated_store(database_url) as store, backend_on(amqp_url) as backend:
        context = context_of(backend, store, amqp_url)
        async with relaying(context):
            async with relaying(context):
                for number in range(1, 6):
                    await emit(store, *["A"] * 20)
                    await until(partial(has_come, backend, 20 * number))
                await emptied(store)
            await emit(store, *["A"] * 20)
            await until(lambda: len(backend.events) == 120)
    assert by_identity(backend.events) == {"A": [*range(1, 121)]}


async def test_a_relay_that_lost_its_lease_takes_nothing_more_and_tells_no_backlog(amqp_url, database_url):
    async with migrated_store(database_url) as store, backend_on(amqp_url) as backend:
        context = context_of(backend, store, amqp_url)
        relay = event_relay.EventRelay(context)
        assert await relay._take_lease()
        async with store.transaction() as transaction:
            later = datetime.now(UTC).replace(year=2100)
            assert not await leases.take(transaction, "events", "other", now=datetime.now(UTC), until=later)
            assert await leases.take(transaction, "events", "other", now=later, until=later)
        await emit(store, "A")
        assert await relay._next() is None
        assert [row["seq"] for row in await all_rows(store, outbox.outbox)] == [None]
        metrics.events_lag.set(300)  # as the store's failure left it
        async with relaying(context):
            await until(lambda: REGISTRY.get_sample_value("ocpp_events_lag_seconds") == 0)


async def test_a_full_queue_delays_its_own_events_and_not_those_of_others(amqp_url, database_url, monkeypatch):
    monkeypatch.setattr(event_relay, "GIVE_UP_AFTER_S", 1.0)
    full = Queue("full", {"x-max-length": 1, "x-overflow": "reject-publish"})
    bindings = (
        Binding(topology.EVENTS, "backend", binding_key(identity="A")),
        Binding(topology.EVENTS, "full", binding_key(identity="B")),
    )
    async with (
        migrated_store(database_url) as store,
        backend_on(amqp_url, *bindings, queues=(full,)) as backend,
        relaying(context_of(backend, store, amqp_url)),
    ):
        await emit(store, *["B", "A"] * 20)
        await until(lambda: len(backend.events) == 20)
        assert len(await all_rows(store, outbox.outbox)) >= 10
        await emit(store, "A")
        await until(lambda: len(backend.events) == 21)
        await emptied(store)  # given up


async def test_a_broken_link_loses_nothing(amqp_url, database_url):
    async with (
        migrated_store(database_url) as store,
        CuttingProxy.before(amqp_url) as proxy,
        backend_on(proxy.url(amqp_url)) as backend,
        relaying(context_of(backend, store, amqp_url)),
    ):
        await emit(store, *["A"] * 700)
        await until(lambda: len(backend.events) > 0)
        proxy.cut()
        await emit(store, *["A"] * 10)
        await emptied(store)
        await until(lambda: {event.seq for event in backend.events} == {*range(1, 711)})


async def test_while_the_link_is_down_no_more_than_a_batch_is_taken_out_of_the_store(
    amqp_url, sqlite_database_url, monkeypatch
):
    monkeypatch.setattr(event_relay, "LINK_PAUSE_S", 0.001)
    async with migrated_store(sqlite_database_url) as store:
        tries = 0

        class Down:
            async def publish_all(self, letters: Any) -> list[None]:
                nonlocal tries
                tries += len(letters)
                return [None] * len(letters)

        await emit(store, *["A"] * 1500)
        context = ServiceContext(store, None, Down(), worker_settings(amqp_url))  # type: ignore[arg-type]
        async with relaying(context):
            await until(lambda: tries >= 4 * event_relay.BATCH)
        numbered = [row for row in await all_rows(store, outbox.outbox) if row["seq"] is not None]
        assert len(numbered) == event_relay.BATCH


async def test_msgpack_bodies_are_those_of_the_contract():
    event = OutgoingEvent(1, "id", "CP", "security.event", 7, NOW, NOW, '{"type":"T","tech_info":null}')
    json_body, json_type = writer(EventsFormat.JSON)(event)
    packed, packed_type = writer(EventsFormat.MSGPACK)(event)
    assert (json_type, packed_type) == ("application/json", "application/msgpack")
    assert json.loads(json_body) == msgpack.unpackb(packed) == Event.decode(json_body).model_dump(mode="json")


def outgoing(number) -> OutgoingEvent:
    return OutgoingEvent(number, str(number), "CP", "t", number, NOW, NOW, "{}")


def test_a_refused_event_is_tried_later_and_later_and_given_up_after_a_minute():
    refused, now, times = Refused(), 0.0, []
    given_up = refused.add(outgoing(1), now)
    while not given_up:
        assert 1 in refused
        while not (due := refused.due(now)):
            now += 0.25
        times.append(now)
        assert 1 not in refused
        given_up = refused.add(due[0], now)
    assert times[:4] == [0.25, 0.75, 1.75, 3.75]
    assert 60 <= now <= 71


def test_with_too_many_refused_events_the_oldest_is_given_up_early():
    refused = Refused()
    given_up = [event.number for number in range(MOST_REFUSED + 2) for event in refused.add(outgoing(number), 0)]
    assert given_up == [0, 1]
    assert len(refused.due(1)) == event_relay.BATCH


@pytest.mark.parametrize("off", [True, False])
async def test_a_type_that_is_switched_off_is_not_written(sqlite_database_url, off):
    store = Store(sqlite_database_url, events_off=frozenset({"security.event"} if off else ()))
    await emit(store, "A")
    assert await is_empty(store) is off
    await store.close()
