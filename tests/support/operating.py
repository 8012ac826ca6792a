"""An operator who asks the commands service through the broker."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from contracts import topology
from contracts.bodies import ContentType
from contracts.broker import BrokerLink, Delivery, PrivateQueue, Returned
from contracts.operator import Operation, OperatorAnswer, OperatorRequest, queue_of
from tests.support.calling import until


class Operator:
    """Asks one thing after the other; it is its link's listener."""

    def __init__(self, url: str) -> None:
        self._answers: dict[str, Delivery] = {}
        self._numbers = itertools.count(1)
        self.link = BrokerLink(url, self, name="test operator", private_queue=PrivateQueue("test.operator"))

    async def ask(
        self, operation: Operation, *, content_type: ContentType = ContentType.JSON, **given: Any
    ) -> OperatorAnswer:
        """The answer to a request."""
        body = OperatorRequest(operation=operation, arguments=given).encode(content_type)
        return await self.ask_raw(body, content_type, queue_of(operation))

    async def ask_raw(self, body: bytes, content_type: str, queue: str = topology.OPERATOR) -> OperatorAnswer:
        """The answer to any body."""
        number = f"operator-{next(self._numbers)}"
        self.link.publish(
            topology.OPERATIONS,
            queue,
            body,
            reply_to=self.link.reply_queue,
            correlation_id=number,
            content_type=content_type,
        )
        await until(lambda: number in self._answers)
        delivery = self._answers[number]
        assert (delivery.content_type, delivery.type) == (content_type, OperatorAnswer.KIND)
        return OperatorAnswer.decode(delivery.body, ContentType.of(delivery.content_type))

    def link_up(self) -> None: ...
    def link_down(self) -> None: ...
    def confirmed(self, token: object) -> None: ...
    def refused(self, token: object) -> None: ...
    def flow_changed(self) -> None: ...
    def returned(self, message: Returned) -> None: ...

    def delivered(self, delivery: Delivery) -> None:
        self._answers[delivery.correlation_id] = delivery


@asynccontextmanager
async def operator_on(url: str) -> AsyncIterator[Operator]:
    """A connected operator."""
    operator = Operator(url)
    running = asyncio.create_task(operator.link.run())
    try:
        await until(lambda: operator.link.up)
        yield operator
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
