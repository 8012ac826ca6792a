"""Tracked commands: as a store holds them, and as a backend has them kept."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from contracts.commands import CommandReceipt
from tests.support.calling import until
from tests.support.commanding import CommandCaller, command_caller_on, commands_service
from tests.support.completions import Completions, completions_on
from tests.support.scripted_gateway import ScriptedGateway
from workers.runtime.application import Application
from workers.store import commands
from workers.store.commands import TrackedCommand
from workers.store.engine import Store


def new_command(command_id: str, now: datetime, **changes: Any) -> dict[str, Any]:
    """A row as `commands.submit` takes it."""
    return {
        "command_id": command_id,
        "identity": "CP-1",
        "shard": "ocpp.commands.0",
        "action": "RemoteStartTransaction",
        "payload": {"idTag": "DEMO"},
        "request_digest": "digest",
        "only_session": None,
        "created_at": now,
        "deadline_at": now + timedelta(hours=1),
        **changes,
    }


async def submitted(store: Store, command_id: str, now: datetime, **changes: Any) -> TrackedCommand:
    """A new command, stored."""
    async with store.transaction() as transaction:
        stored = await commands.submit(transaction, new_command(command_id, now, **changes))
    assert stored is not None
    return stored


START = ("RemoteStartTransaction", {"idTag": "DEMO"})
READ = ("GetConfiguration", {"key": ["HeartbeatInterval"]})


@dataclass
class World:
    """A backend that has commands kept, and what it hears of them."""

    caller: CommandCaller
    completions: Completions
    store: Store

    def track(
        self, identity: str, action: tuple[str, dict[str, Any]] = START, *, within_s: float = 60, **more: Any
    ) -> str:
        """Publish a tracked command; its correlation id."""
        return self.caller.ask(identity, *action, within_s=within_s, tracked=True, **more)

    async def receipt(self, correlation_id: str) -> CommandReceipt:
        """The first receipt of that request: a replica that dies before its ack leaves it to be told again."""
        await until(lambda: correlation_id in self.caller.answers)
        answer = self.caller.answers[correlation_id][0]
        assert isinstance(answer, CommandReceipt)
        return answer

    async def held(self, identity: str, action: tuple[str, dict[str, Any]] = START, **more: Any) -> str:
        """Have a command stored; its id."""
        return (await self.receipt(self.track(identity, action, **more))).command_id

    async def is_stored(self, command_id: str) -> bool:
        """Whether the store has that command."""
        async with self.store.transaction(read_only=True) as transaction:
            return await commands.find(transaction, command_id) is not None

    async def row(self, command_id: str) -> TrackedCommand:
        """The command as stored."""
        async with self.store.transaction(read_only=True) as transaction:
            row = await commands.find(transaction, command_id)
        assert row is not None
        return row


@dataclass
class ServedWorld(World):
    application: Application


@asynccontextmanager
async def backend_of(amqp_url: str, store: Store) -> AsyncIterator[World]:
    """A backend, a listener to its events, and no service."""
    async with command_caller_on(amqp_url) as caller, completions_on(amqp_url) as completions:
        yield World(caller, completions, store)


@asynccontextmanager
async def world(amqp_url: str, database_url: str, **settings: Any) -> AsyncIterator[ServedWorld]:
    """The same with the service running."""
    async with (
        commands_service(amqp_url, database_url, **settings) as application,
        backend_of(amqp_url, application._store) as here,
    ):
        yield ServedWorld(here.caller, here.completions, here.store, application)


class Hanging:
    """Makes a store hang until it is told to go on."""

    def __init__(self, store: Any) -> None:
        self._real = store.transaction
        self.back = asyncio.Event()
        store.transaction = self._transaction

    @asynccontextmanager
    async def _transaction(self, **options: Any) -> AsyncIterator[Any]:
        await self.back.wait()
        async with self._real(**options) as transaction:
            yield transaction


def ids(gateway: ScriptedGateway) -> list[str]:
    """The ids of the commands that it got."""
    return [command.command_id for command in gateway.commands]


async def until_stored(here: World, command_id: str, fits: Callable[[TrackedCommand], bool]) -> TrackedCommand:
    """The command as stored, once it fits."""
    async with asyncio.timeout(30):
        while not fits(row := await here.row(command_id)):  # noqa: ASYNC110 - the store tells nobody
            await asyncio.sleep(0.02)
    return row
