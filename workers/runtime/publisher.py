"""Publishes whose confirm is awaited: for what must not be forgotten before the broker has it."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from contracts.broker import BrokerLink
from contracts.errors import LinkDownError


class Letter(NamedTuple):
    """One of many that are published together, persistent."""

    exchange: str
    routing_key: str
    body: bytes
    type: str
    message_id: str
    content_type: str


class _Bundle:
    """Publishes whose confirms are awaited together."""

    __slots__ = ("answers", "done", "left")

    def __init__(self, many: int) -> None:
        self.answers: list[bool | None] = [None] * many
        self.left = many
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settle(self, index: int, *, taken: bool) -> None:
        self.answers[index] = taken
        self.left -= 1
        if not self.left:
            self.end()

    def end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


class _Place(NamedTuple):
    """The token of a bundle's publish."""

    bundle: _Bundle
    number: int


class Publisher:
    """Awaitable publishes on a service's link; the link's listener passes on what happens to them."""

    def __init__(self, link: BrokerLink) -> None:
        self._link = link
        self._waiting: set[asyncio.Future[bool]] = set()
        self._bundles: set[_Bundle] = set()

    async def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        *,
        mandatory: bool = False,
        persistent: bool = True,
        correlation_id: str = "",
        reply_to: str = "",
        type: str = "",  # noqa: A002 - AMQP's own name for the property
        message_id: str = "",
        content_type: str = "application/msgpack",
    ) -> bool:
        """True once the broker has it, False when it refuses; raises LinkDownError when that cannot be known."""
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._link.publish(
            exchange,
            routing_key,
            body,
            token=answer,
            mandatory=mandatory,
            persistent=persistent,
            correlation_id=correlation_id,
            reply_to=reply_to,
            type=type,
            message_id=message_id,
            content_type=content_type,
        )
        self._waiting.add(answer)
        try:
            return await answer
        finally:
            self._waiting.discard(answer)

    async def publish_all(self, letters: Sequence[Letter]) -> list[bool | None]:
        """What `publish` would return of each; None where the link went down before the broker said so."""
        if not letters:
            return []
        bundle = _Bundle(len(letters))
        self._bundles.add(bundle)
        try:
            for index, letter in enumerate(letters):
                self._link.publish(
                    letter.exchange,
                    letter.routing_key,
                    letter.body,
                    token=_Place(bundle, index),
                    persistent=True,
                    type=letter.type,
                    message_id=letter.message_id,
                    content_type=letter.content_type,
                )
            await bundle.done
        except LinkDownError:
            pass  # nobody will confirm those before it either
        finally:
            self._bundles.discard(bundle)
        return bundle.answers

    def confirmed(self, token: object) -> None:
        """The broker has what carried this token."""
        self._settle(token, taken=True)

    def refused(self, token: object) -> None:
        """The broker did not take it."""
        self._settle(token, taken=False)

    def link_lost(self) -> None:
        """Nobody will confirm what was published on that connection."""
        for answer in tuple(self._waiting):
            if not answer.done():
                answer.set_exception(LinkDownError("the broker connection ended before the confirm"))
        for bundle in tuple(self._bundles):
            bundle.end()

    @staticmethod
    def _settle(token: object, *, taken: bool) -> None:
        if isinstance(token, _Place):
            token.bundle.settle(token.number, taken=taken)
        elif isinstance(token, asyncio.Future) and not token.done():
            token.set_result(taken)
