"""Direct commands through a real broker: from the backend's publish to its one outcome."""

import asyncio
import time
from contextlib import asynccontextmanager
from typing import Any

import pytest

from contracts.bodies import ContentType
from contracts.commands import CommandOutcome, Reason
from contracts.envelope import OutcomeKind
from contracts.versions import Version
from tests.support.calling import until
from tests.support.commanding import command_caller_on, commands_service, desk_of
from tests.support.scripted_gateway import gateway_on
from workers.commands import dispatching


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr("workers.commands.directory.LEAST_WAIT_S", 0.3)
    monkeypatch.setattr("workers.commands.desk.TICK_S", 0.05)
    monkeypatch.setattr(dispatching, "PATIENCE_MS", 300)


@asynccontextmanager
async def world(amqp_url, database_url, *identities: str, **settings) -> Any:
    async with (
        gateway_on(amqp_url, *(identities or ("CP-1",))) as gateway,
        commands_service(amqp_url, database_url, **settings) as application,
        command_caller_on(amqp_url) as caller,
    ):
        yield gateway, caller, application


def far_ms() -> int:
    return int((time.time() + 60) * 1000)


def ending(outcome: CommandOutcome) -> tuple[OutcomeKind, str | None]:
    return outcome.outcome, outcome.reason


@pytest.mark.parametrize("content_type", ContentType)
async def test_a_command_reaches_its_charge_point_and_its_answer_the_backend(
    amqp_url, sqlite_database_url, content_type
):
    async with world(amqp_url, sqlite_database_url) as (gateway, caller, _):
        outcome = await caller.command("CP-1", content_type=content_type, command_id="c-1")
        assert ending(outcome) == (OutcomeKind.RESULT, None)
        assert (outcome.payload, outcome.gateway, outcome.attempts) == ({"status": "Accepted"}, "gw-1", 1)
        assert outcome.queued_ms <= outcome.dispatched_ms <= outcome.sent_ms <= outcome.answered_ms
        (delivery,) = caller.deliveries
        assert (delivery.type, delivery.message_id, delivery.content_type) == ("outcome", "c-1", content_type)
        (command,) = gateway.commands
        assert (command.command_id, command.action, command.payload) == ("c-1", "Reset", b'{"type":"Soft"}')
        assert (command.session, command.again) == (gateway.sessions["CP-1"].session, False)


async def test_commands_of_one_charge_point_are_dispatched_in_the_order_of_arrival(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url) as (gateway, caller, _):
        asked = [caller.ask("CP-1", command_id=f"c-{number}") for number in range(200)]
        for one in asked:
            assert (await caller.outcome(one)).ok
        assert [command.command_id for command in gateway.commands] == [f"c-{number}" for number in range(200)]


@pytest.mark.parametrize(
    ("kind", "code", "reason"),
    [
        (OutcomeKind.CALL_ERROR, "NotSupported", Reason.CALL_ERROR),
        (OutcomeKind.REJECTED, "queue_full", Reason.QUEUE_FULL),
        (OutcomeKind.EXPIRED, "deadline", Reason.DEADLINE),
        (OutcomeKind.TIMEOUT, "no_answer", Reason.NO_ANSWER),
        (OutcomeKind.UNKNOWN, "session_closed", Reason.SESSION_CLOSED),
        (OutcomeKind.OFFLINE, "draining", Reason.DRAINING),
    ],
)
async def test_what_the_gateway_says_is_what_the_backend_hears(amqp_url, sqlite_database_url, kind, code, reason):
    async with world(amqp_url, sqlite_database_url) as (gateway, caller, _):
        gateway.script = lambda command: gateway.outcome(command, kind, code, details=b'{"a":1}')
        outcome = await caller.command("CP-1")
        assert ending(outcome) == (kind, reason)
        failed = kind is OutcomeKind.CALL_ERROR
        assert (outcome.error_code, outcome.error_details) == (("NotSupported", {"a": 1}) if failed else (None, None))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"command_id": "x" * 37}, Reason.BAD_COMMAND_ID),
        ({"command_id": 5}, Reason.BAD_COMMAND_ID),
        ({"action": "Dance"}, Reason.UNKNOWN_ACTION),
        ({"action": "Heartbeat"}, Reason.UNKNOWN_ACTION),
        (
            {"action": "GetBaseReport", "payload": {"requestId": 1, "reportBase": "FullInventory"}},
            Reason.UNKNOWN_ACTION,
        ),
        ({"payload": {"type": "Medium"}}, Reason.BAD_PAYLOAD),
        ({"payload": []}, Reason.BAD_REQUEST),
        ({"surplus": 1}, Reason.BAD_REQUEST),
        ({"deadline_ms": "soon"}, Reason.BAD_REQUEST),
        ({"within_s": 700}, Reason.DEADLINE_TOO_FAR),
    ],
)
async def test_what_cannot_be_sent_is_rejected_before_any_gateway_sees_it(
    amqp_url, sqlite_database_url, change, reason
):
    async with world(amqp_url, sqlite_database_url) as (gateway, caller, _):
        assert ending(await caller.command("CP-1", **change)) == (OutcomeKind.REJECTED, reason)
        assert not gateway.commands
        assert (await caller.command("CP-1")).ok


