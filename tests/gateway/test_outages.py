"""The broker goes away and comes back; the gateway is told to leave. Real broker, real sockets, real process."""

import asyncio
import json
import os
import signal
import sys
import urllib.error
import urllib.request

import pytest
from structlog.testing import capture_logs
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK, InvalidStatus

from contracts.broker import BrokerLink
from contracts.envelope import CallEnvelope, ReplyEnvelope
from gateway.app import Gateway, serve
from tests.gateway.conftest import settings, until
from tests.gateway.station import call, client_frame, hear, opened, plug_in, say
from tests.gateway.worker import TinyWorker
from tests.support.proxy import CuttingProxy

START = {"connectorId": 1, "idTag": "T", "meterStart": 0, "timestamp": "2026-01-01T00:00:00Z"}
STOP = {"transactionId": 1, "meterStop": 1, "timestamp": "2026-01-01T00:00:00Z"}


async def test_calls_in_flight_survive_a_cut_connection(start_gateway, worker, amqp_url):
    async with CuttingProxy.before(amqp_url) as proxy:
        gateway = await start_gateway(amqp_url=proxy.url(amqp_url))
        held = asyncio.Event()

        async def answer(seen: CallEnvelope) -> ReplyEnvelope:
            await held.wait()
            return ReplyEnvelope(payload=b"{}")

        worker.answer = answer
        stations = [await plug_in(gateway, f"CP-{number}") for number in range(20)]
        for station in stations:
            await say(station, 2, "x", "Heartbeat", {})
        await worker.until(lambda: len(worker.seen) == 20)
        first_queue = gateway.link.reply_queue
        proxy.cut()
        await until(lambda: gateway.link.up and gateway.link.reply_queue != first_queue)
        held.set()
        for station in stations:
            assert (await hear(station))[:2] == [3, "x"]
            await station.close()
        assert len(gateway.edge.relay) == 0


async def test_while_the_broker_is_away_errors_are_for_the_harmless_and_silence_for_billing_data(
    start_gateway, worker, amqp_url
):
    async with CuttingProxy.before(amqp_url) as proxy:
        gateway = await start_gateway(amqp_url=proxy.url(amqp_url), call_timeout_seconds=0.6)
        async with await plug_in(gateway) as station, await plug_in(gateway, "CP-2") as leaver:
            proxy.refuse(True)
            proxy.cut()
            await until(lambda: not gateway.link.up)
            with pytest.raises(InvalidStatus) as caught:
                await plug_in(gateway, "CP-3")
            assert caught.value.response.status_code == 503
            assert "broker" in gateway.monitor.unready()
            assert (await call(station, "h", "Heartbeat"))[:3] == [4, "h", "InternalError"]
            await say(station, 2, "t", "StartTransaction", START)
            await say(leaver, 2, "t", "StartTransaction", {**START, "idTag": "U"})
            with pytest.raises(TimeoutError):
                await hear(station, seconds=1.5)
            await leaver.close()
            assert len(list(gateway.edge.relay.unconfirmed_transactions())) == 2
            proxy.refuse(False)
            await until(lambda: gateway.link.up)
            await worker.until(lambda: len(worker.seen) == 2)
            assert {seen.payload()["idTag"] for seen in worker.seen} == {"T", "U"}
            assert (await call(station, "h2", "Heartbeat"))[:2] == [3, "h2"]
        await until(lambda: len(gateway.edge.relay) == 0)


