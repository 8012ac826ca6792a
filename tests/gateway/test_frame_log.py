"""The frame log on a real broker: what it holds, whose frames, and that it holds up nobody."""

import asyncio
from collections.abc import AsyncIterator

import aio_pika
import pytest
from structlog.testing import capture_logs

from contracts import topology
from contracts.broker import BrokerLink, Consumer, Delivery, Returned
from contracts.broker import metrics as link_metrics
from contracts.envelope import ReplyEnvelope
from contracts.frame_log import Direction, LoggedFrame, decode_frames
from contracts.versions import Version
from gateway import frame_log, metrics
from gateway.clock import Clock
from gateway.frame_log import FrameLog
from gateway.session import Session
from gateway.session_rules import SessionRules
from gateway.settings import FrameLogSwitch
from tests.gateway.conftest import settings, until
from tests.gateway.station import call, hear, plug_in, say
from tests.support.proxy import CuttingProxy


class Reader:
    """Reads the stream from its beginning."""

    def __init__(self, url: str) -> None:
        consumer = Consumer(topology.FRAMES, prefetch=100, arguments={"x-stream-offset": "first"})
        self.link = BrokerLink(
            url, self, name="reader", consumers=(consumer,), topology=topology.FRAME_LOG_TOPOLOGY, beside=True
        )
        self.frames: list[LoggedFrame] = []

    def link_up(self) -> None: ...
    def link_down(self) -> None: ...
    def returned(self, message: Returned) -> None: ...
    def confirmed(self, token: object) -> None: ...
    def refused(self, token: object) -> None: ...
    def flow_changed(self) -> None: ...

    def delivered(self, delivery: Delivery) -> None:
        assert delivery.type == "frames"
        self.frames += decode_frames(delivery.body)[1]
        self.link.ack(delivery)


@pytest.fixture
async def reader(amqp_url: str) -> AsyncIterator[Reader]:
    one = Reader(amqp_url)
    running = asyncio.create_task(one.link.run())
    yield one
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def said(reader: Reader, identity: str = "CP-1") -> list[tuple[Direction, bytes]]:
    return [(row.direction, row.frame) for row in reader.frames if row.identity == identity]


async def test_frames_each_way_are_logged_in_order_and_masked(start_gateway, worker, reader):
    worker.answer = lambda _: ReplyEnvelope(payload=b'{"idTagInfo":{"status":"Accepted","parentIdTag":"P4RENT"}}')
    gateway = await start_gateway(frame_log="on")
    async with await plug_in(gateway) as station:
        await call(station, "1", "Authorize", {"idTag": "S3CRET"})
        await say(station, 2, "2", "Heartbeat", {})
        await hear(station)
        await station.send("nonsense with S3CRET")
        session = next(iter(gateway.edge.registry)).session
        await until(lambda: len(reader.frames) == 5)
    assert said(reader) == [
        (Direction.IN, b'[2,"1","Authorize",{"idTag":"***"}]'),
        (Direction.OUT, b'[3,"1",{"idTagInfo":{"status":"Accepted","parentIdTag":"***"}}]'),
        (Direction.IN, b'[2, "2", "Heartbeat", {}]'),
        (Direction.OUT, b'[3,"2",{"idTagInfo":{"status":"Accepted","parentIdTag":"***"}}]'),
        (Direction.IN, b'{"unreadable_bytes":20}'),
    ]
    assert {row.session for row in reader.frames} == {session.session_id}
    now_ms = Clock().wall_ms(Clock.now())
    assert all(now_ms - 60_000 < row.at_ms <= now_ms for row in reader.frames)


async def test_the_last_frames_of_a_gateway_that_leaves_are_logged(start_gateway, worker, reader):
    gateway = await start_gateway(frame_log="on", frame_log_mask="none")
    await until(lambda: gateway.edge.frame_log.link.up)
    async with await plug_in(gateway) as station:
        await say(station, 2, "1", "Authorize", {"idTag": "T"})
        await hear(station)
        await gateway.stop()
    await until(lambda: len(reader.frames) == 2)
    assert said(reader)[0] == (Direction.IN, b'[2, "1", "Authorize", {"idTag": "T"}]')


