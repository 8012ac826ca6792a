"""Tracked commands through a real broker and both stores: kept, sent once, in order, ended for everybody to hear."""

import uuid
from typing import Any

import pytest

from contracts.commands import Reason, TrackedState
from contracts.envelope import OutcomeKind
from tests.support.calling import until
from tests.support.commanding import desk_of
from tests.support.scripted_gateway import gateway_on
from tests.support.tracked import READ, START, ids, until_stored, world
from workers.errors import StoreUnavailableError


async def test_a_command_for_a_connected_charge_point_is_sent_at_once_and_its_outcome_is_an_event(
    amqp_url, database_url
):
    async with world(amqp_url, database_url) as here, gateway_on(amqp_url, "CP-1") as gateway:
        command_id = await here.held("CP-1")
        outcome = await here.completions.of(command_id)
        assert (outcome.outcome, outcome.payload) == (OutcomeKind.RESULT, {"status": "Accepted"})
        assert (outcome.tracked, outcome.attempts, outcome.gateway) == (True, 1, "gw-1")
        assert ids(gateway) == [command_id]
        row = await here.row(command_id)
        assert (row.state, row.outcome) == ("ended", outcome.model_dump(mode="json"))


async def test_what_is_held_is_sent_when_the_charge_point_connects_in_the_order_of_arrival(amqp_url, database_url):
    async with world(amqp_url, database_url) as here, gateway_on(amqp_url) as gateway:
        held = [await here.held("CP-1") for _ in range(3)]
        assert {(await here.row(one)).state for one in held} == {"held"}
        gateway.connect("CP-1")
        for command_id in held:
            assert (await here.completions.of(command_id)).ok
        assert ids(gateway) == held


async def test_at_its_deadline_a_held_command_expires(amqp_url, database_url):
    async with world(amqp_url, database_url) as here:
        lasting = await here.held("CP-1")
        short = await here.held("CP-1", within_s=1.5)
        outcome = await here.completions.of(short)
        assert (outcome.outcome, outcome.reason) == (OutcomeKind.EXPIRED, Reason.DEADLINE)
        assert (await here.row(lasting)).state == "held"


async def test_the_same_request_again_is_the_same_command(amqp_url, database_url):
    async with world(amqp_url, database_url) as here, gateway_on(amqp_url) as gateway:
        first = await here.receipt(here.track("CP-1", command_id="once", within_s=60))
        again = await here.receipt(here.track("CP-1", command_id="once", within_s=50))
        assert first == again
        assert again.state is TrackedState.HELD
        gateway.connect("CP-1")
        outcome = await here.completions.of("once")
        late = await here.receipt(here.track("CP-1", command_id="once", within_s=-5))
        assert (late.state, late.outcome) == (TrackedState.ENDED, outcome)
        assert ids(gateway) == ["once"]


@pytest.mark.parametrize(
    ("identity", "change", "reason"),
    [
        ("CP-1", {"payload": {"idTag": "OTHER"}}, Reason.COMMAND_ID_REUSED),
        ("CP-2", {}, Reason.COMMAND_ID_REUSED),
        ("CP-1", {"command_id": "far", "within_s": 31 * 24 * 3600}, Reason.DEADLINE_TOO_FAR),
        ("CP-1", {"command_id": "no", "action": "Heartbeat"}, Reason.UNKNOWN_ACTION),
        ("CP-1", {"command_id": "no", "payload": []}, Reason.BAD_REQUEST),
    ],
)
async def test_what_cannot_be_taken_is_rejected_without_a_receipt(
    amqp_url, sqlite_database_url, identity, change, reason
):
    async with world(amqp_url, sqlite_database_url) as here:
        await here.held("CP-1", command_id="once")
        words = {"action": START[0], "payload": START[1], "command_id": "once", "within_s": 60, **change}
        outcome = await here.caller.command(identity, words.pop("action"), words.pop("payload"), tracked=True, **words)
        assert (outcome.outcome, outcome.reason) == (OutcomeKind.REJECTED, reason)


async def test_a_payload_that_does_not_fit_the_sessions_version_ends_the_command(amqp_url, database_url):
    async with world(amqp_url, database_url) as here, gateway_on(amqp_url, "CP-1") as gateway:
        outcome = await here.completions.of(await here.held("CP-1", ("RemoteStartTransaction", {})))
        assert (outcome.outcome, outcome.reason) == (OutcomeKind.REJECTED, Reason.BAD_PAYLOAD)
        assert gateway.commands == []


async def test_one_command_of_a_charge_point_is_under_way_at_a_time_and_others_charge_points_do_not_wait(
    amqp_url, database_url
):
    async with world(amqp_url, database_url) as here, gateway_on(amqp_url, "CP-1", "CP-2") as gateway:
        gateway.script = lambda command: None if command.identity == "CP-1" else gateway.accept(command)
        first, second = await here.held("CP-1"), await here.held("CP-1")
        other = await here.held("CP-2")
        assert (await here.completions.of(other)).ok
        assert (await here.row(second)).state == "held"
        gateway.script = gateway.accept
        gateway.answer_open()
        assert (await here.completions.of(second)).ok
        assert [one for one in ids(gateway) if one != other] == [first, second]


