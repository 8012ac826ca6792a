"""What a gateway announces, over a broker link in memory."""

import asyncio
import socket

import pytest

from contracts.announcements import Announcement, Closed, Heartbeat, Opened, SnapshotRequest, read
from contracts.topology import SESSIONS
from contracts.versions import Version
from gateway.announcements import MOST_SNAPSHOTS, PORTION
from gateway.app import Gateway
from gateway.clock import Clock
from gateway.session import Session
from gateway.session_rules import SessionRules
from tests.gateway.conftest import until
from tests.gateway.memory_link import MemoryLink, Published, delivery
from tests.gateway.station import plug_in, say, upgrade_request
from workers.commands.directory import Directory


def announcements(link: MemoryLink) -> list[Announcement]:
    return [heard for heard in map(_read, link.announced) if isinstance(heard, Announcement)]


def heartbeats(link: MemoryLink) -> list[Heartbeat]:
    return [heard for heard in map(_read, link.announced) if isinstance(heard, Heartbeat)]


def _read(message: Published) -> object:
    return read(message.body)


def opened(link: MemoryLink) -> list[str]:
    return [entry.identity for part in announcements(link) for entry in part.opened]


def closed(link: MemoryLink) -> list[tuple[str, int, str]]:
    return [(entry.identity, entry.code, entry.reason) for part in announcements(link) for entry in part.closed]


def hear(link: MemoryLink, heard: Announcement | Heartbeat | SnapshotRequest, reply_to: str = "") -> None:
    link.listener.delivered(delivery(heard.encode(), exchange=SESSIONS, reply_to=reply_to))


def theirs(identity: str, epoch: int, session: str = "f" * 16) -> Announcement:
    return Announcement("other", opened=(Opened(identity, session, epoch, Version.V16, "10.0.0.1:1", 1),))


def session_of(gateway: Gateway, identity: str = "CP-1") -> Session:
    connection = gateway.edge.registry.of_identity(identity)
    assert connection is not None
    assert connection.session is not None
    return connection.session


async def test_an_opened_session_is_announced_with_its_peer_and_a_closed_one_with_code_and_reason(edge_alone):
    gateway, link = await edge_alone()
    station = await plug_in(gateway)
    await until(lambda: opened(link))
    session = session_of(gateway)
    (entry,) = announcements(link)[0].opened
    assert entry[:4] == ("CP-1", session.session_id, session.epoch, Version.V16)
    assert entry.remote == f"127.0.0.1:{station.transport.get_extra_info('sockname')[1]}"
    assert abs(entry.opened_ms - session.epoch) < 1000
    await station.close(4711, "enough")
    await until(lambda: closed(link))
    assert closed(link) == [("CP-1", 4711, "enough")]
    assert {(message.type, message.persistent) for message in link.announced if message.token} == {("sessions", True)}


async def test_a_connection_that_broke_is_announced_as_1006(edge_alone):
    gateway, link = await edge_alone()
    station = await plug_in(gateway)
    station.transport.abort()
    await until(lambda: closed(link))
    assert closed(link)[0][:2] == ("CP-1", 1006)


async def test_a_storm_is_told_in_batches(edge_alone):
    gateway, link = await edge_alone()
    for number in range(2500):
        gateway.edge.announcements.opened(some_session(number), "10.0.0.1:1")
    await until(lambda: len(opened(link)) == 2500)
    assert [len(part.opened) for part in announcements(link)] == [1000, 1000, 500]


async def test_a_session_is_told_of_before_its_first_call(edge_alone, monkeypatch):
    monkeypatch.setattr("gateway.announcements.BATCH_S", 3600)
    monkeypatch.setattr("gateway.announcements.SPOKEN_BATCH_S", 0)
    gateway, link = await edge_alone()
    await plug_in(gateway)
    await until(lambda: opened(link))
    station = await plug_in(gateway, "CP-2")
    await say(station, 2, "1", "Heartbeat", {})
    await until(lambda: link.calls)
    assert opened(link) == ["CP-1", "CP-2"]
    told = [message for message in link.announced if message.token]
    assert link.published.index(told[-1]) < link.published.index(link.calls[0])


