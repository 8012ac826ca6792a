"""An authorization service that signs certificates, what a charge point asks of it, and what it has on record."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson

from contracts.envelope import CommandEnvelope, OutcomeEnvelope, OutcomeKind
from contracts.versions import Version
from tests.support.calling import GATEWAY, Caller, caller_on
from tests.support.certificates import Authority
from tests.support.commanding import bringing_commands
from tests.support.serving import serving, worker_settings
from tests.support.worker_store import all_rows, connect, migrated_store
from workers.authorization.service import service
from workers.store.engine import Store
from workers.store.security_tables import certificate_requests, issued_certificates

ROOT = Authority("Test CA")
Answers = Callable[[CommandEnvelope], OutcomeEnvelope | None]


def saying(kind: OutcomeKind, **answers: dict[str, Any]) -> Answers:
    """A charge point that answers each action so, Accepted where nothing is said."""

    def answer(command: CommandEnvelope) -> OutcomeEnvelope:
        payload = answers.get(command.action, {"status": "Accepted"})
        return OutcomeEnvelope(
            command.command_id, command.identity, kind, GATEWAY, command.session, payload=orjson.dumps(payload)
        )

    return answer


@asynccontextmanager
async def world(
    amqp_url: str, database_url: str, *, online: bool = True, **settings: Any
) -> AsyncIterator[tuple[Caller, Store]]:
    config = worker_settings(amqp_url, **settings)
    async with migrated_store(database_url) as store:
        if online:
            async with store.transaction() as transaction:
                await connect(transaction, "CP-1", GATEWAY)
        async with (
            bringing_commands(amqp_url, store),
            serving(service(config), config, store),
            caller_on(amqp_url) as caller,
        ):
            caller.answer_command = saying(OutcomeKind.RESULT)
            yield caller, store


async def sign(caller: Caller, request: str, version: Version = Version.V16, **more: Any) -> str:
    reply = await caller.call("SignCertificate", {"csr": request, **more}, version=version)
    assert reply.error is None, reply.description
    status: str = orjson.loads(reply.payload)["status"]
    return status


async def requests_in(store: Store, *states: str) -> list[dict[str, Any]]:
    """The requests, oldest first, once these are their states."""
    async with asyncio.timeout(20):
        while True:
            rows = sorted(await all_rows(store, certificate_requests), key=lambda row: row["created_at"])
            if [row["state"] for row in rows] == list(states):
                return rows
            await asyncio.sleep(0.02)  # between two looks at the database, which tells nobody when it changes


async def issued(store: Store) -> dict[str, str]:
    return {row["serial"]: row["state"] for row in await all_rows(store, issued_certificates)}
