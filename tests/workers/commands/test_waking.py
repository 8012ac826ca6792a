"""What runs by itself for tracked commands: old ones are forgotten, and due ones are woken by one replica."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from contracts.commands import CommandOutcome
from contracts.envelope import OutcomeKind
from tests.support.calling import until
from tests.support.serving import worker_settings
from tests.support.tracked import submitted
from tests.support.worker_store import migrated_store
from workers.commands import waking
from workers.runtime.commands import Commander
from workers.runtime.context import ServiceContext
from workers.runtime.publisher import Publisher
from workers.store import commands

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Publishes:
    """A publisher whose broker takes everything, or nothing."""

    def __init__(self) -> None:
        self.woken: list[str] = []
        self.takes = True

    async def publish(self, _exchange: str, key: str, _body: bytes, **_: Any) -> bool:
        if self.takes:
            self.woken.append(key)
        return self.takes


@asynccontextmanager
async def running(store, *works, now=NOW) -> Any:
    """Background work, each with a publisher of its own, for the length of the block."""
    publishers = [Publishes() for _ in works]
    config = worker_settings("amqp://nowhere")
    tasks = []
    for work, publisher in zip(works, publishers, strict=True):
        parts = cast("Commander", None), cast("Publisher", publisher)
        tasks.append(asyncio.create_task(work(ServiceContext(store, *parts, config, lambda: now))))
    try:
        yield publishers
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(waking, "POLL_S", 0.01)
    monkeypatch.setattr(waking, "FORGET_SLICE", 2)


async def test_of_several_replicas_one_wakes_and_once_while_the_consumer_is_busy(sqlite_database_url):
    async with migrated_store(sqlite_database_url) as store:
        for number in range(5):
            await submitted(store, f"c-{number}", NOW, identity=f"CP-{number}")
        async with running(store, *[waking.wake_what_is_due] * 3) as publishers:
            await until(lambda: any(len(publisher.woken) == 5 for publisher in publishers))
            for _ in range(20):
                assert await store.reachable()
        assert sorted(len(publisher.woken) for publisher in publishers) == [0, 0, 5]


async def test_a_wake_that_the_broker_refused_is_published_again(sqlite_database_url):
    async with migrated_store(sqlite_database_url) as store:
        await submitted(store, "c-1", NOW)
        async with running(store, waking.wake_what_is_due) as (publisher,):
            publisher.takes = False
            assert await store.reachable()
            publisher.takes = True
            await until(lambda: publisher.woken == ["CP-1"])


async def test_commands_that_ended_long_ago_are_forgotten_slice_by_slice(database_url):
    async with migrated_store(database_url) as store:
        for number in range(7):
            ended = await submitted(store, f"c-{number}", NOW)
            outcome = CommandOutcome(command_id=f"c-{number}", identity="CP-1", outcome=OutcomeKind.RESULT)
            async with store.transaction() as transaction:
                at = NOW if number else NOW + timedelta(days=2)
                assert await commands.settle(transaction, ended, outcome, at)
        await submitted(store, "open", NOW)

        async def left() -> list[str]:
            async with store.transaction(read_only=True) as transaction:
                return [one.command_id for one in await commands.list_commands(transaction)]

        async with running(store, waking.forget_ended, now=NOW + timedelta(days=30, seconds=1)), asyncio.timeout(20):
            while await left() != ["open", "c-0"]:  # noqa: ASYNC110 - the store tells nobody
                await asyncio.sleep(0.01)
