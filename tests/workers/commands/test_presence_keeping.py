"""Presence from announcements: idempotent, one opened and one closed event per session, lost gateways closed."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from contracts import topology
from contracts.actions import Service
from contracts.announcements import Announcement, Closed, Heartbeat, Opened, SnapshotRequest, read
from contracts.broker import BrokerLink, Delivery, PrivateQueue
from contracts.versions import Version
from tests.support.calling import until
from tests.support.serving import serving, worker_settings
from tests.support.worker_store import all_rows, migrated_store, told
from workers.commands import presence_keeping
from workers.commands.presence_keeping import PresenceKeeper
from workers.runtime.calls import ServiceDefinition
from workers.store import presence, tables

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
MS = int(NOW.timestamp() * 1000)


def opened(identity="CP-1", session="s1", epoch=1) -> Opened:
    return Opened(identity, session, epoch, Version.V16, "192.0.2.1:5", MS + epoch)


def closed(identity="CP-1", session="s1", epoch=1, code=1006, reason="broken") -> Closed:
    return Closed(identity, session, epoch, MS + 100 + epoch, code, reason)


async def take(store, keeper, *messages) -> None:
    for message in messages:
        async with store.transaction() as transaction:
            await keeper.handle(message.encode(), NOW, transaction)


async def story(store) -> list[tuple[str, str, str]]:
    return [(row["event"].removeprefix("session."), row["session"], row.get("reason", "")) for row in await told(store)]


async def place(store, identity="CP-1") -> str | None:
    async with store.transaction(read_only=True) as transaction:
        found = await presence.find(transaction, identity)
    return None if found is None else found.session


async def test_a_session_is_told_of_once_however_often_it_is_announced(database_url):
    async with migrated_store(database_url) as store:
        keeper = PresenceKeeper()
        first, last = Announcement("g1", opened=(opened(),)), Announcement("g1", closed=(closed(),))
        await take(store, keeper, first, first)
        assert await place(store) == "s1"
        await take(store, keeper, last, last, first)
        assert await place(store) is None
        assert await story(store) == [("opened", "s1", ""), ("closed", "s1", "broken")]
        (row,) = await all_rows(store, tables.presence)
        assert (row["close_code"], row["close_reason"], row["remote"]) == (1006, "broken", "192.0.2.1:5")


async def test_a_newer_session_replaces_the_older_one_in_whatever_order_they_are_heard(database_url):
    async with migrated_store(database_url) as store:
        keeper = PresenceKeeper()
        older, newer = (
            Announcement("g1", opened=(opened(),)),
            Announcement("g2", opened=(opened(session="s2", epoch=2),)),
        )
        await take(store, keeper, older, newer, older, Announcement("g1", closed=(closed(),)), newer)
        assert await place(store) == "s2"
        assert await story(store) == [("opened", "s1", ""), ("closed", "s1", "replaced"), ("opened", "s2", "")]


async def test_one_message_may_tell_a_whole_life(database_url):
    async with migrated_store(database_url) as store:
        keeper = PresenceKeeper()
        message = Announcement(
            "g1", opened=(opened(), opened(session="s2", epoch=2)), closed=(closed(), closed(session="s2", epoch=2))
        )
        await take(store, keeper, message, message)
        assert [event for event, _, _ in await story(store)] == ["opened", "closed", "opened", "closed"]


async def test_a_thousand_sessions_open_in_one_message_and_are_named_to_who_asks(database_url):
    named: list[str] = []

    async def note(_transaction, identities) -> None:
        named.extend(identities)

    async with migrated_store(database_url) as store:
        keeper = PresenceKeeper(note)
        many = Announcement("g1", opened=tuple(opened(f"CP-{n}", f"s{n}") for n in range(1000)))
        await take(store, keeper, many, many)
        assert named == sorted(f"CP-{n}" for n in range(1000))
        assert len(await told(store)) == 1000
        async with store.transaction(read_only=True) as transaction:
            assert len(await presence.list_sessions(transaction, gateway="g1", limit=2000)) == 1000
            assert len(await presence.list_sessions(transaction, identity="CP-7")) == 1
            assert await presence.gateways(transaction) == {"g1"}


async def test_what_the_version_before_noted_is_no_announced_session(database_url):
    async with migrated_store(database_url) as store:
        noted = {
            "identity": "CP-1",
            "gateway": "g1",
            "session": "s1",
            "epoch": 1,
            "ocpp_version": "1.6",
            "noted_at": NOW,
        }
        async with store.transaction() as transaction:
            await transaction.run(tables.presence.insert(), noted)
            assert await presence.gateways(transaction) == set()
        assert await place(store) == "s1"
        await take(store, PresenceKeeper(), Announcement("g1", opened=(opened(),)))
        assert await story(store) == [("opened", "s1", "")]


class Gateway:
    """Announces by the broker, and hears what is asked of all gateways."""

    def __init__(self, url: str) -> None:
        queue = PrivateQueue("test.gateway", ((topology.SESSIONS, ""),))
        self.link = BrokerLink(url, self, name="test gateway", private_queue=queue)
        self.asked: list[Delivery] = []

    def say(self, message: Announcement | Heartbeat) -> None:
        self.link.publish(topology.SESSIONS, "", message.encode())

    def beat(self, name="g1", *, leaving=False) -> None:
        self.say(Heartbeat(name, 1, 1, 200, leaving))

    def link_up(self) -> None: ...
    def link_down(self) -> None: ...
    def returned(self, message: Any) -> None: ...
    def confirmed(self, token: object) -> None: ...
    def refused(self, token: object) -> None: ...
    def flow_changed(self) -> None: ...

    def delivered(self, delivery: Delivery) -> None:
        if isinstance(read(delivery.body), SnapshotRequest):
            self.asked.append(delivery)


@asynccontextmanager
async def world(amqp_url, store) -> Any:
    keeper = PresenceKeeper()
    definition = ServiceDefinition(
        Service.AUTHORIZATION,
        {},
        requests={topology.PRESENCE: keeper.handle},
        background=(keeper.close_lost_sessions,),
    )
    gateway = Gateway(amqp_url)
    running = asyncio.create_task(gateway.link.run())
    try:
        async with serving(definition, worker_settings(amqp_url), store):
            await until(lambda: gateway.link.up)
            yield gateway
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until_story(store, *wanted) -> None:
    async with asyncio.timeout(30):
        while await story(store) != list(wanted):  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.02)


OPENED, LOST = ("opened", "s1", ""), ("closed", "s1", "gateway_lost")


async def test_the_sessions_of_a_silent_gateway_are_closed_and_reopen_when_it_is_back(
    amqp_url, database_url, monkeypatch
):
    monkeypatch.setattr(presence_keeping, "TICK_S", 0.1)
    monkeypatch.setattr(presence_keeping, "MARGIN_S", 0.2)
    async with migrated_store(database_url) as store, world(amqp_url, store) as gateway:
        gateway.say(Announcement("g1", opened=(opened(),)))
        gateway.beat()
        await until_story(store, OPENED, LOST)
        assert await place(store) is None
        gateway.beat()
        await until(lambda: gateway.asked)
        assert gateway.asked[0].reply_to == topology.PRESENCE
        gateway.say(Announcement("g1", opened=(opened(),), snapshot=True, last=True))
        await until_story(store, OPENED, LOST, OPENED)


async def test_a_gateway_that_died_before_the_consumer_started_is_lost_too(amqp_url, database_url, monkeypatch):
    monkeypatch.setattr(presence_keeping, "TICK_S", 0.1)
    monkeypatch.setattr(presence_keeping, "MARGIN_S", 0.2)
    monkeypatch.setattr(presence_keeping, "DEFAULT_INTERVAL_S", 0.2)
    monkeypatch.setattr(presence_keeping, "SLICE", 2)
    async with migrated_store(database_url) as store:
        many = Announcement("g1", opened=tuple(opened(f"CP-{n}") for n in range(5)))
        await take(store, PresenceKeeper(), many)
        async with world(amqp_url, store):
            await until_story(store, *[OPENED] * 5, *[LOST] * 5)


async def test_a_gateway_that_leaves_has_nothing_open(amqp_url, database_url, monkeypatch):
    monkeypatch.setattr(presence_keeping, "TICK_S", 0.1)
    async with migrated_store(database_url) as store, world(amqp_url, store) as gateway:
        gateway.say(Announcement("g1", opened=(opened(),)))
        gateway.beat(leaving=True)
        await until_story(store, OPENED, LOST)
