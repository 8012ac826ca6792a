"""The gateway between a real socket and a real broker, with a tiny worker behind it."""

import asyncio
import time
import uuid

import aio_pika

from contracts.envelope import CallEnvelope, CommandEnvelope, OutcomeEnvelope, OutcomeKind, ReplyEnvelope
from contracts.topology import GATEWAYS
from contracts.versions import ErrorKind
from tests.gateway.station import call, hear, plug_in, say

BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}


async def test_a_call_is_answered_with_the_workers_payload(start_gateway, worker):
    worker.answer = lambda _: ReplyEnvelope(payload=b'{"currentTime":"2026-01-01T00:00:00Z"}')
    gateway = await start_gateway()
    async with await plug_in(gateway, "CP%2F1") as station:
        assert await call(station, "u-1", "Heartbeat") == [3, "u-1", {"currentTime": "2026-01-01T00:00:00Z"}]
    (seen,) = worker.seen
    assert (seen.identity, seen.action, seen.unique_id) == ("CP/1", "Heartbeat", "u-1")
    assert seen.gateway == gateway.settings.gateway_id


async def test_a_workers_error_is_answered_in_the_versions_own_spelling(start_gateway, worker):
    worker.answer = lambda _: ReplyEnvelope(error_kind=ErrorKind.FORMAT, description="no")
    gateway = await start_gateway()
    async with await plug_in(gateway) as old, await plug_in(gateway, "CP-2", "ocpp2.0.1") as new:
        assert (await call(old, "1", "Heartbeat"))[:3] == [4, "1", "FormationViolation"]
        assert (await call(new, "1", "Heartbeat"))[:3] == [4, "1", "FormatViolation"]


async def test_actions_that_nobody_serves_are_answered_at_once(start_gateway, worker):
    gateway = await start_gateway()
    async with await plug_in(gateway) as station:
        assert (await call(station, "1", "MakeCoffee"))[:3] == [4, "1", "NotImplemented"]
        assert (await call(station, "2", "No.Key#*"))[:3] == [4, "2", "NotImplemented"]
        assert (await call(station, "3", "Reset", {"type": "Soft"}))[:3] == [4, "3", "NotSupported"]
        assert (await call(station, "4", "Heartbeat"))[0] == 3
    assert len(gateway.edge.relay) == 0


async def test_pipelined_calls_are_relayed_one_by_one_in_order(start_gateway, worker):
    open_calls = 0

    async def answer(seen: CallEnvelope) -> ReplyEnvelope:
        nonlocal open_calls
        open_calls += 1
        assert open_calls == 1
        await asyncio.sleep(0)
        open_calls -= 1
        return ReplyEnvelope(payload=b"{}")

    worker.answer = answer
    gateway = await start_gateway(pending_calls=2)
    async with await plug_in(gateway) as station:
        for number in range(50):
            await say(station, 2, str(number), "Heartbeat", {})
        assert [(await hear(station))[1] for _ in range(50)] == [str(number) for number in range(50)]


async def test_a_command_reaches_the_charge_point_and_its_result_the_asker(start_gateway, worker, amqp_url):
    gateway = await start_gateway()
    async with await plug_in(gateway) as station, await aio_pika.connect(amqp_url) as asker:
        channel = await asker.channel()
        replies = await channel.declare_queue(exclusive=True)
        exchange = await channel.get_exchange(GATEWAYS, ensure=False)

        async def send(identity: str) -> str:
            command = CommandEnvelope(
                command_id=uuid.uuid4().hex,
                identity=identity,
                action="Reset",
                payload=b'{"type":"Soft"}',
                deadline_ms=int(time.time() * 1000) + 5000,
            )
            message = aio_pika.Message(command.encode(), reply_to=replies.name, correlation_id=command.command_id)
            await exchange.publish(message, gateway.settings.gateway_id)
            return command.command_id

        async def outcome() -> OutcomeEnvelope:
            async with replies.iterator(no_ack=True, timeout=10) as messages:
                async for message in messages:
                    envelope = OutcomeEnvelope.decode(message.body)
                    assert message.correlation_id == envelope.command_id
                    return envelope
            raise AssertionError

        command_id = await send("CP-1")
        assert await hear(station) == [2, command_id, "Reset", {"type": "Soft"}]
        await say(station, 3, command_id, {"status": "Accepted"})
        ended = await outcome()
        assert (ended.command_id, ended.kind, ended.payload) == (
            command_id,
            OutcomeKind.RESULT,
            b'{"status":"Accepted"}',
        )
        assert ended.sent_ms is not None
        assert ended.answered_ms is not None
        assert ended.sent_ms <= ended.answered_ms

        await send("nobody")
        ended = await outcome()
        assert (ended.kind, ended.error_code) == (OutcomeKind.OFFLINE, "not_here")
