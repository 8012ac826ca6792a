"""Requests that are answered to a queue of our own, told apart by correlation id."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any
from uuid import uuid4

import structlog

from contracts.broker import Delivery, PrivateQueue, Returned
from contracts.client.linked import Linked


class Lost(Enum):
    """Why a request has no answer; what that means is the asker's to say."""

    CONNECTION = auto()
    UNROUTABLE = auto()
    REFUSED = auto()
    """The broker did not take it: its queue is full."""


@dataclass(slots=True, eq=False)
class _Waiting:
    correlation_id: str = field(default_factory=lambda: uuid4().hex)
    answer: asyncio.Future[Delivery | Lost] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def settle(self, outcome: Delivery | Lost) -> None:
        if not self.answer.done():
            self.answer.set_result(outcome)


class Asker(Linked):
    """Publishes requests and hands each its answer; late and second answers are dropped and counted."""

    def __init__(self, url: str, *, name: str, **link: Any) -> None:
        super().__init__(url, name=name, private_queue=PrivateQueue(f"ocpp.client.{name}"), **link)
        self._waiting: dict[str, _Waiting] = {}
        self._log = structlog.get_logger()
        self.dropped = 0
        """Answers that nobody waited for (any more)."""

    async def ask(
        self,
        exchange: str,
        key: str,
        body: bytes,
        *,
        kind: str,
        content_type: str,
        message_id: str = "",
        expiration_ms: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Delivery | Lost:
        """Publish once and return the answer, however long it takes; raises LinkDownError when it was not published.

        With `expiration_ms` the broker throws away what no service has taken by then.
        """
        self.check()
        waiting = _Waiting()
        self.link.publish(
            exchange,
            key,
            body,
            token=waiting,
            mandatory=True,
            persistent=True,
            expiration_ms=expiration_ms,
            correlation_id=waiting.correlation_id,
            reply_to=self.link.reply_queue,
            type=kind,
            message_id=message_id,
            content_type=content_type,
            headers=headers,
        )
        self._waiting[waiting.correlation_id] = waiting
        try:
            return await waiting.answer
        finally:
            del self._waiting[waiting.correlation_id]

    def link_down(self) -> None:
        super().link_down()
        for waiting in self._waiting.values():
            waiting.settle(Lost.CONNECTION)

    def delivered(self, delivery: Delivery) -> None:
        waiting = self._waiting.get(delivery.correlation_id)
        if waiting is None or waiting.answer.done():
            self.dropped += 1
            self._log.debug("client.late_answer", correlation_id=delivery.correlation_id, type=delivery.type)
            return
        waiting.settle(delivery)

    def returned(self, message: Returned) -> None:
        if waiting := self._waiting.get(message.correlation_id):
            waiting.settle(Lost.UNROUTABLE)

    def refused(self, token: object) -> None:
        if isinstance(token, _Waiting):
            token.settle(Lost.REFUSED)
