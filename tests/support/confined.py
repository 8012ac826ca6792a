"""The whole system, each process with a broker user and a database role of its own and no right beyond its needs."""

import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import asyncpg
import pytest

from contracts.actions import Service
from contracts.broker.declare import declare
from contracts.broker.endpoint import BrokerEndpoint
from contracts.broker.grant import grant
from contracts.errors import BrokerRefusedError
from contracts.permissions import BrokerUser
from contracts.topology import FRAME_LOG_TOPOLOGY, TOPOLOGY
from tests.support.signing import authority_files
from tools.nodes import Broker, Database
from tools.nodes.management import ManagementApi
from tools.nodes.sql import in_own_loop, plain_url
from tools.stack import SERVICES, Stack

PASSWORDS = {user: secrets.token_urlsafe(16) for user in BrokerUser}


@dataclass
class Confined:
    """A running system of confined processes."""

    stack: Stack
    amqp_url: str
    """The administrator's."""
    management_url: str
    database_url: str
    prefix: str

    @property
    def vhost(self) -> str:
        return BrokerEndpoint.parse(self.amqp_url).vhost

    def amqp_as(self, user: BrokerUser) -> str:
        return logged_in(self.amqp_url, self.prefix + user, PASSWORDS[user])

    async def sql_as(self, service: str, statement: str) -> None:
        connection = await asyncpg.connect(plain_url(logged_in(self.database_url, self.prefix + service, "x")))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


def logged_in(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{quote(user)}:{quote(password)}@{place}").geturl()


@contextmanager
def confined_system(rabbit: Broker, postgres: Database, logs: Path, **more: str) -> Iterator[Confined]:
    """Two gateways and the workers, with these settings besides; all is gone afterwards."""
    if rabbit.management_url is None:
        pytest.skip("needs AMQP_MANAGEMENT_URL beside AMQP_URL")
    name = f"least_{uuid.uuid4().hex[:8]}"
    prefix = f"{name}_"
    amqp_url, database_url = rabbit.create_vhost(name), postgres.create_database(name)
    own: dict[str, dict[str, str]] = {}
    try:
        in_own_loop(prepare_broker(amqp_url, rabbit.management_url, prefix))
        for user in BrokerUser:
            own[user] = {"AMQP_URL": logged_in(amqp_url, prefix + user, PASSWORDS[user])}
        authority = authority_files(logs)
        own[Service.AUTHORIZATION] |= {
            "OCPP_WORKER_CA_CERTIFICATE_FILE": str(authority["ca_certificate_file"]),
            "OCPP_WORKER_CA_KEY_FILE": str(authority["ca_key_file"]),
        }
        for service in SERVICES:
            own[service]["DATABASE_URL"] = logged_in(database_url, prefix + service, "x")
        settings = {
            "OCPP_AMQP_DECLARE": "off",
            "OCPP_GATEWAY_FRAME_LOG": "on",
            "OCPP_WORKER_UNKNOWN_TOKENS": "accept",
            **more,
        }
        stack = Stack(
            amqp_url=amqp_url,
            database_url=database_url,
            logs=logs,
            gateways=2,
            settings=settings,
            own_settings=own,
        )
        stack.migrate()
        stack.run_worker_command("grant-roles", "--prefix", prefix)
        in_own_loop(let_in(database_url, [prefix + service for service in (*SERVICES, "show")]))
        try:
            stack.start()
            yield Confined(stack, amqp_url, rabbit.management_url, database_url, prefix)
        finally:
            stack.stop(timeout_s=10)
    finally:
        for user in BrokerUser:
            ManagementApi(rabbit.management_url).request("DELETE", f"/api/users/{prefix}{user}")
        rabbit.delete_vhost(name)
        postgres.drop_database(name)


async def prepare_broker(amqp_url: str, management_url: str, prefix: str) -> None:
    vhost = BrokerEndpoint.parse(amqp_url).vhost
    with pytest.raises(BrokerRefusedError, match="no password"):
        await grant(management_url, BrokerUser, {}, vhost=vhost, prefix=prefix)
    some: dict[BrokerUser, str] = {user: PASSWORDS[user] for user in BrokerUser if user is not BrokerUser.MONITORING}
    made = await grant(management_url, BrokerUser, some, vhost=vhost, prefix=prefix, generate=True)
    assert set(made) == {BrokerUser.MONITORING}
    before = ManagementApi(management_url).request("GET", f"/api/users/{prefix}gateway")
    assert await grant(management_url, BrokerUser, PASSWORDS, vhost=vhost, prefix=prefix) == {}
    assert ManagementApi(management_url).request("GET", f"/api/users/{prefix}gateway") == before
    as_declarer = logged_in(amqp_url, prefix + BrokerUser.DECLARE, PASSWORDS[BrokerUser.DECLARE])
    await declare(as_declarer, TOPOLOGY)
    await declare(as_declarer, FRAME_LOG_TOPOLOGY)


async def let_in(database_url: str, roles: list[str]) -> None:
    connection = await asyncpg.connect(plain_url(database_url))
    try:
        for role in roles:
            await connection.execute(f"ALTER ROLE {role} LOGIN PASSWORD 'x'")
    finally:
        await connection.close()
