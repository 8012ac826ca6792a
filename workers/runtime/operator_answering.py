"""Answering operators: the request is read, done within the transaction, and answered in its content type."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from contracts.bodies import MAX_BYTES, ContentType
from contracts.broker import Delivery
from contracts.errors import BodyError
from contracts.operator import Operation, OperatorAnswer, OperatorRequest, queue_of
from workers.runtime.calls import Written
from workers.runtime.context import ServiceContext
from workers.runtime.operator_reading import Arguments, read, written
from workers.store.engine import StoreTransaction

Item = dict[str, Any]
Operate = Callable[[Any, datetime, StoreTransaction], Awaitable[list[Item] | str | None]]
"""Items, None where there is nothing of that name, or why it cannot be done."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class OperatorDesk:
    """The operations that a service answers, each with its arguments; `changes` are logged once they are committed."""

    operations: Mapping[Operation, tuple[type[Arguments], Operate]]
    changes: frozenset[Operation]
    unrepeated: frozenset[Operation] = frozenset()
    """Those that are not done when they are delivered again: an earlier delivery may have been done and answered."""

    async def answer(self, delivery: Delivery, now: datetime, transaction: StoreTransaction) -> Written:
        """Answer one request, in its content type; a bad one is told what is wrong with it."""
        content_type = ContentType.JSON
        try:
            content_type = ContentType.of(delivery.content_type)
            request = OperatorRequest.decode(delivery.body, content_type)
            if delivery.redelivered and request.operation in self.unrepeated:
                answer = _refused("unavailable", "it may have been done already, or not: look, and ask again")
            else:
                answer = await self.answer_to(request, now, transaction)
        except BodyError as error:
            answer = _refused("bad_request", str(error))
        body = answer.encode(content_type)
        if len(body) > MAX_BYTES:
            why = f"{len(body)} bytes are more than an answer may have: set a smaller limit"
            body = _refused("bad_request", why).encode(content_type)
        return Written(body, content_type, OperatorAnswer.KIND)

    async def answer_to(self, request: OperatorRequest, now: datetime, transaction: StoreTransaction) -> OperatorAnswer:
        """Do what is asked, within the transaction."""
        if request.operation not in self.operations:
            return _refused("bad_request", f"the routing key of {request.operation} is {queue_of(request.operation)}")
        kind, operate = self.operations[request.operation]
        given = read(kind, request.arguments)
        if isinstance(given, str):
            return _refused("bad_request", given)
        items = await operate(given, now, transaction)
        if items is None:
            return _refused("not_found", "nothing of that name is on record")
        if isinstance(items, str):
            return _refused("bad_request", items)
        if request.operation in self.changes:
            _note(transaction, request.operation, given)
        return OperatorAnswer(ok=True, items=[plain(item) for item in items])


def plain(item: Mapping[str, Any]) -> Item:
    """Moments as text: JSON and msgpack are to say the same."""
    return {name: written(value) if isinstance(value, datetime) else value for name, value in item.items()}


def _refused(error: str, description: str) -> OperatorAnswer:
    return OperatorAnswer(ok=False, error=error, description=description)


def _note(transaction: StoreTransaction, operation: Operation, given: Arguments) -> None:
    identity = getattr(given, "identity", None)  # tokens and passwords are never logged

    async def log(_context: ServiceContext) -> None:
        _log.info("operator.changed", operation=operation.value, identity=identity)

    transaction.after_commit(log)
