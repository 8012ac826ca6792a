"""Which broker and database this machine offers: the given one, else a private process, else a container."""

import os
from pathlib import Path

from tools.nodes import binaries
from tools.nodes.docker import DockerPostgres, DockerRabbit, docker_answers
from tools.nodes.faces import KillableBroker, KillableDatabase, NodeUnavailable
from tools.nodes.given import GivenBroker, GivenDatabase
from tools.nodes.postgres import PrivatePostgres
from tools.nodes.rabbitmq import PrivateRabbit


def broker_for(data_dir: Path, *, for_load: bool = False) -> GivenBroker | KillableBroker:
    """Return the broker to use, not started: that of AMQP_URL (and AMQP_MANAGEMENT_URL), else one of our own.

    Raises NodeUnavailable, in words for the user, if there is neither.
    """
    given = os.environ.get("AMQP_URL")
    if given:
        return GivenBroker(given, os.environ.get("AMQP_MANAGEMENT_URL") or None)
    return own_broker_for(data_dir, for_load=for_load)


def own_broker_for(data_dir: Path, *, for_load: bool = False) -> KillableBroker:
    """Return a broker of our own, which may be killed, whatever AMQP_URL says; `for_load`: see PrivateRabbit."""
    try:
        binaries.rabbitmq_server()
        binaries.epmd()
    except NodeUnavailable as unavailable:
        if docker_answers():
            return DockerRabbit(data_dir)
        raise _with_docker(unavailable) from None
    return PrivateRabbit(data_dir, for_load=for_load)


def database_for(data_dir: Path) -> GivenDatabase | KillableDatabase:
    """Return the database server to use, not started: that of DATABASE_URL, else one of our own.

    Raises NodeUnavailable, in words for the user, if there is neither.
    """
    given = os.environ.get("DATABASE_URL")
    if given:
        return GivenDatabase(given)
    return own_database_for(data_dir)


def own_database_for(data_dir: Path) -> KillableDatabase:
    """Return a database server of our own, which may be killed, whatever DATABASE_URL says."""
    try:
        binaries.postgres_directory()
    except NodeUnavailable as unavailable:
        if docker_answers():
            return DockerPostgres(data_dir)
        raise _with_docker(unavailable) from None
    return PrivatePostgres(data_dir)


def _with_docker(unavailable: NodeUnavailable) -> NodeUnavailable:
    return NodeUnavailable(f"{unavailable} A Docker engine would do too, but none answers here.")
