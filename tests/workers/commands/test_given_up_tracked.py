"""Tracked commands that the broker gave up: their one outcome is the one on record."""

from typing import Any

import pytest

from contracts.bodies import ContentType, encode
from contracts.commands import Reason, TrackedState
from contracts.envelope import OutcomeKind
from tests.support.crashing import crashing_service
from tests.support.scripted_gateway import gateway_on
from tests.support.tracked import START, World, backend_of, ids, world
from tests.support.worker_store import migrated_store
from workers.errors import StoreUnavailableError
from workers.store import commands


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr("workers.commands.directory.LEAST_WAIT_S", 0.3)
    monkeypatch.setattr("workers.commands.waking.POLL_S", 0.1)


def expiring(here: World, command_id: str, deadline_ms: int) -> str:
    """Publish a tracked command that the broker gives up at once, as nobody consumes; its correlation id."""
    action, payload = START
    body = {"v": 1, "t": "command", "command_id": command_id, "action": action, "payload": payload, "tracked": True}
    raw = encode({**body, "deadline_ms": deadline_ms}, ContentType.JSON)
    return here.caller.ask_raw("CP-1", raw, expiration_ms=1)


async def test_one_on_record_is_answered_with_its_receipt(amqp_url, database_url):
    async with (
        migrated_store(database_url) as store,
        gateway_on(amqp_url) as gateway,
        backend_of(amqp_url, store) as here,
    ):
        async with crashing_service(amqp_url, store):
            await here.held("CP-1", command_id="once")
        row = await here.row("once")
        asked = expiring(here, "once", int(row.deadline_at.timestamp() * 1000))
        async with crashing_service(amqp_url, store):
            assert (await here.receipt(asked)).state is TrackedState.HELD
            gateway.connect("CP-1")
            assert (await here.completions.of("once")).ok
        assert ids(gateway) == ["once"]


async def test_one_that_is_not_on_record_is_taken_and_looked_after_by_its_shard(amqp_url, database_url):
    async with (
        migrated_store(database_url) as store,
        gateway_on(amqp_url, "CP-1") as gateway,
        backend_of(amqp_url, store) as here,
    ):
        asked = expiring(here, "once", 2**43)
        other = expiring(here, "late", 1)
        async with crashing_service(amqp_url, store):
            answer = await here.caller.outcome(asked)
            assert (answer.outcome, answer.reason) == (OutcomeKind.REJECTED, Reason.DEADLINE_TOO_FAR)
            assert (await here.receipt(other)).command_id == "late"
            assert (await here.row("late")).shard.startswith("ocpp.commands.")
            assert (await here.row("late")).shard != "ocpp.commands.undeliverable"
            assert (await here.completions.of("late")).outcome is OutcomeKind.EXPIRED
        assert not gateway.commands


async def test_one_that_cannot_be_taken_gets_an_outcome_and_no_room_is_lost_to_it(amqp_url, database_url, monkeypatch):
    monkeypatch.setattr("workers.commands.tracking.MOST_WAITING", 1)
    find, refusals = commands.find, iter([StoreUnavailableError("gone")])

    async def bad(transaction: Any, command_id: str) -> Any:
        if command_id == "bad":
            raise next(refusals, RuntimeError("a driver's own trouble"))
        return await find(transaction, command_id)

    monkeypatch.setattr("workers.store.commands.find", bad)
    async with world(amqp_url, database_url) as here, gateway_on(amqp_url, "CP-1"):
        asked = here.track("CP-1", command_id="bad")
        outcome = await here.caller.outcome(asked)
        assert (outcome.outcome, outcome.reason) == (OutcomeKind.UNKNOWN, Reason.UNDELIVERABLE)
        assert outcome.tracked
        assert (await here.completions.of(await here.held("CP-1"))).ok