async def test_a_direct_command_comes_after_what_was_held_before_it(amqp_url, database_url):
    async with world(amqp_url, database_url) as here, gateway_on(amqp_url) as gateway:
        held = [await here.held("CP-1") for _ in range(3)]
        gateway.connect("CP-1")
        await until(lambda: desk_of(here.application).place("CP-1") is not None)
        direct = here.caller.ask("CP-1", command_id="direct")
        after = here.track("CP-1", command_id="after")
        assert (await here.caller.outcome(direct)).ok
        await here.receipt(after)
        assert (await here.completions.of("after")).ok
        assert ids(gateway) == [*held, "direct", "after"]


async def test_a_direct_command_does_not_wait_for_what_waits_itself(amqp_url, database_url):
    async with world(amqp_url, database_url) as here, gateway_on(amqp_url, "CP-1") as gateway:
        gateway.script = lambda command: gateway.outcome(command, OutcomeKind.TIMEOUT, Reason.NO_ANSWER)
        command_id = await here.held("CP-1", READ)
        await gateway.commanded()
        await until_stored(here, command_id, lambda row: row.uncertain is not None)
        gateway.script = gateway.accept
        assert (await here.caller.command("CP-1")).ok


async def test_what_a_second_one_does_no_harm_is_repeated_under_another_id(amqp_url, database_url):
    async with world(amqp_url, database_url) as here, gateway_on(amqp_url, "CP-1") as gateway:
        answers = iter([OutcomeKind.TIMEOUT, OutcomeKind.RESULT])
        gateway.script = lambda command: gateway.outcome(command, next(answers), payload=b'{"unknownKey": []}')
        command_id = await here.held("CP-1", READ)
        outcome = await here.completions.of(command_id)
        assert (outcome.outcome, outcome.attempts) == (OutcomeKind.RESULT, 2)
        first, second = ids(gateway)
        assert first == command_id
        assert uuid.UUID(second).version == 5


async def test_what_may_be_sent_only_once_ends_when_nobody_knows(amqp_url, database_url):
    async with world(amqp_url, database_url) as here, gateway_on(amqp_url, "CP-1") as gateway:
        gateway.script = lambda command: gateway.outcome(command, OutcomeKind.UNKNOWN, Reason.SESSION_CLOSED)
        command_id = await here.held("CP-1")
        outcome = await here.completions.of(command_id)
        assert (outcome.outcome, outcome.reason) == (OutcomeKind.UNKNOWN, Reason.SESSION_CLOSED)
        gateway.connect("CP-1")
        assert (await here.caller.command("CP-1")).outcome is OutcomeKind.UNKNOWN
        assert len(gateway.commands) == 2


async def test_what_was_not_sent_is_held_and_sent_to_the_next_session(amqp_url, database_url):
    async with world(amqp_url, database_url) as here, gateway_on(amqp_url, "CP-1") as gateway:
        gateway.script = lambda command: gateway.outcome(command, OutcomeKind.OFFLINE, Reason.SESSION_CLOSED)
        command_id = await here.held("CP-1")
        await gateway.commanded()
        gateway.disconnect("CP-1")
        gateway.script = gateway.accept
        gateway.connect("CP-1")
        outcome = await here.completions.of(command_id)
        assert outcome.ok
        assert outcome.session == gateway.sessions["CP-1"].session


async def test_while_the_store_is_away_requests_wait_and_direct_commands_do_not(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url) as here, gateway_on(amqp_url, "CP-1", "CP-2") as gateway:
        assert (await here.caller.command("CP-2")).ok  # its shard is known
        store = here.store
        real, away = store.transaction, True

        def transaction(**options: Any) -> Any:
            if away:
                raise StoreUnavailableError("gone")
            return real(**options)

        store.transaction = transaction  # type: ignore[method-assign]
        waiting = here.track("CP-2")
        for identity in ("CP-1", "CP-2"):
            assert (await here.caller.command(identity)).ok
        assert waiting not in here.caller.answers
        away = False
        command_id = (await here.receipt(waiting)).command_id
        assert (await here.completions.of(command_id)).ok
        assert command_id in ids(gateway)


async def test_a_request_that_comes_after_its_deadline_ends_like_any_other(amqp_url, database_url):
    async with world(amqp_url, database_url) as here:
        receipt = await here.receipt(here.track("CP-1", within_s=-1))
        outcome = await here.completions.of(receipt.command_id)
        assert (outcome.outcome, outcome.reason) == (OutcomeKind.EXPIRED, Reason.DEADLINE)


async def test_a_shard_whose_open_commands_cannot_be_read_serves_all_the_same(
    amqp_url, sqlite_database_url, monkeypatch
):
    async def broken(*_: Any) -> set[str]:
        raise RuntimeError("a driver's own trouble")

    monkeypatch.setattr("workers.store.commands.open_identities", broken)
    async with world(amqp_url, sqlite_database_url) as here, gateway_on(amqp_url, "CP-1"):
        assert (await here.caller.command("CP-1")).ok
        assert (await here.completions.of(await here.held("CP-1"))).ok
