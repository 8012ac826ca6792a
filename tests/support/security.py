"""A store, an operator of credentials, and effects that run against a scripted charge point."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import orjson

from contracts import topology
from contracts.bodies import ContentType
from contracts.broker import Delivery
from contracts.credentials import StoredKey
from contracts.envelope import (
    AdmissionChanged,
    AdmissionNotice,
    AdmissionQuery,
    AdmissionVerdict,
    OutcomeEnvelope,
    OutcomeKind,
)
from contracts.operator import Operation, OperatorAnswer, OperatorRequest
from tests.support.worker_store import migrated_store
from workers.authorization.admission import admission
from workers.authorization.security_operations import CHANGES, OPERATIONS, UNREPEATED
from workers.runtime.calls import Effect
from workers.runtime.commands import Commander
from workers.runtime.context import ServiceContext
from workers.runtime.operator_answering import OperatorDesk
from workers.runtime.publisher import Publisher
from workers.settings import WorkerSettings
from workers.store.engine import Store

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@dataclass
class SecurityWorld:
    """What happens is in `log`: `changed CP` when gateways are told, `sent ACTION` when a command goes out."""

    store: Store
    now: datetime = NOW
    log: list[str] = field(default_factory=list)
    payloads: list[dict[str, Any]] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    answer: Callable[[str], OutcomeEnvelope] = lambda identity: result(identity, {"status": "Accepted"})
    told: bool = True
    meanwhile: Callable[[], Awaitable[object]] | None = None
    """What happens while a command is under way."""

    async def ask(self, operation: Operation, *, run: bool = True, **given: Any) -> OperatorAnswer:
        """Ask, commit, and let the effects run; without `run` the worker dies just after the commit."""
        self.now += timedelta(seconds=1)
        desk = OperatorDesk(OPERATIONS, CHANGES, UNREPEATED)
        async with self.store.transaction() as transaction:
            answer = await desk.answer_to(OperatorRequest(operation=operation, arguments=given), self.now, transaction)
        if run:
            await self.run(transaction.effects)
        return answer

    async def redelivered(self, operation: Operation, **given: Any) -> OperatorAnswer:
        """Ask by a delivery that has come before."""
        body = OperatorRequest(operation=operation, arguments=given).encode(ContentType.JSON)
        delivery = Delivery("", "", body=body, redelivered=True, content_type=ContentType.JSON)
        async with self.store.transaction() as transaction:
            written = await OperatorDesk(OPERATIONS, CHANGES, UNREPEATED).answer(delivery, self.now, transaction)
        return OperatorAnswer.decode(written.body, ContentType.JSON)

    async def item(self, operation: Operation, **given: Any) -> dict[str, Any]:
        """The one item of an answer that must be there."""
        answer = await self.ask(operation, **given)
        assert answer.ok, answer.description
        return answer.items[0]

    async def notice(self, key_id: str | None, profile: int = 1, identity: str = "CP-1") -> None:
        """A gateway tells what a charge point came in with."""
        self.now += timedelta(seconds=1)
        body = AdmissionNotice(identity, "gw", profile, int(self.now.timestamp() * 1000), key_id).encode()
        async with self.store.transaction() as transaction:
            assert await admission([Delivery("", "", body=body)], self.now, transaction) == [None]
        await self.run(transaction.effects)

    async def verdict(self, identity: str = "CP-1") -> AdmissionVerdict:
        """What a gateway is told."""
        body = AdmissionQuery(identity, "gw").encode()
        async with self.store.transaction() as transaction:
            (verdict,) = await admission([Delivery("", "", body=body)], self.now, transaction)
        assert isinstance(verdict, AdmissionVerdict)
        return verdict

    async def lets_in(self, secret: bytes, identity: str = "CP-1") -> str | None:
        """The state of the key that a gateway would take this secret for; None when it refuses it."""
        for line in (await self.verdict(identity)).keys:
            key = StoredKey.decode(line)
            assert key is not None
            if key.matches(secret):
                return "pending" if key.pending else "current"
        return None

    async def run(self, effects: list[Effect]) -> None:
        """Run what follows a commit."""
        context = ServiceContext(
            self.store, cast("Commander", self), cast("Publisher", self), WorkerSettings(), lambda: self.now
        )
        for effect in effects:
            await effect(context)

    # the commander's and the publisher's faces

    async def send(
        self, identity: str, action: str, payload: dict[str, Any], _deadline: datetime, **_more: Any
    ) -> OutcomeEnvelope:
        self.log.append(f"sent {action}")
        self.payloads.append(payload)
        if self.meanwhile is not None:
            await self.meanwhile()
        return self.answer(identity)

    async def publish(self, exchange: str, _key: str, body: bytes, **_more: Any) -> bool:
        assert exchange == topology.ADMISSION_CHANGED
        if self.told:
            self.log.append(f"changed {AdmissionChanged.decode(body).identity}")
        return self.told


def result(identity: str, payload: dict[str, Any]) -> OutcomeEnvelope:
    """The charge point's answer."""
    return OutcomeEnvelope("c", identity, OutcomeKind.RESULT, "gw", payload=orjson.dumps(payload))


@asynccontextmanager
async def security_world(database_url: str) -> AsyncIterator[SecurityWorld]:
    """The store is empty."""
    async with migrated_store(database_url) as store:
        yield SecurityWorld(store)