async def test_what_cannot_be_read_is_rejected_in_json(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url) as (_, caller, _):
        asked = caller.ask_raw("CP-1", b"\xc1", content_type="text/plain", message_id="m-1")
        outcome = await caller.outcome(asked)
        assert (*ending(outcome), outcome.command_id) == (OutcomeKind.REJECTED, Reason.BAD_REQUEST, "m-1")
        assert ending(await caller.outcome(caller.ask_raw("", b"{}"))) == (OutcomeKind.REJECTED, Reason.BAD_IDENTITY)


async def test_a_command_that_comes_too_late_has_expired(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url) as (gateway, caller, _):
        assert ending(await caller.command("CP-1", within_s=-1)) == (OutcomeKind.EXPIRED, Reason.DEADLINE)
        assert not gateway.commands


async def test_who_is_not_connected_is_offline(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url) as (gateway, caller, _):
        assert ending(await caller.command("CP-2")) == (OutcomeKind.OFFLINE, Reason.NOT_CONNECTED)
        assert ending(await caller.command("CP-1", session="old")) == (OutcomeKind.OFFLINE, Reason.SESSION_GONE)
        gateway.disconnect("CP-1")
        gateway.connect("CP-3")
        assert (await caller.command("CP-3")).ok
        assert ending(await caller.command("CP-1")) == (OutcomeKind.OFFLINE, Reason.NOT_CONNECTED)


async def test_a_gateway_that_says_not_here_corrects_the_directory(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url) as (gateway, caller, application):
        gateway.disconnect("CP-1", tell=False)
        assert ending(await caller.command("CP-1")) == (OutcomeKind.OFFLINE, Reason.NOT_CONNECTED)
        assert desk_of(application).place("CP-1") is None


async def test_a_command_that_missed_goes_to_the_newer_session(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url) as (gateway, caller, _):

        def moved(command) -> Any:
            gateway.script = gateway.accept
            gateway.connect("CP-1")  # announced before the answer, as gateways do
            return gateway.outcome(command, OutcomeKind.OFFLINE, "session_gone")

        gateway.script = moved
        outcome = await caller.command("CP-1")
        assert (outcome.ok, outcome.attempts) == (True, 2)


async def test_a_gateway_that_says_nothing_leaves_the_command_unknown_soon_after_its_deadline(
    amqp_url, sqlite_database_url
):
    async with world(amqp_url, sqlite_database_url) as (gateway, caller, _):
        gateway.script = gateway.silent
        outcome = await caller.command("CP-1", within_s=0.3)
        assert (*ending(outcome), outcome.gateway) == (OutcomeKind.UNKNOWN, Reason.NO_OUTCOME, "gw-1")


async def test_a_gateway_without_a_queue_makes_its_charge_points_offline(amqp_url, sqlite_database_url):
    async with commands_service(amqp_url, sqlite_database_url), command_caller_on(amqp_url) as caller:
        async with gateway_on(amqp_url, "CP-1", "CP-2", heartbeat_s=60):
            assert (await caller.command("CP-1")).ok
        assert ending(await caller.command("CP-1")) == (OutcomeKind.OFFLINE, Reason.GATEWAY_LOST)
        assert ending(await caller.command("CP-2")) == (OutcomeKind.OFFLINE, Reason.NOT_CONNECTED)


async def test_a_gateway_that_falls_silent_is_lost_with_what_was_sent_to_it(amqp_url, sqlite_database_url, monkeypatch):
    monkeypatch.setattr("workers.commands.directory.SILENCE_MARGIN_S", 0.2)
    async with commands_service(amqp_url, sqlite_database_url), command_caller_on(amqp_url) as caller:
        async with gateway_on(amqp_url, "CP-1", heartbeat_s=0.1) as gateway:
            gateway.script = gateway.silent
            asked = caller.ask("CP-1")
            await gateway.commanded()
        assert ending(await caller.outcome(asked)) == (OutcomeKind.UNKNOWN, Reason.GATEWAY_LOST)


async def test_a_gateway_that_is_heard_again_is_asked_what_it_holds(amqp_url, sqlite_database_url, monkeypatch):
    monkeypatch.setattr("workers.commands.desk.ASK_AGAIN_S", 0.1)
    monkeypatch.setattr("workers.commands.directory.SILENCE_MARGIN_S", 0.2)
    async with world(amqp_url, sqlite_database_url) as (_, caller, application):
        desk = desk_of(application)
        desk._carry_out(desk._dispatching.gateway_lost("gw-1"))
        assert desk.place("CP-1") is None
        await until(lambda: desk.place("CP-1"))
        assert (await caller.command("CP-1")).ok