async def test_sessions_that_speak_at_once_are_still_told_of_in_batches(edge_alone, monkeypatch):
    monkeypatch.setattr("gateway.announcements.BATCH_S", 3600)
    monkeypatch.setattr("gateway.announcements.SPOKEN_BATCH_S", 0.2)
    gateway, link = await edge_alone()
    stations = [await plug_in(gateway, f"CP-{number}") for number in range(5)]
    for station in stations:
        await say(station, 2, "1", "Heartbeat", {})
    await until(lambda: len(opened(link)) == 5)
    assert len(announcements(link)) <= 3


async def test_what_was_refused_just_now_is_not_told_again_with_each_call(edge_alone, monkeypatch):
    monkeypatch.setattr("gateway.announcements.SPOKEN_BATCH_S", 0)
    monkeypatch.setattr("gateway.announcements.RETRY_S", 3600)
    gateway, link = await edge_alone()
    station = await plug_in(gateway)
    await until(lambda: opened(link))
    link.listener.refused(next(message.token for message in link.announced if message.token))
    await say(station, 2, "1", "Heartbeat", {})
    await until(lambda: link.calls)
    assert opened(link) == ["CP-1"]


def some_session(number: int) -> Session:
    return Session(f"CP-{number}", Version.V16, f"s{number}", 1000 + number, SessionRules())


async def test_what_opened_is_told_before_what_closed(edge_alone):
    gateway, link = await edge_alone()
    for number in range(1500):
        session = some_session(number)
        gateway.edge.announcements.opened(session, "")
        gateway.edge.announcements.closed(session, 1000, "")
    await until(lambda: len(closed(link)) == 1500)
    seen: set[str] = set()
    for part in announcements(link):
        seen |= {entry.session for entry in part.opened}
        assert {entry.session for entry in part.closed} <= seen


async def test_a_new_link_is_told_what_closed_unconfirmed_and_then_all_that_is_held(edge_alone):
    gateway, link = await edge_alone()
    stations = [await plug_in(gateway, f"CP-{number}") for number in range(3)]
    await until(lambda: len(opened(link)) == 3)
    await stations[0].close()
    await until(lambda: closed(link))
    link.go_down()
    await stations[1].close()
    await until(lambda: len(gateway.edge.registry) == 1)
    link.published.clear()
    link.come_up()
    await until(lambda: any(part.last for part in announcements(link)))
    assert isinstance(_read(link.announced[0]), Heartbeat)
    first, *snapshot = announcements(link)
    assert sorted(entry.identity for entry in first.closed) == ["CP-0", "CP-1"]
    assert (first.snapshot, first.last) == (False, False)
    assert [([entry.identity for entry in part.opened], part.snapshot, part.last) for part in snapshot] == [
        (["CP-2"], True, True)
    ]
    for message in link.announced:
        link.confirm(message)
    assert len(gateway.edge.announcements) == 0
    link.go_down()
    link.published.clear()
    link.come_up()
    await until(lambda: any(part.last for part in announcements(link)))
    assert closed(link) == []


async def test_a_snapshot_for_whoever_asks_goes_to_its_queue_alone_in_portions(edge_alone):
    gateway, link = await edge_alone()
    held = [Holder(some_session(number)) for number in range(2 * PORTION + 1)]
    gateway.edge.announcements._holders = Held(held)
    hear(link, SnapshotRequest("a service"), reply_to="asker")
    mine = [message for message in link.published if message.key == "asker"]
    assert mine == []  # later: other work has its turn
    await until(lambda: len([message for message in link.published if message.key == "asker"]) == 3)
    parts = [Announcement.decode(message.body) for message in link.published if message.key == "asker"]
    assert [(len(part.opened), part.snapshot, part.last) for part in parts] == [
        (PORTION, True, False),
        (PORTION, True, False),
        (1, True, True),
    ]
    assert {(message.exchange, message.type) for message in link.published if message.key == "asker"} == {
        ("", "sessions")
    }
    for number in range(2 * MOST_SNAPSHOTS):
        hear(link, SnapshotRequest("many"), reply_to=f"asker-{number}")
    assert len(gateway.edge.announcements._snapshots) == MOST_SNAPSHOTS


