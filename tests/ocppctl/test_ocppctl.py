"""`ocppctl` as scripts and people meet it: exit codes, JSON, tables, and clean ends."""

import asyncio
import signal
import time
from typing import Any

import aio_pika
import orjson
import pytest

from contracts import topology
from contracts.broker.declare import declare
from contracts.commands import Reason
from contracts.envelope import OutcomeKind
from contracts.events import event_key
from contracts.frame_log import Direction, LoggedFrame, encode_frames
from contracts.operator import Operation, OperatorAnswer
from contracts.topology import TOPOLOGY
from tests.client.test_events import an_event
from tests.ocppctl.conftest import Ctl
from tests.support.commands_service import ScriptedService, outcome

pytestmark = pytest.mark.system


async def test_send_prints_the_outcome_as_one_document(ctl: Ctl, service: ScriptedService) -> None:
    ran = await ctl("send", "CP-1", "Reset", '{"type": "Soft"}', "--json", "--id", "c-1")
    assert (ran.code, ran.json["outcome"], ran.json["payload"]) == (0, "result", {"status": "Accepted"})
    assert [(identity, request.payload, request.command_id) for identity, request in service.commands] == [
        ("CP-1", {"type": "Soft"}, "c-1")
    ]


@pytest.mark.parametrize(
    ("kind", "more", "code"),
    [
        (OutcomeKind.RESULT, {"payload": {"status": "Rejected"}}, 0),
        (OutcomeKind.REJECTED, {"reason": Reason.UNKNOWN_ACTION}, 3),
        (OutcomeKind.CALL_ERROR, {"error_code": "NotSupported"}, 4),
        (OutcomeKind.OFFLINE, {"reason": Reason.NOT_CONNECTED}, 4),
    ],
)
async def test_the_exit_code_tells_how_a_command_ended(
    ctl: Ctl, service: ScriptedService, kind: OutcomeKind, more: dict[str, Any], code: int
) -> None:
    service.script = lambda identity, request: [outcome(identity, request, kind, **more)]
    ran = await ctl("send", "CP-1", "Reset")
    assert (ran.code, kind.value in ran.out) == (code, True)


async def test_a_payload_may_come_from_standard_input(ctl: Ctl, service: ScriptedService) -> None:
    assert (await ctl("send", "CP-1", "Reset", "-", stdin=b'{"type":"Hard"}')).code == 0
    assert service.commands[0][1].payload == {"type": "Hard"}


async def test_text_of_a_charge_point_cannot_steer_the_terminal(ctl: Ctl, service: ScriptedService) -> None:
    evil = "\x1b[2J\x1b]0;x\x07[bold]\nnext"
    service.script = lambda identity, request: [outcome(identity, request, payload={"status": evil}, description=evil)]
    ran = await ctl("send", "CP-1", "Reset")
    assert "\x1b" not in ran.out
    assert "[bold]" in ran.out


async def test_neither_does_it_as_json(ctl: Ctl, service: ScriptedService) -> None:
    evil = "\x1b[2J \x9b2J \x9d0;x\x9c \x7f \u202e é"
    service.script = lambda identity, request: [outcome(identity, request, payload={"status": evil})]
    ran = await ctl("send", "CP-1", "Reset", "--json")
    assert ran.json["payload"]["status"] == evil
    assert [char for char in ran.out if not char.isprintable() and char != "\n"] == []


async def test_track_prints_the_receipt_and_a_refusal_is_3(ctl: Ctl, service: ScriptedService) -> None:
    ran = await ctl("track", "CP-1", "ClearCache", "--deadline", "2h", "--json")
    assert (ran.code, ran.json["state"]) == (0, "held")
    service.script = lambda identity, request: [outcome(identity, request, OutcomeKind.REJECTED, reason="queue_full")]
    assert (await ctl("track", "CP-1", "ClearCache", "--deadline", "2h")).code == 3


