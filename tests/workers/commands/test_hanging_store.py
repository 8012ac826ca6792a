"""A database that hangs instead of refusing: direct commands need none, and do not wait for it."""

import asyncio

import pytest

from tests.support.calling import until
from tests.support.commanding import desk_of
from tests.support.scripted_gateway import gateway_on
from tests.support.tracked import Hanging, ids, world
from workers.commands.store_room import StoreRoom
from workers.commands.tracking import TrackedCommands
from workers.errors import StoreUnavailableError


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr("workers.commands.directory.LEAST_WAIT_S", 0.3)
    monkeypatch.setattr("workers.commands.store_room.PATIENCE_S", 0.2)


async def test_direct_commands_do_not_wait_for_held_ones_that_a_hanging_store_keeps(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url) as here, gateway_on(amqp_url) as gateway:
        held = await here.held("CP-1")
        tracking = desk_of(here.application)._tracking
        assert isinstance(tracking, TrackedCommands)
        await until(lambda: not tracking._lanes)
        hanging = Hanging(here.store)
        gateway.connect("CP-1")
        await until(lambda: desk_of(here.application).place("CP-1") is not None)
        asked = [here.caller.ask("CP-1", within_s=60) for _ in range(3)]
        for one in asked:
            assert (await here.caller.outcome(one, timeout_s=10)).ok
        hanging.back.set()
        assert (await here.completions.of(held)).ok
        assert ids(gateway)[3:] == [held]


async def test_direct_commands_get_past_a_request_that_a_hanging_store_does_not_take(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url) as here, gateway_on(amqp_url, "CP-1") as gateway:
        assert (await here.caller.command("CP-1")).ok  # its shard is known
        hanging = Hanging(here.store)
        waiting = here.track("CP-1")
        assert (await here.caller.outcome(here.caller.ask("CP-1", within_s=60), timeout_s=10)).ok
        assert waiting not in here.caller.answers
        hanging.back.set()
        held = (await here.receipt(waiting)).command_id
        assert (await here.completions.of(held)).ok
        assert ids(gateway)[2:] == [held]


async def test_a_shard_whose_open_commands_a_hanging_store_does_not_tell_serves_all_the_same(
    amqp_url, sqlite_database_url
):
    async with world(amqp_url, sqlite_database_url) as here, gateway_on(amqp_url, "CP-1"):
        hanging = Hanging(here.store)
        assert (await here.caller.outcome(here.caller.ask("CP-1", within_s=60), timeout_s=10)).ok
        hanging.back.set()


async def test_waiting_for_room_is_no_hanging_while_others_come_to_their_ends(monkeypatch):
    monkeypatch.setattr("workers.commands.store_room.PATIENCE_S", 0.5)
    room, hung = StoreRoom(1), asyncio.Event()

    async def one(_: int) -> None:
        async with room.enter(hung.set):
            await asyncio.sleep(0.05)  # as long as a transaction takes

    await asyncio.gather(*map(one, range(20)))
    assert not hung.is_set()
    async with room.enter():
        with pytest.raises(StoreUnavailableError):
            async with room.enter_or_give_up():
                pass