async def test_what_opens_while_a_snapshot_waits_for_its_turn_is_in_it(edge_alone):
    gateway, link = await edge_alone()
    held = Held(Holder(some_session(number)) for number in range(3))
    gateway.edge.announcements._holders = held
    for asker in ("first", "second"):
        hear(link, SnapshotRequest("a service"), reply_to=asker)
    late = Holder(some_session(3))
    held.append(late)
    gateway.edge.announcements.opened(late.session, late.remote)
    # the change is told before the second snapshot is
    await until(lambda: [message for message in link.published if message.key == "second"])
    directory = Directory()
    directory.asked(0.0)
    for message in link.published:
        if message.type == "sessions" and message.key != "first":
            directory.announced(Announcement.decode(message.body), 1.0, asked=message.key == "second")
    assert [directory.find(f"CP-{number}") is not None for number in range(4)] == [True] * 4


class Holder:
    remote = "10.0.0.1:1"

    def __init__(self, session: Session) -> None:
        self.session = session


class Held(list[Holder]):
    last_epoch = 0


async def test_an_empty_gateway_says_so(edge_alone):
    _, link = await edge_alone()
    hear(link, SnapshotRequest("a service"), reply_to="asker")
    await until(lambda: [message for message in link.published if message.key == "asker"])
    (message,) = [message for message in link.published if message.key == "asker"]
    part = Announcement.decode(message.body)
    assert (part.opened, part.snapshot, part.last) == ((), True, True)


async def test_what_a_full_queue_refused_is_told_again_in_order(edge_alone, monkeypatch):
    monkeypatch.setattr("gateway.announcements.RETRY_S", 0.01)
    gateway, link = await edge_alone()
    station = await plug_in(gateway)
    await until(lambda: opened(link))
    await station.close()
    await until(lambda: closed(link))
    first = next(message for message in link.announced if message.token)
    link.published.clear()
    link.listener.refused(first.token)
    await until(lambda: closed(link))
    (again,) = announcements(link)
    assert (len(again.opened), len(again.closed)) == (1, 1)


async def test_closed_sessions_that_wait_for_the_broker_are_bounded(edge_alone):
    gateway, link = await edge_alone(max_connections=5)
    link.go_down()
    for number in range(30):
        gateway.edge.announcements.opened(some_session(number), "")
        gateway.edge.announcements.closed(some_session(number), 1000, "")
    assert len(gateway.edge.announcements) == 20
    link.come_up()
    assert [identity for identity, _, _ in closed(link)] == [f"CP-{number}" for number in range(20, 30)]


async def test_heartbeats_come_at_the_set_interval_and_the_last_one_says_goodbye(edge_alone):
    gateway, link = await edge_alone(heartbeat_seconds=0.1)
    async with await plug_in(gateway):
        await until(lambda: len(heartbeats(link)) >= 3)
        last = heartbeats(link)[-1]
        assert (last.gateway, last.sessions, last.interval_ms) == (gateway.settings.gateway_id, 1, 100)
        assert last.epoch == session_of(gateway).epoch
        assert not last.leaving
    expirations = {message.expiration_ms for message in link.announced if message.type == "heartbeat"}
    assert expirations == {60_000}
    async with await plug_in(gateway, "CP-2"):
        await gateway.stop()
    assert heartbeats(link)[-1].leaving
    assert [beat.leaving for beat in heartbeats(link)].count(True) == 1
    assert read(link.announced[-1].body) == heartbeats(link)[-1], "its last word"
    assert closed(link)[-1] == ("CP-2", 1001, "gateway is shutting down")


async def test_after_the_last_word_nothing_is_said_that_would_make_us_seem_alive(edge_alone):
    gateway, link = await edge_alone()
    gateway.edge.announcements.leave()
    assert heartbeats(link)[-1].leaving
    said = len(link.published)
    hear(link, SnapshotRequest("a"), "asker")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(link.published) == said
    link.go_down()
    link.come_up()
    await asyncio.sleep(0)
    assert heartbeats(link)[-1].leaving
    assert read(link.published[-1].body) == heartbeats(link)[-1]