@pytest.mark.parametrize(
    ("arguments", "operation", "asked"),
    [
        (["sessions", "--gateway", "g1"], Operation.SESSIONS, {"gateway": "g1"}),
        (["commands", "--identity", "CP", "--open", "--limit", "5"], Operation.COMMANDS,
         {"identity": "CP", "open": True, "limit": 5}),
        (["command", "c-1"], Operation.COMMAND, {"command_id": "c-1"}),
        (["charge-point", "show", "CP"], Operation.CHARGE_POINT, {"identity": "CP"}),
        (["charge-point", "add", "CP", "--registration", "pending"], Operation.ADD_CHARGE_POINT,
         {"identity": "CP", "registration": "pending"}),
        (["charge-point", "block", "CP"], Operation.BLOCK_CHARGE_POINT, {"identity": "CP"}),
        (["token", "list"], Operation.TOKENS, {}),
        (["token", "add", "T", "--expires-at", "2030-01-01T00:00Z", "--group", "G", "--concurrent"],
         Operation.ADD_TOKEN,
         {"id_token": "T", "expires_at": "2030-01-01T00:00:00+00:00", "group": "G", "concurrent": True}),
        (["token", "block", "T"], Operation.BLOCK_TOKEN, {"id_token": "T"}),
        (["transactions", "--active"], Operation.TRANSACTIONS, {"active": True}),
        (["meter-key", "list", "CP"], Operation.METER_KEYS, {"identity": "CP"}),
        (["meter-key", "add", "CP", "--key", "04ab", "--serial", "M-1"], Operation.ADD_METER_KEY,
         {"identity": "CP", "public_key": "04ab", "meter_serial": "M-1"}),
        (["meter-key", "remove", "CP", "--fingerprint", "ab"], Operation.ADD_METER_KEY,
         {"identity": "CP", "remove": "ab"}),
    ],
)  # fmt: skip
async def test_every_operation_is_asked_as_the_contract_names_it(
    ctl: Ctl, service: ScriptedService, arguments: list[str], operation: Operation, asked: dict[str, Any]
) -> None:
    item = {"identity": "CP-[7]", "id_token": "T-[7]", "command_id": "C-[7]", "id": "7", "fingerprint": "7"}
    service.answers = lambda _: OperatorAnswer(ok=True, items=[item])
    ran = await ctl(*arguments)
    assert ran.code == 0, ran.err
    assert "7" in ran.out
    assert [(request.operation, request.arguments) for request in service.requests] == [(operation, asked)]
    document = (await ctl("--json", *arguments)).json
    assert document in (item, [item])


@pytest.mark.parametrize(("error", "code"), [("not_found", 3), ("bad_request", 3), ("unavailable", 1)])
async def test_refusals_say_why_on_standard_error(ctl: Ctl, service: ScriptedService, error: str, code: int) -> None:
    service.answers = lambda _: OperatorAnswer(ok=False, error=error, description="so it is")
    ran = await ctl("command", "c-1", "--json")
    assert (ran.code, ran.out, ran.err) == (code, "", f"ocppctl: {error}: so it is\n")


async def test_a_service_that_is_not_there_is_1(ctl: Ctl, amqp_url: str) -> None:
    await declare(amqp_url, TOPOLOGY)
    ran = await ctl("sessions", "--timeout", "0.5")
    assert (ran.code, ran.out) == (1, "")
    assert "did not answer" in ran.err


@pytest.mark.parametrize("arguments", [["sessions"], ["dead-letters", "list"], ["events"], ["send", "CP", "Reset"]])
async def test_a_broker_that_is_not_there_is_1_and_no_password_is_shown(arguments: list[str]) -> None:
    ran = await Ctl("amqp://guest:SECRET@127.0.0.1:1/")(*arguments, "--timeout", "0.5")
    assert (ran.code, ran.out) == (1, "")
    assert "broker" in ran.err
    assert "SECRET" not in ran.err


async def test_tail_shows_the_conversation(ctl: Ctl, service: ScriptedService, amqp_url: str) -> None:
    now_ms = int(time.time() * 1000)
    frames = [
        LoggedFrame(now_ms, "CP-1", "s1", Direction.IN, b'[2,"1","Heartbeat",{}]'),
        LoggedFrame(now_ms, "CP-2", "s2", Direction.IN, b'[2,"1","BootNotification",{}]'),
        LoggedFrame(now_ms, "CP-1", "s1", Direction.OUT, b'[3,"1",{"a":"\\u001b[2J"}]'),
    ]
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        await channel.default_exchange.publish(aio_pika.Message(encode_frames("gw", frames)), topology.FRAMES)
        ran = await ctl("tail", "CP-1", "--since", "1h", "--no-follow")
        assert ran.code == 0, ran.err
        first, second = ran.out.splitlines()
        assert first.endswith("→ Heartbeat {}")
        assert "← Heartbeat result" in second
        assert "\x1b" not in ran.out
        ran = await ctl("tail", "CP-1", "--no-follow", "--json")
        assert [orjson.loads(line)["kind"] for line in ran.out.splitlines()] == ["call", "result"]