async def test_a_killed_broker_drops_no_socket_and_loses_no_billing_data(own_rabbit):
    import gateway.app
    from tests.gateway.conftest import settings

    url = own_rabbit.amqp_url
    edge = gateway.app.Gateway(settings(amqp_url=url, window_calls=30, call_timeout_seconds=300))
    await edge.start()
    await until(lambda: edge.link.up, seconds=30)
    stations = [await plug_in(edge, f"CP-{number}") for number in range(50)]
    try:
        async with TinyWorker(url) as worker:
            await asyncio.gather(*(call(station, "warm", "Heartbeat") for station in stations))
            worker.answer = lambda _: None  # nothing is answered before the broker dies
            for station in stations[:10]:
                await say(station, 2, "t1", "StartTransaction", START)
            await worker.until(lambda: len(worker.seen) == 60)
        await asyncio.to_thread(own_rabbit.kill)
        await until(lambda: not edge.link.up)
        for station in stations[10:]:
            await say(station, 2, "t1", "StartTransaction", START)
        await until(lambda: edge.edge.relay.full)  # 30 of 50 fit: the others wait in their sockets
        await asyncio.to_thread(own_rabbit.start)
        await until(lambda: edge.link.up, seconds=60)
        async with TinyWorker(url) as worker:
            for station in stations:
                assert (await hear(station, seconds=30))[:2] == [3, "t1"]
            assert {seen.identity for seen in worker.seen} == {f"CP-{number}" for number in range(50)}
        assert len(edge.edge.registry) == 50
    finally:
        for station in stations:
            await station.close()
        await edge.close()


def code_of(closed: ConnectionClosed) -> int:
    assert closed.rcvd is not None
    return closed.rcvd.code


