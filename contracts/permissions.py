"""What each user of the broker may do, as data: one user for each kind of process, with no right that it does not need.

RabbitMQ has three rights: to configure (declare, delete), to write (publish to an exchange, bind a queue) and to read
(consume, bind to an exchange). A process that only has these must run with OCPP_AMQP_DECLARE=off.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from contracts import topology
from contracts.actions import Service

DEFAULT_EXCHANGE = "amq.default"
"""How RabbitMQ calls the exchange without a name where it checks rights: who may write to it reaches every queue."""

NOTHING = "^$"
_EVERYTHING_OF_OURS = r"^ocpp\..*$"
_TEMPORARY = r"amq\.gen-.*"
BACKEND_QUEUES = r"backend\..*"
"""What a backend calls its own queues."""


class BrokerUser(StrEnum):
    """Who logs in; the user's name on the broker has a prefix before it."""

    GATEWAY = "gateway"
    AUTHORIZATION = "authorization"
    METERING = "metering"
    FIRMWARE = "firmware"
    DIAGNOSTICS = "diagnostics"
    COMMANDS = "commands"
    BACKEND = "backend"
    """Sends commands and jobs, hears events."""
    OPERATOR = "operator"
    """`ocppctl`, but for dead letters."""
    REPAIR = "repair"
    """`ocppctl` with dead letters: whoever replays them may write whatever charge points and gateways write."""
    DECLARE = "declare"
    """`ocpp-gateway declare`."""
    MONITORING = "monitoring"
    """Reads the management API and the metrics; no message."""


@dataclass(frozen=True, slots=True)
class Permission:
    """Anchored patterns of names, and the user's tags."""

    configure: str = NOTHING
    write: str = NOTHING
    read: str = NOTHING
    tags: str = ""


def _of(*names: str, patterns: tuple[str, ...] = ()) -> str:
    return f"^({'|'.join([*map(re.escape, names), *patterns])})$"


def _private(prefix: str) -> str:
    return re.escape(f"{prefix}.") + ".*"


def _worker(service: Service, *, write: tuple[str, ...] = (), read: tuple[str, ...] = ()) -> Permission:
    own = _private(f"ocpp.outcomes.{service}")
    return Permission(
        configure=_of(patterns=(own,)),
        write=_of(DEFAULT_EXCHANGE, *write, patterns=(own,)),  # replies go through the default exchange
        read=_of(*read, patterns=(own,)),
    )


def _relay(service: Service, *, write: tuple[str, ...] = (), read: tuple[str, ...] = ()) -> Permission:
    return _worker(service, write=write, read=(topology.calls_queue(service), *read))


def _client(*, write: tuple[str, ...], read: tuple[str, ...], patterns: tuple[str, ...] = ()) -> Permission:
    own = (_private("ocpp.client"), _TEMPORARY, *patterns)
    return Permission(_of(patterns=own), _of(*write, patterns=own), _of(*read, patterns=own))


_GATEWAY_QUEUES = _private("ocpp.gateway")
_OPERATOR_WRITES = (topology.COMMANDS, topology.SERVICES, topology.OPERATIONS, DEFAULT_EXCHANGE)
_OPERATOR_READS = (topology.EVENTS, topology.FRAMES)
_OPERATOR_QUEUES = (_private("ocpp.ctl.events"),)

PERMISSIONS: dict[BrokerUser, Permission] = {
    BrokerUser.GATEWAY: Permission(
        configure=_of(patterns=(_GATEWAY_QUEUES,)),
        # the default exchange: outcomes, snapshots, and the frame log's stream
        write=_of(
            topology.CALLS, topology.SESSIONS, topology.ADMISSIONS, DEFAULT_EXCHANGE, patterns=(_GATEWAY_QUEUES,)
        ),
        read=_of(topology.GATEWAYS, topology.SESSIONS, topology.ADMISSION_CHANGED, patterns=(_GATEWAY_QUEUES,)),
    ),
    BrokerUser.AUTHORIZATION: _relay(
        Service.AUTHORIZATION,
        write=(topology.COMMANDS, topology.ADMISSION_CHANGED),
        read=(topology.admission_queue(), topology.SECURITY),
    ),
    BrokerUser.METERING: _relay(Service.METERING),
    BrokerUser.FIRMWARE: _relay(
        Service.FIRMWARE, write=(topology.COMMANDS,), read=(topology.jobs_queue(Service.FIRMWARE),)
    ),
    BrokerUser.DIAGNOSTICS: _relay(
        Service.DIAGNOSTICS, write=(topology.COMMANDS,), read=(topology.jobs_queue(Service.DIAGNOSTICS),)
    ),
    BrokerUser.COMMANDS: _worker(
        Service.COMMANDS,
        write=(topology.GATEWAYS, topology.SESSIONS, topology.COMMANDS, topology.EVENTS, topology.ADMISSION_CHANGED),
        read=(
            *topology.COMMAND_QUEUES,
            topology.UNDELIVERABLE_COMMANDS,
            topology.PRESENCE,
            topology.OPERATOR,
            topology.SESSIONS,
        ),
    ),
    BrokerUser.BACKEND: _client(
        write=(topology.COMMANDS, topology.SERVICES), read=(topology.EVENTS,), patterns=(BACKEND_QUEUES,)
    ),
    BrokerUser.OPERATOR: _client(write=_OPERATOR_WRITES, read=_OPERATOR_READS, patterns=_OPERATOR_QUEUES),
    BrokerUser.REPAIR: _client(
        write=(*_OPERATOR_WRITES, topology.CALLS, topology.SESSIONS, topology.ADMISSIONS),
        read=(*_OPERATOR_READS, topology.DEAD_LETTERS),
        patterns=_OPERATOR_QUEUES,
    ),
    BrokerUser.DECLARE: Permission(_EVERYTHING_OF_OURS, _EVERYTHING_OF_OURS, _EVERYTHING_OF_OURS, tags="policymaker"),
    BrokerUser.MONITORING: Permission(tags="monitoring"),
}