async def test_events_end_after_their_count_and_ctrl_c_ends_a_stream_cleanly(
    ctl: Ctl, service: ScriptedService, amqp_url: str
) -> None:
    async def publish(channel: Any, seq: int) -> None:
        exchange = await channel.get_exchange(topology.EVENTS)
        event = an_event(seq)
        message = aio_pika.Message(event.encode(), content_type="application/json")
        await exchange.publish(message, event_key(event.type, event.identity), mandatory=False)

    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        queue = await channel.declare_queue("ops", durable=True, arguments={
            "x-queue-type": "quorum", "x-delivery-limit": topology.NO_DELIVERY_LIMIT,
            "x-consumer-timeout": topology.CONSUMER_TIMEOUT_MS,
        })  # fmt: skip
        await queue.bind(topology.EVENTS, "*.*.*")
        for seq in range(1, 4):
            await publish(channel, seq)
        ran = await ctl("events", "--queue", "ops", "--count", "2", "--json")
        assert [orjson.loads(line)["seq"] for line in ran.out.splitlines()] == [1, 2], ran.err
        process = await ctl.start("events", "--queue", "ops")
        assert process.stdout is not None
        async with asyncio.timeout(60):
            assert b"#3" in await process.stdout.readline()
            process.send_signal(signal.SIGINT)
            out, err = await process.communicate()
        assert (process.returncode, out, err) == (0, b"", b"")


async def test_a_reader_that_has_seen_enough_ends_it_cleanly(ctl: Ctl, service: ScriptedService, amqp_url: str) -> None:
    frames = [
        LoggedFrame(
            int(time.time() * 1000), "CP-1", "s1", Direction.IN, b'[2,"1","Heartbeat",{"x":"%s"}]' % (b"x" * 500)
        )
    ] * 1000
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        await channel.default_exchange.publish(aio_pika.Message(encode_frames("gw", frames)), topology.FRAMES)
        process = await asyncio.create_subprocess_shell(
            "exec 3>&1; { $PYTHON -m ocppctl tail CP-1 --no-follow; echo code $? >&3; } | head -1 >/dev/null",
            env={**ctl._environment, "PYTHON": __import__("sys").executable},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(60):
            out, err = await process.communicate()
    assert (out, err) == (b"code 0\n", b"")


async def test_dead_letters_are_listed_shown_replayed_and_dropped(
    ctl: Ctl, service: ScriptedService, amqp_url: str
) -> None:
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        exchange = await channel.get_exchange(topology.CALLS)
        queue = await channel.get_queue("ocpp.calls.metering")
        async with queue.iterator(timeout=20) as messages:
            for body in (b'{"identity": "CP-1", "idTag": "SECRET"}', b"2"):
                await exchange.publish(aio_pika.Message(body), "ocpp16.StopTransaction")
                await (await anext(messages)).reject(requeue=False)
        listed = (await ctl("dead-letters", "list", "--json")).json
        assert [(letter["identity"], letter["reason"]) for letter in listed] == [("CP-1", "rejected"), ("", "rejected")]
        shown = await ctl("dead-letters", "show", listed[0]["id"])
        assert (shown.code, "SECRET" in shown.out, "rejected" in shown.out) == (0, False, True)
        assert (await ctl("dead-letters", "replay", listed[0]["id"], "--json")).json == [
            {"id": listed[0]["id"], "result": "replayed"}
        ]
        assert (await ctl("dead-letters", "drop", "nothing")).code == 3
        assert (await ctl("dead-letters", "drop", "--all")).code == 0
        assert (await ctl("dead-letters", "list", "--json")).json == []
        async with queue.iterator(timeout=20) as messages:
            message = await anext(messages)
            await message.ack()
        assert message.body.startswith(b'{"identity"')