class Process:
    """`ocpp-gateway run` as an operating system process."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, monitor_port: int) -> None:
        self.process = process
        self.port = port
        self.monitor_port = monitor_port

    @classmethod
    async def start(cls, amqp_url: str, **more: str) -> "Process":
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", "run",
            env={
                **os.environ,
                "AMQP_URL": amqp_url,
                "OCPP_GATEWAY_LISTEN_HOST": "127.0.0.1",
                "OCPP_GATEWAY_LISTEN_PORT": "0",
                "OCPP_MONITOR_HOST": "127.0.0.1",
                "OCPP_MONITOR_PORT": "0",
                "OCPP_LOG_FORMAT": "json",
                **more,
            },
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        ports: tuple[int, int] | None = None
        async with asyncio.timeout(30):
            assert process.stdout is not None
            async for raw_line in process.stdout:
                line = json.loads(raw_line)
                if line["event"] == "gateway.started":
                    ports = (line["port"], line["monitor_port"])
                if line["event"] == "broker.connected":
                    break
        assert ports is not None
        return cls(process, *ports)

    async def ready(self) -> int:
        def ask() -> int:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.monitor_port}/readyz", timeout=5) as answer:
                    return int(answer.status)
            except urllib.error.HTTPError as error:
                with error:
                    return int(error.code)

        return await asyncio.to_thread(ask)

    async def end(self) -> tuple[int, list[dict[str, object]]]:
        """Exit code and the log lines since start."""
        async with asyncio.timeout(30):
            out, _ = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, [json.loads(line) for line in out.splitlines()]

    def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()


@pytest.mark.system
async def test_sigterm_finishes_calls_in_flight_closes_with_1001_and_exits_0(amqp_url, worker):
    process = await Process.start(
        amqp_url, OCPP_GATEWAY_DRAIN_GRACE_SECONDS="20", OCPP_GATEWAY_DRAIN_CLOSES_PER_SECOND="100"
    )
    try:
        held = asyncio.Event()

        async def answer(seen: CallEnvelope) -> ReplyEnvelope:
            if seen.unique_id == "slow":
                await held.wait()
            return ReplyEnvelope(payload=b"{}")

        worker.answer = answer
        assert await process.ready() == 200
        stations = [await plug_in(process, f"CP-{number}") for number in range(60)]
        codes: list[int] = []
        answered: list[bool] = []

        async def live(station) -> None:
            """Call after call until the gateway closes; each is answered or ends in a clean close."""
            try:
                while True:
                    await call(station, "x", "Heartbeat")
            except ConnectionClosedOK as closed:
                codes.append(code_of(closed))

        slow = stations.pop()
        await say(slow, 2, "slow", "Heartbeat", {})
        await worker.until(lambda: any(seen.unique_id == "slow" for seen in worker.seen))
        lives = [asyncio.create_task(live(station)) for station in stations]
        await worker.until(lambda: len(worker.seen) > 300)
        process.process.send_signal(signal.SIGTERM)
        await asyncio.gather(*lives)
        assert await process.ready() == 503
        with pytest.raises(OSError, match="refused"):
            await plug_in(process, "late")
        held.set()
        answered.append((await hear(slow))[:2] == [3, "slow"])
        with pytest.raises(ConnectionClosedOK) as caught:
            await slow.recv()
        codes.append(code_of(caught.value))
        code, lines = await process.end()
        assert code == 0
        assert answered == [True]
        assert codes == [1001] * 60
        (done,) = [line for line in lines if line["event"] == "drain.done"]
        assert (done["closed_unfinished"], done["sockets"]) == (0, 0)
    finally:
        process.kill()


@pytest.mark.system
async def test_a_second_signal_ends_the_process_at_once(amqp_url, worker):
    process = await Process.start(amqp_url)
    try:
        worker.answer = lambda _: None
        station = await plug_in(process)
        await say(station, 2, "never", "Heartbeat", {})
        await worker.until(lambda: worker.seen)
        process.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0)
        assert process.process.stdout is not None
        async for line in process.process.stdout:
            if b"drain.begun" in line:
                break
        process.process.send_signal(signal.SIGTERM)
        code, _ = await process.end()
        assert code == 130
        with pytest.raises(ConnectionClosed):
            await station.recv()
    finally:
        process.kill()


async def test_a_drain_waits_for_a_broker_that_comes_back_with_billing_data_at_hand(edge_alone):
    gateway, link = await edge_alone(call_timeout_seconds=0.3)
    async with await plug_in(gateway) as station:
        link.go_down()
        await say(station, 2, "s", "StopTransaction", STOP)
        await until(lambda: gateway.edge.relay.holds_unsafe())
        (connection,) = gateway.edge.registry
        await until(lambda: connection.session.idle)  # it has timed out, and nobody waits for it
        stopping = asyncio.create_task(gateway.stop())
        await until(lambda: gateway.edge.sockets == 0)
        link.come_up()
        (message,) = link.calls
        assert not stopping.done()
        link.confirm(message)
        await asyncio.wait_for(stopping, 10)
    assert not gateway.edge.relay.holds_unsafe()


async def test_a_broker_that_stalls_does_not_hold_up_the_exit(amqp_url):
    async with CuttingProxy.before(amqp_url) as proxy:
        gateway = Gateway(settings(amqp_url=proxy.url(amqp_url), drain_grace_seconds=4))
        await gateway.start()
        try:
            await until(lambda: gateway.link.up)
            _, writer = await opened(gateway)
            writer.write(client_frame(1, json.dumps([2, "s", "StopTransaction", STOP]).encode()))
            await until(lambda: len(gateway.edge.relay) == 1)
            proxy.stall()
            began = asyncio.get_running_loop().time()
            await gateway.stop()
            assert asyncio.get_running_loop().time() - began < 5
            writer.transport.abort()
        finally:
            proxy.flow()
            await gateway.close()
            await until(lambda: not proxy.busy)


async def test_a_task_that_dies_says_why_before_the_process_ends(amqp_url, monkeypatch):
    async def die(_: BrokerLink) -> None:
        raise RuntimeError("the reason")

    monkeypatch.setattr(BrokerLink, "run", die)
    with capture_logs() as logs:
        assert await serve(settings(amqp_url=amqp_url), asyncio.Event()) == 1
    (line,) = [line for line in logs if line["event"] == "gateway.task_ended"]
    assert str(line["exc_info"]) == "the reason"


@pytest.mark.system
async def test_the_grace_time_bounds_the_drain(amqp_url, worker):
    process = await Process.start(amqp_url, OCPP_GATEWAY_DRAIN_GRACE_SECONDS="3")
    try:
        worker.answer = lambda _: None
        stations = [await plug_in(process, f"CP-{number}") for number in range(5)]
        for station in stations:
            await say(station, 2, "never", "Heartbeat", {})
        await worker.until(lambda: len(worker.seen) == 5)
        began = asyncio.get_running_loop().time()
        process.process.send_signal(signal.SIGTERM)
        for station in stations:
            with pytest.raises(ConnectionClosedOK) as caught:
                await station.recv()
            assert code_of(caught.value) == 1001
        code, _ = await process.end()
        assert code == 0
        assert asyncio.get_running_loop().time() - began < 4.5
    finally:
        process.kill()
