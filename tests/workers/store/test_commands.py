"""Tracked commands in the store: once, in order, and never without somebody who looks at them in time."""

import asyncio
from datetime import UTC, datetime, timedelta

import orjson

from contracts.commands import CommandOutcome
from contracts.envelope import OutcomeKind
from tests.support.tracked import new_command, submitted
from tests.support.worker_store import migrated_store
from workers.store import commands, outbox

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def outcome(command_id: str) -> CommandOutcome:
    return CommandOutcome(command_id=command_id, identity="CP-1", outcome=OutcomeKind.RESULT, payload={"a": 1})


async def settle(store, command_id, now=NOW) -> bool:
    async with store.transaction() as transaction:
        found = await commands.find(transaction, command_id)
        assert found is not None
        return await commands.settle(transaction, found, outcome(command_id), now)


async def due(store, now=NOW) -> list[str]:
    async with store.transaction(read_only=True) as transaction:
        return list(await commands.due(transaction, now, 100))


async def test_an_id_is_stored_once(database_url):
    async with migrated_store(database_url) as store:
        await submitted(store, "c-1", NOW)
        async with store.transaction() as transaction:
            assert await commands.submit(transaction, new_command("c-1", NOW, identity="CP-2")) is None


async def test_the_first_is_due_at_once_and_the_next_one_when_it_ends(database_url):
    async with migrated_store(database_url) as store:
        first = await submitted(store, "c-1", NOW)
        second = await submitted(store, "c-2", NOW)
        assert (first.next_attempt_at, second.next_attempt_at) == (NOW, NOW + HOUR)
        async with store.transaction() as transaction:
            claimed = await commands.claim(
                transaction, first, session="s", attempt=1, shard="q", look_again_at=NOW + HOUR
            )
            assert claimed
        assert await due(store) == []
        assert await settle(store, "c-1")
        assert await due(store) == ["CP-1"]
        async with store.transaction() as transaction:
            front = await commands.next_of(transaction, "CP-1")
        assert front is not None
        assert front.command_id == "c-2"


async def test_one_that_comes_while_the_front_ends_is_due_whoever_commits_first(database_url):
    async with migrated_store(database_url) as store:
        for number in range(20):
            await submitted(store, f"a-{number}", NOW)
            await asyncio.gather(settle(store, f"a-{number}"), submitted(store, f"b-{number}", NOW))
            assert await due(store) == ["CP-1"]
            assert await settle(store, f"b-{number}")


async def test_a_command_ends_once_with_one_event(database_url):
    async with migrated_store(database_url) as store:
        await submitted(store, "c-1", NOW)
        assert await settle(store, "c-1")
        async with store.transaction() as transaction:
            found = await commands.find(transaction, "c-1")
            assert found is not None
            assert (found.state, found.outcome_kind, found.next_attempt_at) == ("ended", "result", None)
            assert not await commands.settle(transaction, found, outcome("c-1"), NOW)
        async with store.transaction(read_only=True) as transaction:
            (event,) = await outbox.waiting_events(transaction, "CP-1")
        assert event.type == "command.completed"
        assert orjson.loads(event.data)["outcome"]["payload"] == {"a": 1}


async def test_what_was_read_before_a_change_changes_nothing_any_more(database_url):
    async with migrated_store(database_url) as store:
        read = await submitted(store, "c-1", NOW)
        async with store.transaction() as transaction:
            assert await commands.claim(transaction, read, session="s", attempt=1, shard="q", look_again_at=NOW)
        async with store.transaction() as transaction:
            assert not await commands.hold(transaction, read, NOW)
            assert not await commands.settle(transaction, read, outcome("c-1"), NOW)


async def test_a_charge_point_that_connects_makes_its_first_held_command_due(database_url):
    async with migrated_store(database_url) as store:
        held = await submitted(store, "c-1", NOW)
        await submitted(store, "c-2", NOW)
        await submitted(store, "x-1", NOW, identity="CP-2")
        async with store.transaction() as transaction:
            assert await commands.hold(transaction, held, NOW + HOUR)
        async with store.transaction() as transaction:
            woken = await commands.wake_connected(transaction, ["CP-1", "CP-3"], NOW)
        assert woken == ["CP-1"]
        assert set(await due(store)) == {"CP-1", "CP-2"}


async def test_one_that_pauses_after_it_may_have_been_sent_goes_on_pausing_unless_it_waits_for_a_session(database_url):
    async with migrated_store(database_url) as store:
        held = await submitted(store, "c-1", NOW)
        later = NOW + timedelta(seconds=30)
        async with store.transaction() as transaction:
            assert await commands.hold(transaction, held, later, uncertain=outcome("c-1"))
            assert await commands.wake_connected(transaction, ["CP-1"], NOW) == []
            assert await commands.hold(transaction, held, NOW + HOUR)
            assert await commands.wake_connected(transaction, ["CP-1"], NOW) == ["CP-1"]


async def test_open_ones_are_known_by_shard_and_state_and_old_ones_are_forgotten(database_url):
    async with migrated_store(database_url) as store:
        await submitted(store, "c-1", NOW)
        await submitted(store, "c-2", NOW, identity="CP-2")
        await submitted(store, "c-3", NOW, identity="CP-3", shard="ocpp.commands.1")
        await settle(store, "c-2")
        async with store.transaction() as transaction:
            assert await commands.open_identities(transaction, "ocpp.commands.0") == {"CP-1"}
            assert await commands.count_open(transaction) == {"held": 2}
            assert await commands.forget_ended(transaction, NOW, 10) == 0
            assert await commands.forget_ended(transaction, NOW + HOUR, 10) == 1
            left = await commands.list_commands(transaction)
        assert [command.command_id for command in left] == ["c-3", "c-1"]
        # A number is never given again, or the order of arrival would be lost.
        assert (await submitted(store, "c-4", NOW)).number == 4


async def test_overdue_ones_are_found_wherever_they_stand(database_url):
    async with migrated_store(database_url) as store:
        await submitted(store, "c-1", NOW)
        await submitted(store, "c-2", NOW, deadline_at=NOW + timedelta(seconds=5))
        late = NOW + timedelta(seconds=5)
        async with store.transaction() as transaction:
            assert [one.command_id for one in await commands.overdue_of(transaction, "CP-1", late)] == ["c-2"]
            assert await commands.due(transaction, late, 10) == ["CP-1"]