async def test_a_peer_that_waited_for_us_in_vain_replaces_nobody(edge_alone):
    gateway, _ = await edge_alone()
    station = await plug_in(gateway)
    with socket.create_connection(("127.0.0.1", gateway.port)) as impatient:
        impatient.sendall(upgrade_request())
    # Only now does the gateway come to accept it.
    loop = asyncio.get_running_loop()
    session = session_of(gateway)
    with socket.create_connection(("127.0.0.1", gateway.port)) as next_one:
        next_one.setblocking(False)
        await loop.sock_sendall(next_one, b"nonsense")
        assert (await loop.sock_recv(next_one, 100)).startswith(b"HTTP/1.1 400")
    assert session_of(gateway) is session
    await (await station.ping())


async def test_a_newer_session_elsewhere_closes_ours(edge_alone):
    gateway, link = await edge_alone()
    station = await plug_in(gateway)
    hear(link, theirs("CP-1", session_of(gateway).epoch + 1))
    await station.wait_closed()
    assert (station.close_code, station.close_reason) == (1008, "replaced by a newer connection")
    await until(lambda: closed(link))
    assert closed(link) == [("CP-1", 1008, "replaced by a newer connection")]


async def test_an_older_session_elsewhere_is_told_of_ours_again(edge_alone):
    gateway, link = await edge_alone()
    async with await plug_in(gateway):
        await until(lambda: opened(link))
        link.published.clear()
        hear(link, theirs("CP-1", session_of(gateway).epoch - 1))
        hear(link, theirs("CP-2", session_of(gateway).epoch + 1))
        await until(lambda: opened(link))
        assert opened(link) == ["CP-1"]
        assert len(gateway.edge.registry) == 1


async def test_a_confirm_of_the_first_telling_does_not_stop_the_second(edge_alone):
    gateway, link = await edge_alone()
    async with await plug_in(gateway):
        await until(lambda: opened(link))
        (first,) = [message for message in link.announced if message.type == "sessions"]
        link.published.clear()
        hear(link, theirs("CP-1", session_of(gateway).epoch - 1))
        link.confirm(first)
        await until(lambda: opened(link))
        assert opened(link) == ["CP-1"]


@pytest.mark.parametrize(("session_id", "survives"), [("0", True), ("g", False)])
async def test_equal_epochs_are_told_apart_by_the_session(edge_alone, session_id: str, survives: bool):
    gateway, link = await edge_alone()
    async with await plug_in(gateway):
        hear(link, theirs("CP-1", session_of(gateway).epoch, session_id))
        assert bool(len(gateway.edge.registry)) is survives


async def test_our_own_words_and_nonsense_change_nothing(edge_alone):
    gateway, link = await edge_alone()
    async with await plug_in(gateway):
        own = theirs("CP-1", session_of(gateway).epoch + 1)
        hear(link, Announcement(gateway.settings.gateway_id, own.opened))
        link.listener.delivered(delivery(b"junk", exchange=SESSIONS))
        assert len(gateway.edge.registry) == 1


async def test_epochs_grow_beyond_all_that_was_heard(edge_alone):
    gateway, link = await edge_alone()
    ahead = Clock().wall_ms(Clock.now()) + 3_600_000
    hear(link, theirs("CP-9", ahead))
    async with await plug_in(gateway):
        assert session_of(gateway).epoch == ahead + 1
    hear(link, Heartbeat("other", 0, ahead + 500, 2000))
    hear(link, Heartbeat("other", 0, 2**63, 2000))
    async with await plug_in(gateway, "CP-2"):
        assert session_of(gateway, "CP-2").epoch == ahead + 501
    hear(link, Announcement("other", closed=(Closed("CP-9", "s", ahead + 900, 1, 1000, ""),)))
    async with await plug_in(gateway, "CP-3"):
        assert session_of(gateway, "CP-3").epoch == ahead + 901
