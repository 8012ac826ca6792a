"""The frame stream against the real broker: by time, by charge point, to the end or on and on."""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta

import aio_pika
import pytest

from contracts import topology
from contracts.broker.declare import declare
from contracts.client import CommandClient, FrameStream
from contracts.errors import LinkDownError
from contracts.frame_log import FRAMES_TYPE, Direction, LoggedFrame, encode_frames
from contracts.topology import FRAME_LOG_TOPOLOGY, TOPOLOGY
from tests.support.proxy import CuttingProxy

ALL = timedelta(hours=1)


def a_frame(number: int, identity: str = "CP-1", *, ago_s: float = 0) -> LoggedFrame:
    at_ms = int((time.time() - ago_s) * 1000)
    return LoggedFrame(at_ms, identity, "s1", Direction.IN, b'[2,"%d","Heartbeat",{}]' % number)


class Log:
    """Writes batches as a gateway does."""

    def __init__(self, channel: aio_pika.abc.AbstractChannel) -> None:
        self._channel = channel

    async def write(self, *frames: LoggedFrame) -> None:
        await self.raw(encode_frames("gw", frames))

    async def raw(self, body: bytes) -> None:
        await self._channel.default_exchange.publish(aio_pika.Message(body, type=FRAMES_TYPE), topology.FRAMES)


@pytest.fixture
async def log(amqp_url: str):
    await declare(amqp_url, TOPOLOGY)
    await declare(amqp_url, FRAME_LOG_TOPOLOGY)
    async with await aio_pika.connect(amqp_url) as connection:
        yield Log(await connection.channel(publisher_confirms=True))


async def numbers(stream: FrameStream, most: int | None = None) -> list[int]:
    found = []
    async with asyncio.timeout(30):
        async for frame in stream:
            found.append(number_of(frame))
            if len(found) == most:
                break
    return found


def number_of(frame: LoggedFrame) -> int:
    return int(frame.frame.split(b'"')[1])


def up_to(most: int) -> Sequence[LoggedFrame]:
    return [a_frame(number) for number in range(most)]


async def test_without_following_it_ends_with_the_log(amqp_url: str, log: Log) -> None:
    for frame in up_to(20):
        await log.write(frame, a_frame(99, "CP-2"))
    async with CommandClient(amqp_url) as client:
        assert await numbers(client.frames(since=ALL, identity="CP-1", follow=False)) == list(range(20))
        assert len(await numbers(client.frames(since=ALL, follow=False))) == 40


async def test_an_empty_log_ends_at_once(amqp_url: str, log: Log) -> None:
    async with CommandClient(amqp_url) as client:
        assert await numbers(client.frames(since=ALL, follow=False)) == []
        assert await numbers(client.frames(follow=False)) == []


async def test_frames_from_before_the_time_asked_for_are_left_out(amqp_url: str, log: Log) -> None:
    await log.write(a_frame(1, ago_s=7200), a_frame(2, ago_s=60))
    async with CommandClient(amqp_url) as client:
        assert await numbers(client.frames(since=ALL, follow=False)) == [2]


async def test_following_begins_now(amqp_url: str, log: Log) -> None:
    await log.write(a_frame(1, ago_s=1))
    async with CommandClient(amqp_url) as client:
        stream = client.frames(identity="CP-1")
        await stream.start()
        await stream.link.settled()
        await log.write(a_frame(2))
        assert await numbers(stream, 1) == [2]


@pytest.mark.parametrize("follow", [True, False])
async def test_after_a_cut_it_goes_on_where_it_was(amqp_url: str, log: Log, follow: bool) -> None:
    for frame in up_to(200):
        await log.write(frame)
    async with CuttingProxy.before(amqp_url) as proxy, CommandClient(proxy.url(amqp_url)) as client:
        stream = client.frames(since=ALL, follow=follow)
        found = []
        async with asyncio.timeout(60):
            async for frame in stream:
                found.append(number_of(frame))
                if len(found) in {1, 60, 130}:
                    proxy.cut()
                if follow and len(found) == 200:
                    break
    assert found == list(range(200))


async def test_batches_that_cannot_be_read_are_skipped(amqp_url: str, log: Log) -> None:
    await log.raw(b"\xff")
    await log.write(a_frame(1))
    async with CommandClient(amqp_url) as client:
        stream = client.frames(since=ALL, follow=False)
        assert await numbers(stream) == [1]
        assert stream.skipped == 1


async def test_a_broker_without_a_frame_log_is_an_error_that_says_so(amqp_url: str) -> None:
    async with CommandClient(amqp_url) as client:
        with pytest.raises(LinkDownError, match=r"no queue 'ocpp\.frames'"):
            await anext(client.frames())
