"""What users of a node may rely on, whether it is a process, a container or somebody else's server."""

from typing import Protocol


class NodeUnavailable(Exception):  # noqa: N818 - it is a state of this machine, told in words for its user
    """The machine cannot offer the node; the text says what to do about it."""


class NodeFailed(Exception):  # noqa: N818
    """The node could not be started, or did not do what was asked; the text carries the end of its log."""


class Broker(Protocol):
    """A RabbitMQ broker."""

    @property
    def amqp_url(self) -> str: ...

    @property
    def management_url(self) -> str | None:
        """The management API with its credentials, or None where it is not known."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def discard(self) -> None:
        """Stop without order and delete what the node has stored; a given server is left alone."""

    def create_vhost(self, name: str) -> str:
        """Return the AMQP URL of a new, empty vhost; with no management API, of the only one there is."""

    def delete_vhost(self, name: str) -> None: ...


class Database(Protocol):
    """A PostgreSQL server."""

    @property
    def url(self) -> str: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def discard(self) -> None:
        """Stop without order and delete what the node has stored; a given server is left alone."""

    def kill_backends(self) -> int:
        """Cut all other client connections; return how many there were."""

    def create_database(self, name: str) -> str:
        """Return the URL of a new, empty database."""

    def drop_database(self, name: str) -> None: ...


class KillableBroker(Broker, Protocol):
    """A broker of our own."""

    @property
    def running(self) -> bool:
        """Whether its process is alive."""

    def kill(self) -> None:
        """End it as a crash would."""

    def restart(self) -> None:
        """Start it again on the same ports with the same data."""

    def control(self, *arguments: str) -> str:
        """Run rabbitmqctl against it; what it printed."""


class KillableDatabase(Database, Protocol):
    """A database server of our own."""

    def kill(self) -> None:
        """End it as a crash would."""

    def restart(self) -> None:
        """Start it again on the same port with the same data."""
