"""The client of backend services against the real broker: every call has one outcome, whatever breaks."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import aio_pika
import pytest
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

from contracts import topology
from contracts.bodies import ContentType
from contracts.broker.declare import declare
from contracts.client import CommandClient, commands
from contracts.commands import CommandOutcome, CommandReceipt, Reason, TrackedState
from contracts.envelope import OutcomeKind
from contracts.errors import BodyError, LinkDownError, NoAnswerError, RefusedError
from contracts.operator import Operation, OperatorAnswer
from contracts.topology import TOPOLOGY
from tests.support.commands_service import ScriptedService, as_told, outcome, scripted_service
from tests.support.proxy import CuttingProxy


@pytest.fixture
async def service(amqp_url: str) -> AsyncIterator[ScriptedService]:
    async with scripted_service(amqp_url) as service:
        yield service


@pytest.mark.parametrize("content_type", list(ContentType))
async def test_a_call_ends_with_the_charge_points_answer(
    amqp_url: str, service: ScriptedService, content_type: ContentType
) -> None:
    async with CommandClient(amqp_url, content_type=content_type) as client:
        ended = await client.call("CP-1", "Reset", {"type": "Soft"}, timeout_s=30)
    assert (ended.ok, ended.payload, ended.identity) == (True, {"status": "Accepted"}, "CP-1")
    ((identity, request),) = service.commands
    (message,) = service.messages
    assert (identity, request.action, request.payload) == ("CP-1", "Reset", {"type": "Soft"})
    assert (message.type, message.message_id) == ("command", request.command_id)
    assert message.content_type == content_type


async def test_a_command_names_the_trace_that_it_belongs_to(amqp_url: str, service: ScriptedService) -> None:
    given, around = (f"00-{digit * 32}-{'7' * 16}-01" for digit in "12")
    context = SpanContext(int("2" * 32, 16), int("7" * 16, 16), is_remote=False, trace_flags=TraceFlags(1))
    async with CommandClient(amqp_url) as client:
        await client.call("CP-1", "Reset", {"type": "Soft"})
        await client.call("CP-1", "Reset", {"type": "Soft"}, traceparent=given)
        with use_span(NonRecordingSpan(context)):
            await client.call("CP-1", "Reset", {"type": "Soft"})
            await client.track("CP-1", "Reset", {"type": "Soft"})
            await client.call("CP-1", "Reset", {"type": "Soft"}, traceparent="none " * 100_000)
    traces = [message.headers.get("traceparent") for message in service.messages]
    assert traces == [None, given, around, around, None]


async def test_a_hundred_calls_at_once_each_get_their_own_outcome(amqp_url: str, service: ScriptedService) -> None:
    service.script = lambda identity, request: [outcome(identity, request, payload={"echo": request.payload["n"]})]
    async with CommandClient(amqp_url, most_calls=7) as client:
        calls = (client.call(f"CP-{n % 9}", "DataTransfer", {"n": n}) for n in range(100))
        ended = await asyncio.gather(*calls)
    assert [one.payload for one in ended] == [{"echo": n} for n in range(100)]


async def test_second_and_late_outcomes_are_dropped(amqp_url: str, service: ScriptedService) -> None:
    service.script = lambda identity, request: [
        outcome(identity, request),
        outcome(identity, request, OutcomeKind.UNKNOWN),
    ]
    async with CommandClient(amqp_url) as client:
        assert (await client.call("CP-1", "Reset")).ok
        assert (await client.call("CP-1", "ClearCache")).ok
        assert client.dropped >= 1


async def test_a_connection_that_breaks_in_mid_call_ends_it_as_unknown_and_the_next_call_works(
    amqp_url: str, service: ScriptedService
) -> None:
    service.script = lambda *_: []
    async with CuttingProxy.before(amqp_url) as proxy, CommandClient(proxy.url(amqp_url)) as client:
        call = asyncio.create_task(client.call("CP-1", "Reset"))
        await service.until(lambda: len(service.commands) == 1)
        proxy.cut()
        ended = await call
        assert (ended.outcome, ended.reason) == (OutcomeKind.UNKNOWN, Reason.CONNECTION_LOST)
        service.script = as_told
        assert (await client.call("CP-1", "Reset")).ok


async def test_a_service_that_says_nothing_leaves_the_outcome_unknown(
    amqp_url: str, service: ScriptedService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "GRACE_S", 0.2)
    service.script = lambda *_: []
    async with CommandClient(amqp_url) as client:
        ended = await client.call("CP-1", "Reset", timeout_s=0.2)
    assert (ended.outcome, ended.reason) == (OutcomeKind.UNKNOWN, Reason.NO_OUTCOME)


async def test_a_call_that_gets_no_turn_in_time_was_not_sent(amqp_url: str, service: ScriptedService) -> None:
    service.script = lambda *_: []
    async with CommandClient(amqp_url, most_calls=1) as client:
        first = asyncio.create_task(client.call("CP-1", "Reset"))
        await service.until(lambda: len(service.commands) == 1)
        assert (await client.call("CP-1", "Reset", timeout_s=0.1)).outcome is OutcomeKind.EXPIRED
        assert len(service.commands) == 1
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


async def test_an_exchange_without_queues_sends_the_command_back(amqp_url: str) -> None:
    await declare(amqp_url, topology.Topology(exchanges=TOPOLOGY.exchanges, queues=(), bindings=(), policies=()))
    async with CommandClient(amqp_url) as client:
        ended = await client.call("CP-1", "Reset")
        assert (ended.outcome, ended.reason) == (OutcomeKind.REJECTED, Reason.UNROUTABLE)
        with pytest.raises(NoAnswerError, match="cannot be reached"):
            await client.ask(Operation.SESSIONS)


async def test_closing_ends_what_waits_and_nothing_works_afterwards(amqp_url: str, service: ScriptedService) -> None:
    service.script = lambda *_: []
    async with CommandClient(amqp_url) as client:
        call = asyncio.create_task(client.call("CP-1", "Reset"))
        await service.until(lambda: len(service.commands) == 1)
    assert (await call).reason == Reason.CONNECTION_LOST
    with pytest.raises(LinkDownError, match="closed"):
        await client.call("CP-1", "Reset")


@pytest.mark.parametrize(
    ("identity", "action", "command_id"),
    [("", "Reset", None), ("x" * 256, "Reset", None), ("CP-1", "", None), ("CP-1", "Reset", "no spaces please")],
)
async def test_what_is_no_request_is_refused_before_anything_is_sent(
    amqp_url: str, service: ScriptedService, identity: str, action: str, command_id: str | None
) -> None:
    async with CommandClient(amqp_url) as client:
        with pytest.raises(BodyError):
            await client.call(identity, action, command_id=command_id)
    assert service.commands == []


async def test_tracking_gives_a_receipt(amqp_url: str, service: ScriptedService) -> None:
    async with CommandClient(amqp_url) as client:
        receipt = await client.track("CP-1", "ClearCache", deadline=timedelta(hours=2), command_id="c-1")
    assert isinstance(receipt, CommandReceipt)
    assert (receipt.command_id, receipt.state) == ("c-1", TrackedState.HELD)
    assert service.commands[0][1].tracked


async def test_what_cannot_be_tracked_is_an_outcome(amqp_url: str, service: ScriptedService) -> None:
    service.script = lambda identity, request: [
        outcome(identity, request, OutcomeKind.REJECTED, reason=Reason.UNKNOWN_ACTION)
    ]
    async with CommandClient(amqp_url) as client:
        ended = await client.track("CP-1", "Fly")
    assert isinstance(ended, CommandOutcome)
    assert ended.reason == Reason.UNKNOWN_ACTION


async def test_tracking_is_asked_again_with_the_same_id_after_a_broken_connection(
    amqp_url: str, service: ScriptedService
) -> None:
    service.script = lambda *_: []
    async with CuttingProxy.before(amqp_url) as proxy, CommandClient(proxy.url(amqp_url)) as client:
        tracking = asyncio.create_task(client.track("CP-1", "ClearCache"))
        await service.until(lambda: len(service.commands) == 1)
        service.script = as_told
        proxy.cut()
        assert isinstance(await tracking, CommandReceipt)
    assert len({request.command_id for _, request in service.commands}) == 1


async def test_nobody_who_says_whether_it_is_stored_is_an_error(amqp_url: str, service: ScriptedService) -> None:
    service.script = lambda *_: []
    async with CommandClient(amqp_url) as client:
        with pytest.raises(NoAnswerError, match="command c-1"):
            await client.track("CP-1", "ClearCache", command_id="c-1", timeout_s=0.3)


async def test_the_outcome_of_a_tracked_command_is_none_until_it_has_ended(
    amqp_url: str, service: ScriptedService
) -> None:
    items = [
        {"command_id": "c-1", "state": "under_way", "result": None},
        {"command_id": "c-1", "state": "ended", "result": {"command_id": "c-1", "identity": "CP", "outcome": "result"}},
    ]
    service.answers = lambda _: OperatorAnswer(ok=True, items=[items.pop(0)])
    async with CommandClient(amqp_url) as client:
        assert await client.outcome("c-1") is None
        ended = await client.outcome("c-1")
        assert ended is not None
        assert ended.ok
    assert [request.arguments for request in service.requests] == [{"command_id": "c-1"}] * 2


async def test_an_operators_request_is_not_done_once_nobody_waits_for_it(amqp_url: str) -> None:
    await declare(amqp_url, TOPOLOGY)
    async with CommandClient(amqp_url) as client:
        with pytest.raises(NoAnswerError):
            await client.ask(Operation.BLOCK_TOKEN, {"id_token": "A"}, timeout_s=0.2)
    async with scripted_service(amqp_url) as service, CommandClient(amqp_url) as client:
        await client.ask(Operation.TOKENS)
        assert [request.operation for request in service.requests] == [Operation.TOKENS]


async def test_a_command_that_is_not_on_record_has_no_outcome(amqp_url: str, service: ScriptedService) -> None:
    async with CommandClient(amqp_url) as client:
        with pytest.raises(RefusedError) as refused:
            await client.outcome("c-1")
    assert refused.value.error == "not_found"


async def test_answers_that_cannot_be_read_are_errors_in_words(amqp_url: str, service: ScriptedService) -> None:
    service.script = lambda *_: []
    async with CommandClient(amqp_url) as client, await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        call = asyncio.create_task(client.call("CP-1", "Reset"))
        await service.until(lambda: len(service.messages) == 1)
        message = service.messages[0]
        garbage = aio_pika.Message(b"\xff", correlation_id=message.correlation_id)
        await channel.default_exchange.publish(garbage, message.reply_to or "")
        with pytest.raises(BodyError):
            await call


async def test_a_broker_that_cannot_be_reached_is_an_error_that_says_why() -> None:
    client = CommandClient("amqp://guest:secret@127.0.0.1:1/", connect_timeout_s=0.3)
    with pytest.raises(LinkDownError, match="Connect call failed") as error:
        async with client:
            pass
    assert "secret" not in str(error.value)


async def test_wrong_credentials_are_an_error_at_once(amqp_url: str) -> None:
    host = amqp_url.rpartition("@")[2]
    client = CommandClient(f"amqp://nobody:secret@{host}", connect_timeout_s=30)
    with pytest.raises(LinkDownError, match="ACCESS_REFUSED") as error:
        async with client:
            pass
    assert "secret" not in str(error.value)


async def test_a_call_while_the_broker_is_away_was_not_sent_and_says_so(
    amqp_url: str, service: ScriptedService
) -> None:
    async with CuttingProxy.before(amqp_url) as proxy, CommandClient(proxy.url(amqp_url)) as client:
        service.script = lambda *_: []
        call = asyncio.create_task(client.call("CP-1", "Reset"))
        await service.until(lambda: len(service.commands) == 1)
        service.script = as_told
        proxy.refuse(refusing=True)
        proxy.cut()
        assert (await call).reason == Reason.CONNECTION_LOST
        with pytest.raises(LinkDownError):
            await client.call("CP-1", "Reset", timeout_s=0.3)
        assert len(service.commands) == 1
        proxy.refuse(refusing=False)
        assert (await client.call("CP-1", "Reset", timeout_s=30)).ok
