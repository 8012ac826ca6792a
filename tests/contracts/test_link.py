"""The broker link against a real broker, with a proxy that cuts the connection in mid-flight."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands, frame
from prometheus_client import REGISTRY

from contracts import topology
from contracts.actions import Service
from contracts.broker import BrokerLink, Consumer, Delivery, PrivateQueue, Returned
from contracts.broker.declare import declare
from contracts.broker.link import BACKOFF_MOST_S, backoff_s
from contracts.errors import BrokerRefusedError, LinkDownError
from contracts.topology import TOPOLOGY, Exchange, Queue, Topology
from tests.support.proxy import CuttingProxy
from tools.nodes import KillableBroker

METERING = topology.calls_queue(Service.METERING)
KEY = "ocpp16.MeterValues"


@dataclass
class Recorder:
    """Records what a link tells, and lets a test await a condition on it."""

    deliveries: list[Delivery] = field(default_factory=list)
    returns: list[Returned] = field(default_factory=list)
    confirms: list[object] = field(default_factory=list)
    refusals: list[object] = field(default_factory=list)
    ups: int = 0
    downs: int = 0
    flows: list[bool] = field(default_factory=list)
    on_delivery: Callable[[Delivery], None] = lambda _: None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    link: BrokerLink | None = None

    def _note(self) -> None:
        self._changed.set()

    def link_up(self) -> None:
        self.ups += 1
        self._note()

    def link_down(self) -> None:
        self.downs += 1
        self._note()

    def delivered(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        self.on_delivery(delivery)
        self._note()

    def returned(self, message: Returned) -> None:
        self.returns.append(message)
        self._note()

    def confirmed(self, token: object) -> None:
        self.confirms.append(token)
        self._note()

    def refused(self, token: object) -> None:
        self.refusals.append(token)
        self._note()

    def flow_changed(self) -> None:
        assert self.link is not None
        self.flows.append(self.link.writable)
        self._note()

    async def until(self, condition: Callable[[], bool], timeout_s: float = 30) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def linked(url: str, **options: Any) -> AsyncIterator[tuple[BrokerLink, Recorder]]:
    recorder = Recorder()
    link = BrokerLink(url, recorder, name="test", **options)
    recorder.link = link
    task = asyncio.create_task(link.run())
    try:
        await recorder.until(lambda: link.up)
        yield link, recorder
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_is_published_is_confirmed_and_delivered_once_acked_never_again(amqp_url: str) -> None:
    async with linked(amqp_url, consumers=[Consumer(METERING)]) as (link, recorder):
        bodies = [bytes([n]) * n for n in (0, 1, 200)] + [b"z" * 300_000]
        for n, body in enumerate(bodies):
            link.publish(topology.CALLS, KEY, body, token=n, persistent=True, mandatory=True,
                         correlation_id=f"c{n}", reply_to="r", message_id="m", type="call")  # fmt: skip
        await recorder.until(lambda: len(recorder.deliveries) == len(bodies) == len(recorder.confirms))
        assert [delivery.body for delivery in recorder.deliveries] == bodies
        assert [delivery.correlation_id for delivery in recorder.deliveries] == ["c0", "c1", "c2", "c3"]
        assert {(d.queue, d.reply_to, d.message_id, d.type, d.routing_key) for d in recorder.deliveries} == {
            (METERING, "r", "m", "call", KEY)
        }
        assert recorder.confirms == [0, 1, 2, 3]
        link.ack(recorder.deliveries[-1], multiple=True)
        await link.settled()
    async with linked(amqp_url, consumers=[Consumer(METERING)]) as (link, recorder):
        await link.settled()
        assert recorder.deliveries == []


async def test_a_mandatory_publish_that_nobody_serves_comes_back_and_is_still_confirmed(amqp_url: str) -> None:
    async with linked(amqp_url) as (link, recorder):
        link.publish(topology.CALLS, "ocpp16.Nonsense", b"x", token="t", mandatory=True, correlation_id="c")
        await recorder.until(lambda: recorder.confirms == ["t"])
        assert [(r.reply_code, r.correlation_id, r.body) for r in recorder.returns] == [(312, "c", b"x")]


async def test_private_queues_receive_by_name_and_by_binding(amqp_url: str) -> None:
    queue = PrivateQueue("ocpp.gateway.g1", [(topology.GATEWAYS, "g1")])
    async with linked(amqp_url, private_queue=queue) as (link, recorder):
        link.publish("", link.reply_queue, b"reply")
        link.publish(topology.GATEWAYS, "g1", b"command", mandatory=True)
        await recorder.until(lambda: len(recorder.deliveries) == 2)
        assert [delivery.body for delivery in recorder.deliveries] == [b"reply", b"command"]
        assert recorder.returns == []


async def test_a_cut_connection_heals_and_unacked_deliveries_come_again(amqp_url: str) -> None:
    async with CuttingProxy.before(amqp_url) as proxy:
        options: dict[str, Any] = {
            "consumers": [Consumer(METERING)], "private_queue": PrivateQueue("p"), "topology": None,
        }  # fmt: skip
        await declare(amqp_url, TOPOLOGY)
        async with linked(proxy.url(amqp_url), **options) as (link, recorder):
            link.publish(topology.CALLS, KEY, b"x", persistent=True)
            await recorder.until(lambda: len(recorder.deliveries) == 1)
            first_queue, stale = link.reply_queue, recorder.deliveries[0]
            proxy.cut()
            await recorder.until(lambda: recorder.downs == 1)
            with pytest.raises(LinkDownError):
                link.publish(topology.CALLS, KEY, b"y")
            await recorder.until(lambda: recorder.ups == 2 and len(recorder.deliveries) == 2)
            assert link.reply_queue != first_queue
            assert recorder.deliveries[1].redelivered
            assert recorder.deliveries[1].delivery_count == 1
            link.ack(stale)  # a tag of the dead connection: must not close this one
            link.ack(recorder.deliveries[1])
            await link.settled()
            assert recorder.downs == 1


async def test_cuts_at_any_moment_lose_nothing_that_was_confirmed(amqp_url: str) -> None:
    sent, taken = 0, set[bytes]()
    await declare(amqp_url, TOPOLOGY)
    async with CuttingProxy.before(amqp_url) as proxy, linked(proxy.url(amqp_url), topology=None) as (link, recorder):
        for round_number in range(5):
            await recorder.until(lambda: link.up)
            for _ in range(300):
                link.publish(topology.CALLS, KEY, b"%d" % sent, token=b"%d" % sent, persistent=True)
                sent += 1
            await recorder.until(lambda wanted=round_number * 20: len(recorder.confirms) >= wanted)  # type: ignore[misc]
            downs = recorder.downs
            proxy.cut()
            await recorder.until(lambda before=downs: recorder.downs > before)  # type: ignore[misc]
        assert recorder.downs == 5
        confirmed = set(recorder.confirms)
    async with linked(amqp_url, consumers=[Consumer(METERING)]) as (link, recorder):
        await link.settled()
        await recorder.until(lambda: confirmed <= {delivery.body for delivery in recorder.deliveries})
        taken = {delivery.body for delivery in recorder.deliveries}
    assert confirmed <= taken


async def test_a_silent_broker_is_given_up_and_found_again(amqp_url: str) -> None:
    await declare(amqp_url, TOPOLOGY)
    async with (
        CuttingProxy.before(amqp_url) as proxy,
        linked(proxy.url(amqp_url), topology=None, heartbeat_s=1) as (_, recorder),
    ):
        proxy.stall()
        await recorder.until(lambda: recorder.downs == 1)
        proxy.flow()
        await recorder.until(lambda: recorder.ups == 2)


async def test_the_link_tells_its_state_to_prometheus(amqp_url: str) -> None:
    def connected() -> float:
        return REGISTRY.get_sample_value("ocpp_broker_connected_total") or 0.0

    before = connected()
    async with linked(amqp_url):
        assert connected() == before + 1
        assert REGISTRY.get_sample_value("ocpp_broker_link_up") == 1
    assert REGISTRY.get_sample_value("ocpp_broker_link_up") == 0


async def test_confirms_are_timed_one_at_a_time_and_returns_counted(amqp_url: str) -> None:
    def told() -> list[float]:
        names = ("ocpp_broker_confirm_duration_seconds_count", "ocpp_broker_returned_total", "ocpp_broker_unconfirmed")
        return [REGISTRY.get_sample_value(name) or 0.0 for name in names]

    async with linked(amqp_url) as (link, recorder):
        timed, returned, _ = told()
        for number in range(3):
            link.publish(topology.CALLS, "ocpp16.Nonsense", b"x", token=number, mandatory=True)
        assert told()[2] == 3
        await recorder.until(lambda: len(recorder.confirms) == 3)
        assert told() == [timed + 1, returned + 3, 0]
        link.publish(topology.CALLS, KEY, b"x", token="one more")
        await recorder.until(lambda: len(recorder.confirms) == 4)
        assert told()[0] == timed + 2


async def test_an_idle_link_stays_up_by_heartbeats(amqp_url: str) -> None:
    async with linked(amqp_url, heartbeat_s=1) as (link, recorder):
        probe = asyncio.get_running_loop().time()
        await asyncio.wait_for(_beats(link, probe + 4), timeout=10)
        assert recorder.downs == 0
        assert link.up


async def _beats(link: BrokerLink, until: float) -> None:
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    loop.call_at(until, done.set_result, None)  # the broker's own patience (2 x 1 s) is what is being waited for
    await done


async def test_a_memory_alarm_holds_publishers_back_and_drops_nobody(own_rabbit: KillableBroker) -> None:
    async with (
        CuttingProxy.before(own_rabbit.amqp_url) as proxy,
        linked(proxy.url(own_rabbit.amqp_url), consumers=[Consumer(METERING)], heartbeat_s=2) as (link, recorder),
    ):
        await asyncio.to_thread(own_rabbit.control, "set_vm_memory_high_watermark", "absolute", "1")
        link.publish(topology.CALLS, KEY, b"held", token="held", persistent=True)  # who publishes is told, and blocked
        await recorder.until(lambda: link.blocked)
        assert REGISTRY.get_sample_value("ocpp_broker_blocked") == 1
        assert not link.writable
        assert recorder.flows[-1] is False
        proxy.cut()
        await recorder.until(lambda: recorder.ups == 2)  # a blocked broker still takes new connections and consumers
        link.publish(topology.CALLS, KEY, b"later", token="later", persistent=True)
        await recorder.until(lambda: link.blocked)
        await asyncio.to_thread(own_rabbit.control, "set_vm_memory_high_watermark", "0.4")
        await recorder.until(lambda: "later" in recorder.confirms and link.writable)
        assert REGISTRY.get_sample_value("ocpp_broker_blocked") == 0
        assert recorder.downs == 1


async def test_a_full_queue_refuses_by_token(amqp_url: str) -> None:
    tiny = Topology(
        (), (Queue("tiny", {"x-queue-type": "quorum", "x-max-length": 1, "x-overflow": "reject-publish"}),), (), ()
    )
    async with linked(amqp_url, topology=tiny) as (link, recorder):
        sent = 0
        while not recorder.refusals:  # a quorum queue notices a little late that it is full
            assert sent < 1000
            link.publish("", "tiny", b"x", token=sent)
            sent += 1
            await recorder.until(lambda: not link.unconfirmed)
        assert recorder.refusals == [sent - 1]
        assert len(recorder.confirms) == sent - 1


async def test_a_consumer_whose_queue_is_deleted_reconnects_and_declares_it_again(amqp_url: str) -> None:
    async with linked(amqp_url, consumers=[Consumer(METERING)]) as (link, recorder):
        import aio_pika

        async with await aio_pika.connect(amqp_url) as connection:
            await (await connection.channel()).queue_delete(METERING)
        await recorder.until(lambda: recorder.ups == 2)
        link.publish(topology.CALLS, KEY, b"again", mandatory=True)
        await recorder.until(lambda: [delivery.body for delivery in recorder.deliveries] == [b"again"])


async def test_a_wrong_password_is_retried_and_never_shown(amqp_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    recorder = Recorder()
    wrong = amqp_url.replace("guest:guest@", "guest:topsecret@")
    assert wrong != amqp_url
    link = BrokerLink(wrong, recorder, name="test", topology=None)
    reason = await link._one_connection()
    assert "403" in reason or "ACCESS_REFUSED" in reason
    assert "topsecret" not in reason + repr(link) + capsys.readouterr().out


async def test_a_topology_that_the_broker_holds_otherwise_is_refused_in_words(amqp_url: str) -> None:
    await declare(amqp_url, TOPOLOGY)
    other = Topology((Exchange(topology.CALLS, "fanout"),), (), (), ())
    with pytest.raises(BrokerRefusedError, match=r"ocpp\.calls"):
        await declare(amqp_url, other)


async def test_a_cancelled_consumer_takes_nothing_more_on_later_connections_either(amqp_url: str) -> None:
    await declare(amqp_url, TOPOLOGY)
    async with (
        CuttingProxy.before(amqp_url) as proxy,
        linked(proxy.url(amqp_url), topology=None, consumers=[Consumer(METERING)]) as (link, recorder),
    ):
        await link.cancel_consumers()
        link.publish(topology.CALLS, KEY, b"x")
        await link.settled()
        proxy.cut()
        await recorder.until(lambda: recorder.ups == 2)
        await link.settled()
        assert recorder.deliveries == []


async def test_a_listener_that_raises_costs_neither_the_link_nor_the_other_deliveries(
    amqp_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def rejects_the_first(delivery: Delivery) -> None:
        if delivery.body == b"0":
            raise RuntimeError("handler is broken")

    async with linked(amqp_url, consumers=[Consumer(METERING)]) as (link, recorder):
        recorder.on_delivery = rejects_the_first
        for n in range(3):
            link.publish(topology.CALLS, KEY, b"%d" % n, token=n)
        await recorder.until(lambda: len(recorder.deliveries) == len(recorder.confirms) == 3)
        await link.settled()
        assert (recorder.downs, recorder.ups) == (0, 1)
    assert "broker.listener_failed" in capsys.readouterr().out


async def test_the_answer_to_a_question_given_up_is_not_taken_for_the_next_ones(amqp_url: str) -> None:
    await declare(amqp_url, TOPOLOGY)
    async with (
        CuttingProxy.before(amqp_url) as proxy,
        linked(proxy.url(amqp_url), topology=None) as (link, _),
    ):
        wire = link._wire
        assert wire is not None
        proxy.stall()
        given_up = asyncio.ensure_future(link.settled())
        await asyncio.sleep(0)  # it has asked
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        proxy.flow()
        answer = await wire.call(commands.Queue.Declare(queue=METERING, passive=True))
        assert isinstance(answer, commands.Queue.DeclareOk)


_START = commands.Connection.Start(0, 9, {}, "PLAIN", "en_US")


@pytest.mark.parametrize(
    "answers",
    [
        (frame.marshal(_START, 0), b"\x01\x00\x00\x00\x00\x00\x02\x00\x0a\xce"),
        (frame.marshal(_START, 0), b"\x01\x00\x00\x00\x00\x00\x04\x00\x0a\x0f\xff\xce"),
        (frame.marshal(_START, 0), frame.marshal(commands.Connection.Secure("who?"), 0)),
        (frame.marshal(commands.Connection.Tune(), 0),),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n",),
        (),
    ],
    ids=["half a method", "no such method", "another login step", "tune before start", "not AMQP", "nothing"],
)
async def test_a_broker_that_talks_nonsense_ends_the_connection_and_not_the_link(answers: tuple[bytes, ...]) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        for answer in answers:
            writer.write(answer)
            await reader.read(4096)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        link = BrokerLink(f"amqp://127.0.0.1:{port}", Recorder(), name="test", topology=None)
        async with asyncio.timeout(10):
            assert await link._one_connection()


@given(attempt=st.integers(0, 1000), chance=st.floats(0, 1))
def test_back_off_is_positive_jittered_and_bounded(attempt: int, chance: float) -> None:
    assert 0 < backoff_s(attempt, chance) <= BACKOFF_MOST_S
    assert backoff_s(attempt, 0.9) > backoff_s(attempt, 0.1)
