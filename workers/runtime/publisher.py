"""Publishes whose confirm is awaited: for what must not be forgotten before the broker has it."""

import asyncio

from contracts.broker import BrokerLink
from contracts.errors import LinkDownError


class Publisher:
    """Awaitable publishes on a service's link; the link's listener passes on what happens to them."""

    def __init__(self, link: BrokerLink) -> None:
        self._link = link
        self._waiting: set[asyncio.Future[bool]] = set()

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

    @staticmethod
    def _settle(token: object, *, taken: bool) -> None:
        if isinstance(token, asyncio.Future) and not token.done():
            token.set_result(taken)