async def test_a_gateway_that_leaves_takes_its_sessions_along(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url) as (gateway, caller, _):
        gateway.script = gateway.silent
        asked = caller.ask("CP-1")
        await gateway.commanded()
        gateway.leave()
        assert ending(await caller.outcome(asked)) == (OutcomeKind.UNKNOWN, Reason.GATEWAY_LOST)
        assert ending(await caller.command("CP-1")) == (OutcomeKind.OFFLINE, Reason.NOT_CONNECTED)


async def test_while_gateways_are_asked_the_unknown_wait_and_nobody_is_called_offline(
    amqp_url, sqlite_database_url, monkeypatch
):
    monkeypatch.setattr("workers.commands.directory.LEAST_WAIT_S", 60.0)  # until the test says so
    monkeypatch.setattr("workers.commands.directory.MOST_WAIT_S", 60.0)
    async with gateway_on(amqp_url) as gateway, command_caller_on(amqp_url) as caller:
        gateway.answers_snapshots = False
        async with commands_service(amqp_url, sqlite_database_url, complete=False) as application:
            asked = [caller.ask("CP-1", command_id=f"c-{number}") for number in range(3)]
            late, other = caller.ask("CP-2", within_s=1.5), caller.ask("CP-2")
            await until(lambda: len(desk_of(application)._dispatching) == 5)
            assert "directory" in application.monitor.unready()
            assert ending(await caller.outcome(late)) == (OutcomeKind.EXPIRED, Reason.DEADLINE)
            gateway.connect("CP-1")
            for one in asked:
                assert (await caller.outcome(one)).ok
            assert [command.command_id for command in gateway.commands] == ["c-0", "c-1", "c-2"]
            monkeypatch.setattr("workers.commands.directory.MOST_WAIT_S", 0.0)
            monkeypatch.setattr("workers.commands.directory.LEAST_WAIT_S", 0.0)
            assert ending(await caller.outcome(other)) == (OutcomeKind.OFFLINE, Reason.NOT_CONNECTED)
            assert "directory" not in application.monitor.unready()


async def test_a_directory_starts_from_what_gateways_hold(amqp_url, sqlite_database_url):
    identities = [f"CP-{number}" for number in range(50)]
    async with (
        gateway_on(amqp_url, *identities[:25], name="gw-1"),
        gateway_on(amqp_url, *identities[25:], name="gw-2"),
        commands_service(amqp_url, sqlite_database_url) as application,
        command_caller_on(amqp_url) as caller,
    ):
        assert len(desk_of(application)._directory) == 50
        outcomes = await asyncio.gather(*(caller.command(identity) for identity in identities))
        assert {outcome.gateway for outcome in outcomes} == {"gw-1", "gw-2"}


async def test_the_same_command_twice_is_dispatched_once_and_answered_twice(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url) as (gateway, caller, _):
        gateway.script = gateway.silent
        asked = [caller.ask("CP-1", command_id="c-1") for _ in range(2)]
        other = caller.ask("CP-1", "ClearCache", {}, command_id="c-1")
        assert ending(await caller.outcome(other)) == (OutcomeKind.REJECTED, Reason.COMMAND_ID_REUSED)
        assert len(gateway.commands) == 1
        gateway.answer_open()
        assert [(await caller.outcome(one)).ok for one in asked] == [True, True]


async def test_a_command_without_a_reply_address_still_runs(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url) as (gateway, caller, application):
        caller.ask_raw("CP-1", b'{"command_id":"c-1","action":"ClearCache","deadline_ms":%d}' % far_ms(), reply_to="")
        await gateway.commanded()
        await until(lambda: not len(desk_of(application)._dispatching))


async def test_an_address_that_nobody_reads_keeps_nobody_waiting(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url, commands_prefetch=1) as (gateway, caller, _):
        body = b'{"command_id":"%s","action":"ClearCache","deadline_ms":%d}'
        for number, address in enumerate(("gone", "amq.rabbitmq.reply-to.gone", "ü" * 127, "x" * 255)):
            caller.ask_raw("CP-1", body % (b"c-%d" % number, far_ms()), reply_to=address)
        assert (await caller.command("CP-1")).ok
        assert len(gateway.commands) == 5


async def test_the_prefetch_bounds_what_is_outstanding(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url, commands_prefetch=3) as (gateway, caller, application):
        gateway.script = gateway.silent
        asked = [caller.ask("CP-1") for _ in range(10)]
        await gateway.commanded(3)
        assert (await caller.link.settled(), len(desk_of(application)._dispatching)) == (None, 3)
        gateway.script = gateway.accept
        gateway.answer_open()
        for one in asked:
            assert (await caller.outcome(one)).ok


async def test_a_wake_without_tracked_commands_is_taken_and_forgotten(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url, commands_prefetch=1) as (_, caller, _):
        caller.ask_raw("CP-1", b"", type="wake")
        assert (await caller.command("CP-1")).ok


async def test_a_2x_charge_point_is_held_to_its_own_schemas(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url) as (gateway, caller, _):
        gateway.connect("CP-2", version=Version.V201)
        assert (await caller.command("CP-2", "Reset", {"type": "Immediate"})).ok
        assert ending(await caller.command("CP-2")) == (OutcomeKind.REJECTED, Reason.BAD_PAYLOAD)
