"""Replicas of the commands service that die, and gateways that remember what they sent."""

import asyncio
from contextlib import asynccontextmanager
from typing import Any

from contracts.commands import Reason
from contracts.envelope import CommandEnvelope, OutcomeEnvelope, OutcomeKind
from tests.support.calling import until
from tests.support.commanding import desk_of
from tests.support.scripted_gateway import ScriptedGateway
from tests.support.serving import worker_settings
from workers.commands.service import service
from workers.runtime.application import Application


class Remembering:
    """What real gateways do: repeat what was sent on the session, and send nothing that may have been sent before."""

    def __init__(self, gateway: ScriptedGateway) -> None:
        self.sent: list[str] = []
        self._gateway = gateway
        self._known: dict[str, OutcomeEnvelope] = {}

    def __call__(self, command: CommandEnvelope) -> OutcomeEnvelope:
        if command.command_id in self._known:
            return self._known[command.command_id]
        if command.again:
            return self._gateway.outcome(command, OutcomeKind.UNKNOWN, Reason.REDELIVERED)
        outcome = self._known[command.command_id] = self._gateway.accept(command)
        self.sent.append(command.command_id)
        return outcome


@asynccontextmanager
async def crashing_service(amqp_url, store) -> Any:
    """A replica that is gone at the end of the block, with whatever it had in hand."""
    config = worker_settings(amqp_url)
    application = Application(service(config), config, store)
    task = asyncio.create_task(application.run(asyncio.Event()))
    try:
        await until(lambda: desk_of(application).complete)
        yield application
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await until(lambda: not any(map(_closes_a_connection, asyncio.all_tasks())))


def _closes_a_connection(task: asyncio.Task[Any]) -> bool:
    """SQLAlchemy closes connections whose users were cancelled in a task of its own."""
    return "_terminate_graceful_close" in repr(task.get_coro())