async def test_a_stream_that_cannot_be_declared_keeps_nobody_from_anything(start_gateway, worker, amqp_url):
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        await channel.declare_queue(topology.FRAMES, durable=True)  # no stream: declaring it is refused
        dropped = metrics.FRAMES_DROPPED._value.get()
        with capture_logs() as lines:
            gateway = await start_gateway(frame_log="on", drain_grace_seconds=3)
            async with await plug_in(gateway) as station:
                assert (await call(station, "1", "Heartbeat"))[:2] == [3, "1"]
                await until(lambda: any(line["event"] == "broker.disconnected" for line in lines))
                big = {"vendorId": "v", "data": "x" * 500_000}
                for number in range(20):
                    await say(station, 2, f"b{number}", "DataTransfer", big)
                    assert (await hear(station))[:2] == [3, f"b{number}"]
                await until(lambda: metrics.FRAMES_DROPPED._value.get() > dropped)
                assert gateway.edge.frame_log._kept_bytes < frame_log.BUFFER_BYTES + 1_100_000
                assert link_metrics.LINK_UP._value.get() == 1
                assert gateway.monitor.unready() == {}
                failures = [line for line in lines if line["event"] == "broker.disconnected"]
                assert len(failures) == 1, "one line, not one per attempt"
            await gateway.stop()


async def test_frames_wait_for_a_broker_that_is_away(start_gateway, worker, reader, amqp_url, monkeypatch):
    gateway = await start_gateway(frame_log="on")
    link = gateway.edge.frame_log.link
    await until(lambda: link.up)
    async with await plug_in(gateway) as station:
        await call(station, "1", "Heartbeat")
        await until(lambda: len(reader.frames) == 2)
        link._wire._transport.abort()
        await until(lambda: not link.up)
        await call(station, "2", "Heartbeat")
        gateway.edge.frame_log.flush()
        assert len(gateway.edge.frame_log._kept) == 1
        await until(lambda: len(reader.frames) == 4)
        await until(lambda: not gateway.edge.frame_log._kept)


async def test_a_stream_that_confirms_nothing_gets_a_new_link(start_gateway, worker, reader, amqp_url, monkeypatch):
    monkeypatch.setattr(frame_log, "STUCK_S", 0.3)
    async with CuttingProxy.before(amqp_url) as proxy:
        gateway = await start_gateway()
        log = FrameLog(settings(frame_log="on", amqp_url=proxy.url(amqp_url)), Clock())
        running = asyncio.create_task(log.run())
        await until(lambda: log.link.up)
        proxy.stall()
        with capture_logs() as lines:
            log.record(session_of_nobody(), Direction.IN, b"[]", 0)
            await until(lambda: any(line["event"] == "frame_log.stuck" for line in lines))
        assert gateway.link.up
        proxy.cut()
        proxy.flow()
        await until(lambda: log.link.up and not log._kept)
        await until(lambda: reader.frames)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def session_of_nobody() -> Session:
    return Session("CP", Version.V16, "s", 1, SessionRules())


def test_a_charge_point_is_logged_wholly_or_not_at_all() -> None:
    def selected(share: float, switch: FrameLogSwitch = FrameLogSwitch.ON) -> set[str]:
        log = FrameLog(settings(frame_log=switch, frame_log_share=share), Clock())
        return {identity for identity in (f"CP-{number}" for number in range(2000)) if log.selects(identity)}

    assert selected(0) == set()
    assert len(selected(1)) == 2000
    assert selected(1, FrameLogSwitch.OFF) == set()
    tenth = selected(0.1)
    assert 120 < len(tenth) < 280
    assert selected(0.1) == tenth
    assert tenth < selected(0.5), "a larger share adds charge points and loses none"


async def test_what_does_not_fit_the_buffer_is_dropped_and_counted(monkeypatch):
    monkeypatch.setattr(frame_log, "BUFFER_BYTES", 1000)
    log = FrameLog(settings(frame_log="on"), Clock())
    session = session_of_nobody()
    dropped = metrics.FRAMES_DROPPED._value.get()
    for _ in range(5):
        log.record(session, Direction.IN, b"[" + b" " * 700 + b"]", 0)
        log.flush()
    assert metrics.FRAMES_DROPPED._value.get() - dropped == 3
    log.stop()
