"""Servers that somebody else runs: used by their URL as it is, never started or stopped."""

import asyncio

from contracts.broker.endpoint import BrokerEndpoint
from contracts.broker.wire import Deaf, connect
from contracts.errors import ContractError
from tools.nodes.faces import NodeFailed
from tools.nodes.management import ManagementApi, with_vhost
from tools.nodes.sql import SqlAdmin, in_own_loop

_LOGIN_TIMEOUT_S = 10


class GivenBroker:
    """The broker of AMQP_URL; with AMQP_MANAGEMENT_URL too, vhosts can be made on it."""

    def __init__(self, amqp_url: str, management_url: str | None = None) -> None:
        self.amqp_url = amqp_url
        self.management_url = management_url

    def start(self) -> None:
        """Log in once, so that a wrong URL is told at once and in words; raises NodeFailed."""
        try:
            endpoint = BrokerEndpoint.parse(self.amqp_url)
        except ValueError as error:
            raise NodeFailed(f"AMQP_URL: {error}") from None
        try:
            in_own_loop(_log_in(endpoint))
        except (OSError, TimeoutError, ContractError) as error:
            why = str(error) or f"no answer in {_LOGIN_TIMEOUT_S} s"
            raise NodeFailed(f"the broker of AMQP_URL, {endpoint}, cannot be used: {why}") from None

    def stop(self) -> None:
        """Nothing: it is not ours."""

    def discard(self) -> None:
        """Nothing: it is not ours."""

    def create_vhost(self, name: str) -> str:
        """Return the URL of a new vhost, or with no management API the given URL."""
        if self.management_url is None:
            return self.amqp_url
        ManagementApi(self.management_url).create_vhost(name)
        return with_vhost(self.amqp_url, name)

    def delete_vhost(self, name: str) -> None:
        """Delete a vhost that `create_vhost` made."""
        if self.management_url is not None:
            ManagementApi(self.management_url).delete_vhost(name)


async def _log_in(endpoint: BrokerEndpoint) -> None:
    async with asyncio.timeout(_LOGIN_TIMEOUT_S):
        wire = await connect(endpoint, Deaf(), "log-in check", heartbeat_s=20)
        await wire.close(politely=True)


class GivenDatabase:
    """The server of DATABASE_URL; its role needs CREATEDB where databases are made on it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def start(self) -> None:
        """Nothing: it runs already, or its user will see that it does not."""

    def stop(self) -> None:
        """Nothing: it is not ours."""

    def discard(self) -> None:
        """Nothing: it is not ours."""

    def kill_backends(self) -> int:
        """Cut all other client connections that the role may cut."""
        return SqlAdmin(self.url).kill_backends()

    def create_database(self, name: str) -> str:
        """Return the URL of a new, empty database beside the given one."""
        return SqlAdmin(self.url).create_database(name)

    def drop_database(self, name: str) -> None:
        """Drop a database that `create_database` made."""
        SqlAdmin(self.url).drop_database(name)
