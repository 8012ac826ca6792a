"""A backend that sends commands, and the commands service in the test's own process."""

import asyncio
import itertools
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from contracts import topology
from contracts.bodies import ContentType, decode, encode
from contracts.broker import BrokerLink, Delivery, PrivateQueue, Returned
from contracts.commands import CommandOutcome, CommandReceipt
from tests.support.calling import until
from tests.support.serving import serving, worker_settings
from tests.support.worker_store import migrated_store
from workers.commands.desk import Desk
from workers.commands.service import service
from workers.runtime.application import Application
from workers.store.engine import Store


class CommandCaller:
    """Publishes commands and gathers what comes back, by correlation id; it is its link's listener."""

    def __init__(self, url: str) -> None:
        self.answers: dict[str, list[CommandOutcome | CommandReceipt]] = {}
        self.deliveries: list[Delivery] = []
        self._numbers = itertools.count(1)
        self.link = BrokerLink(url, self, name="test backend", private_queue=PrivateQueue("test.backend"))

    def ask(
        self,
        identity: str,
        action: str = "Reset",
        payload: dict[str, Any] | None = None,
        *,
        within_s: float = 20,
        content_type: ContentType = ContentType.JSON,
        **more: Any,
    ) -> str:
        """Publish a command; its correlation id."""
        body: dict[str, Any] = {
            "v": 1,
            "t": "command",
            "command_id": uuid.uuid4().hex,
            "action": action,
            "payload": {"type": "Soft"} if payload is None else payload,
            "deadline_ms": int((time.time() + within_s) * 1000),
            **more,
        }
        return self.ask_raw(identity, encode(body, content_type), content_type=content_type)

    def ask_raw(self, identity: str, body: bytes, **properties: Any) -> str:
        """Publish any body; its correlation id."""
        correlation_id = f"ask-{next(self._numbers)}"
        properties = {"reply_to": self.link.reply_queue, "content_type": ContentType.JSON, **properties}
        self.link.publish(
            topology.COMMANDS,
            identity,
            body,
            mandatory=True,
            persistent=True,
            correlation_id=correlation_id,
            **properties,
        )
        return correlation_id

    async def outcome(self, correlation_id: str, *, timeout_s: float = 30) -> CommandOutcome:
        """The first outcome of that command."""
        await until(lambda: correlation_id in self.answers, timeout_s=timeout_s)
        answer = self.answers[correlation_id][0]
        assert isinstance(answer, CommandOutcome)
        return answer

    async def command(self, identity: str, *words: Any, **options: Any) -> CommandOutcome:
        """Publish a command and await its outcome."""
        return await self.outcome(self.ask(identity, *words, **options))

    # the link's listener

    def link_up(self) -> None: ...
    def link_down(self) -> None: ...
    def confirmed(self, token: object) -> None: ...
    def refused(self, token: object) -> None: ...
    def flow_changed(self) -> None: ...
    def returned(self, message: Returned) -> None: ...

    def delivered(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        kind = CommandReceipt if delivery.type == CommandReceipt.KIND else CommandOutcome
        answer = kind.model_validate(decode(delivery.body, ContentType.of(delivery.content_type)))
        self.answers.setdefault(delivery.correlation_id, []).append(answer)


@asynccontextmanager
async def command_caller_on(url: str) -> AsyncIterator[CommandCaller]:
    """A connected caller."""
    caller = CommandCaller(url)
    running = asyncio.create_task(caller.link.run())
    try:
        await until(lambda: caller.link.up)
        yield caller
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def desk_of(application: Application) -> Desk:
    """The service's own part of its process."""
    desk = application._attachment
    assert isinstance(desk, Desk)
    return desk


@asynccontextmanager
async def bringing_commands(amqp_url: str, store: Store) -> AsyncIterator[None]:
    """The commands service beside another one on the same store."""
    config = worker_settings(amqp_url)
    async with serving(service(config), config, store):
        yield


@asynccontextmanager
async def commands_service(
    amqp_url: str, database_url: str, *, complete: bool = True, **settings: Any
) -> AsyncIterator[Application]:
    """The commands service, its directory complete unless that is not to be waited for."""
    config = worker_settings(amqp_url, **settings)
    async with migrated_store(database_url) as store, serving(service(config), config, store) as application:
        if complete:
            await until(lambda: desk_of(application).complete)
        yield application
