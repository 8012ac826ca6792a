"""Private broker, database and Prometheus nodes on loopback: for `make run` and for the tests.

Everything a node writes is below the data directory it was given; it leaves no process behind, however its owner ends.
"""

from tools.nodes.choose import broker_for, database_for, own_broker_for, own_database_for
from tools.nodes.faces import Broker, Database, KillableBroker, KillableDatabase, NodeFailed, NodeUnavailable
from tools.nodes.postgres import PrivatePostgres
from tools.nodes.prometheus import PrivatePrometheus
from tools.nodes.rabbitmq import PrivateRabbit

__all__ = [
    "Broker",
    "Database",
    "KillableBroker",
    "KillableDatabase",
    "NodeFailed",
    "NodeUnavailable",
    "PrivatePostgres",
    "PrivatePrometheus",
    "PrivateRabbit",
    "broker_for",
    "database_for",
    "own_broker_for",
    "own_database_for",
]
