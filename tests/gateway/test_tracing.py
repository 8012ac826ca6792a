"""What a gateway records of Calls and commands, and puts into headers; the broker is this process's memory."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from contracts.broker.codec import encode_headers
from contracts.envelope import CommandEnvelope, OutcomeEnvelope, OutcomeKind
from contracts.topology import GATEWAYS
from contracts.tracing import Kind, Span, TraceContext, Tracing
from contracts.tracing.sampling import Sampling
from gateway.app import Gateway
from tests.gateway.conftest import settings, until
from tests.gateway.memory_link import MemoryLink, Published, delivery
from tests.gateway.station import call, hear, plug_in, raw, say, upgrade_request

SENT = TraceContext(5, 7, sampled=True, remote=True)


@dataclass
class World:
    gateway: Gateway
    link: MemoryLink
    spans: list[Span]

    def names(self) -> list[str]:
        return [span.name for span in self.spans]

    def one(self, name: str) -> Span:
        (span,) = (span for span in self.spans if span.name == name)
        return span

    async def published(self) -> Published:
        await until(lambda: self.link.calls)
        return self.link.calls[-1]


async def world(share: float, **changes: object) -> World:
    spans: list[Span] = []
    gateway = Gateway(settings(**changes), Tracing(Sampling(share), spans.append))
    link = MemoryLink(gateway)
    await gateway.start()
    return World(gateway, link, spans)


@pytest.fixture
async def recorded() -> AsyncIterator[World]:
    made = await world(1.0, call_timeout_seconds=0.3, command_timeout_seconds=0.3)
    yield made
    await made.gateway.close()


@pytest.fixture
async def unrecorded() -> AsyncIterator[World]:
    made = await world(0.0)
    yield made
    await made.gateway.close()


async def test_what_is_not_recorded_leaves_no_span_and_no_header(unrecorded):
    unrecorded.link.auto = True
    header = {"traceparent": SENT.traceparent}  # which says: record me
    async with await plug_in(unrecorded.gateway, additional_headers=header) as station:
        assert (await call(station, "1", "Heartbeat"))[0] == 3
        assert (await call(station, "2", "Make Coffee"))[0] == 4
    assert unrecorded.link.calls[0].headers is None
    assert unrecorded.spans == []


async def test_a_call_names_its_publish_to_the_worker_and_its_trace_in_the_log(recorded, capsys):
    async with await plug_in(recorded.gateway) as station:
        await say(station, 2, "1", "Heartbeat", {})
        message = await recorded.published()
        recorded.link.confirm(message)
        publish = recorded.one("publish ocpp.calls")
        assert message.headers == publish.headers
        recorded.link.reply(message)
        await hear(station)
    root = recorded.one("Call Heartbeat")
    assert (root.parent, root.kind, publish.parent) == (None, Kind.SERVER, root.context)
    assert recorded.one("receive reply").parent == root.context  # the worker of this test has no spans
    assert f"trace={root.trace}" in capsys.readouterr().out


async def test_a_call_that_nobody_answers_is_a_failed_one(recorded, capsys):
    async with await plug_in(recorded.gateway) as station:
        assert (await call(station, "1", "Heartbeat"))[:2] == [4, "1"]
    root = recorded.one("Call Heartbeat")
    assert (root.attributes["ocpp.outcome"], root.error) == ("timeout", "timeout")
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "call.timeout" in line)
    assert f"trace={root.trace}" in line


async def test_a_reply_that_cannot_be_read_shows_in_the_trace_of_the_call_that_it_failed(recorded):
    async with await plug_in(recorded.gateway) as station:
        await say(station, 2, "1", "Heartbeat", {})
        message = await recorded.published()
        recorded.link.listener.delivered(delivery(b"no envelope", correlation_id=message.correlation_id))
        assert (await hear(station))[0] == 4
    assert recorded.one("receive reply").error == "bad_reply"
    assert recorded.one("Call Heartbeat").error == "failed"


async def test_calls_that_are_refused_at_once_are_recorded_under_a_name_of_ours(recorded):
    async with await plug_in(recorded.gateway) as station:
        assert (await call(station, "1", "Make Coffee"))[0] == 4
        assert (await call(station, "2", "Heartbeat", {"no": "such"}))[0] == 4
    other, heartbeat = recorded.one("Call other"), recorded.one("Call Heartbeat")
    assert (other.attributes["ocpp.action"], other.attributes["ocpp.outcome"]) == ("Make Coffee", "refused")
    assert (heartbeat.attributes["ocpp.unique_id"], heartbeat.error) == ("2", None)


async def test_each_publish_of_a_call_is_a_step_of_its_own(recorded):
    async with await plug_in(recorded.gateway) as station:
        await say(
            station, 2, "1", "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
        )
        first = await recorded.published()
        recorded.link.go_down()
        assert recorded.one("publish ocpp.calls").error == "connection_lost"
        recorded.link.come_up()
        again = recorded.link.calls[-1]
        assert again is not first
        recorded.link.confirm(again)
        recorded.link.reply(again)
        assert (await hear(station))[0] == 3
    lost, taken = (span for span in recorded.spans if span.name == "publish ocpp.calls")
    assert (lost.error, taken.error) == ("connection_lost", None)
    assert (first.headers, again.headers) == (lost.headers, taken.headers)
    assert lost.parent == taken.parent == recorded.one("Call StatusNotification").context


async def test_billing_data_that_outlives_its_session_ends_its_trace_with_it(recorded):
    async with await plug_in(recorded.gateway) as station:
        await say(station, 2, "1", "MeterValues", {"connectorId": 1, "meterValue": []})
        message = await recorded.published()
    await until(lambda: "Call MeterValues" in recorded.names())
    assert recorded.one("Call MeterValues").attributes["ocpp.outcome"] == "closed"
    recorded.link.confirm(message)
    assert recorded.one("publish ocpp.calls").error is None


async def test_a_send_ends_with_the_brokers_confirm(recorded):
    async with await plug_in(recorded.gateway, subprotocol="ocpp2.1") as station:
        payload = {"id": 1, "pending": 0, "basetime": "2026-01-01T00:00:00Z", "data": [{"t": 0, "v": "1"}]}
        await say(station, 6, "1", "NotifyPeriodicEventStream", payload)
        message = await recorded.published()
        recorded.link.confirm(message)
        assert recorded.one("publish ocpp.calls").parent == recorded.one("Call NotifyPeriodicEventStream").context


async def test_a_handshake_is_recorded_with_how_it_ended(recorded):
    async with await plug_in(recorded.gateway):
        pass
    _, writer = await raw(recorded.gateway, upgrade_request("/nowhere/CP-1"))
    await until(lambda: len(recorded.spans) == 2)
    writer.transport.abort()
    accepted, refused = recorded.spans
    assert (accepted.name, accepted.link, accepted.attributes["ocpp.identity"]) == ("connect", None, "CP-1")
    assert (refused.name, refused.attributes["ocpp.outcome"]) == ("connect", "bad_path")
    assert accepted.trace != refused.trace


async def command(world: World, context: TraceContext | None, identity: str = "CP-1") -> None:
    envelope = CommandEnvelope("c-1", identity, "Reset", b'{"type":"Soft"}', int(time.time() * 1000) + 5000)
    asked = delivery(envelope.encode(), correlation_id="c-1", exchange=GATEWAYS, reply_to="asker")
    asked.raw_headers = b"" if context is None else encode_headers(context.headers)
    world.link.listener.delivered(asked)


def outcome(world: World) -> Published:
    (told,) = (message for message in world.link.published if message.key == "asker")
    return told


async def test_a_commands_outcome_carries_the_trace_on(recorded):
    async with await plug_in(recorded.gateway) as station:
        await command(recorded, SENT)
        assert (await hear(station))[:2] == [2, "c-1"]
        await say(station, 3, "c-1", {"status": "Accepted"})
        await until(lambda: "command Reset" in recorded.names())
        told = outcome(recorded)
        recorded.link.confirm(told)
    span, asked, publish = (recorded.one(name) for name in ("command Reset", "charge point", "publish outcome"))
    assert (span.parent, asked.parent, publish.parent) == (SENT, span.context, span.context)
    assert told.headers == publish.headers
    assert (span.attributes["ocpp.outcome"], asked.error) == ("result", None)
    assert span.start_ns <= asked.start_ns <= asked.end_ns <= publish.end_ns


async def test_a_command_that_is_asked_for_again_shows_both_times(recorded):
    async with await plug_in(recorded.gateway) as station:
        await command(recorded, SENT)
        assert (await hear(station))[:2] == [2, "c-1"]
        await command(recorded, TraceContext(5, 9, sampled=True, remote=True))
        await say(station, 3, "c-1", {"status": "Accepted"})
        await until(lambda: recorded.names().count("command Reset") == 2)
    first, second = (span for span in recorded.spans if span.name == "command Reset")
    assert (first.parent, first.error) == (SENT, "asked_again")
    assert (second.error, second.attributes["ocpp.outcome"]) == (None, "result")
    assert recorded.one("charge point").parent == second.context


async def test_a_charge_point_that_does_not_answer_shows_in_the_command(recorded):
    async with await plug_in(recorded.gateway):
        await command(recorded, SENT)
        await until(lambda: "command Reset" in recorded.names())
    assert recorded.one("charge point").error == "unanswered"
    assert OutcomeEnvelope.decode(outcome(recorded).body).kind is OutcomeKind.TIMEOUT


async def test_a_command_for_nobody_here_is_told_with_its_trace(recorded):
    await command(recorded, SENT, "nobody")
    assert recorded.one("command Reset").attributes["ocpp.outcome"] == "offline"
    assert outcome(recorded).headers is not None


@pytest.mark.parametrize("context", [None, TraceContext(5, 7, sampled=False)])
async def test_a_command_whose_trace_nobody_records_is_not_recorded_here(recorded, context):
    await command(recorded, context, "nobody")
    assert (recorded.spans, outcome(recorded).headers) == ([], None)
