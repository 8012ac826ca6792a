"""Servers that somebody else runs: used by their URL as it is, never started or stopped."""

from tools.nodes.management import ManagementApi, with_vhost
from tools.nodes.sql import SqlAdmin


class GivenBroker:
    """The broker of AMQP_URL; with AMQP_MANAGEMENT_URL too, vhosts can be made on it."""

    def __init__(self, amqp_url: str, management_url: str | None = None) -> None:
        self.amqp_url = amqp_url
        self.management_url = management_url

    def start(self) -> None:
        """Nothing: it runs already, or its user will see that it does not."""

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
