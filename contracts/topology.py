"""The broker's topology as data: exchanges, queues, bindings, policies, and the keys that tie them.

It is O(services + gateways): nothing is declared per charge point. `contracts.broker.declare` applies it.
"""

from dataclasses import dataclass, field
from typing import Any

from contracts import actions
from contracts.actions import Service
from contracts.versions import Version

CALLS = "ocpp.calls"
GATEWAYS = "ocpp.gateways"
SERVICES = "ocpp.services"
ADMISSIONS = "ocpp.admissions"
OPERATIONS = "ocpp.operations"
COMMANDS = "ocpp.commands"
SESSIONS = "ocpp.sessions"
EVENTS = "ocpp.events"
DEAD = "ocpp.dead"
DEAD_LETTERS = "ocpp.dead-letters"

COMMAND_QUEUES = tuple(f"ocpp.commands.{number}" for number in range(4))
"""The shards of `ocpp.commands`; a charge point's commands are always in the same one, in order."""

UNDELIVERABLE_COMMANDS = "ocpp.commands.undeliverable"
"""Commands that the broker gave up (expired there, or delivered too often): each still gets its outcome."""

PRESENCE = "ocpp.sessions.presence"
"""The durable queue of all announcements: presence in the store, and session events."""

FRAMES = "ocpp.frames"
"""The stream of the frame log; publishers reach it by the default exchange."""

OPERATOR = "ocpp.operator"
"""The queue of operator requests; also its routing key on `ocpp.operations`."""

SECURITY = "ocpp.operator.security"
"""The queue of operator requests about credentials and certificates; also its routing key on `ocpp.operations`."""

ADMISSION_CHANGED = "ocpp.admission.changed"
"""The fanout by which gateways hear that what they know of a charge point is out of date."""

ADMISSION_KEY = "admission"
HASHED = "x-consistent-hash"
"""The exchange type of the plugin rabbitmq_consistent_hash_exchange, which comes with RabbitMQ but is off at first."""

FRAME_LOG_BYTES = 2 * 1024**3
FRAME_LOG_AGE = "24h"
FRAME_LOG_SEGMENT_BYTES = 50 * 1000**2
"""The broker drops whole segments: so much of the frame log may be there beyond its bounds."""

DELIVERY_LIMIT = 20
"""Broken connections and crashed workers count as deliveries too: far above a worker's own tries of a bad Call."""

NO_DELIVERY_LIMIT = 1_000_000_000
"""For queues where a look counts as a delivery: RabbitMQ 3 takes no -1 for "none", and 4 has a limit of 20 unasked."""

CONSUMER_TIMEOUT_MS = 24 * 3600 * 1000
"""Workers hold deliveries while the database is away (RabbitMQ 3.12 and later read this; its default is 30 min)."""

RELAY_SERVICES = (Service.AUTHORIZATION, Service.METERING, Service.FIRMWARE, Service.DIAGNOSTICS)


@dataclass(frozen=True, slots=True)
class Exchange:
    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable queue. Immutable traits are arguments; what operators may tune is a Policy."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    exclusive: bool = False
    """Not durable: only for the connection that declares it, and gone with it."""


@dataclass(frozen=True, slots=True)
class Binding:
    exchange: str
    queue: str
    key: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Policy:
    """A RabbitMQ policy; applied through the management API, as AMQP itself cannot."""

    name: str
    pattern: str
    definition: dict[str, Any]
    apply_to: str = "queues"
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Topology:
    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]
    policies: tuple[Policy, ...]


def command_key(identity: str) -> str:
    """The routing key of a charge point's commands on `ocpp.commands`: the identity as it is."""
    return identity


def call_key(version: Version, action: str) -> str | None:
    """Routing key of a Call, or None when the action's name cannot be one word of a key (so nobody serves it)."""
    if len(action) > 100 or not action.isascii() or not action.replace("-", "").isalnum():
        return None
    return f"{version.token}.{action}"


def calls_queue(service: Service) -> str:
    """The queue a service consumes Calls from."""
    return f"ocpp.calls.{service}"


def jobs_queue(service: Service) -> str:
    """The queue of job requests for firmware or diagnostics; also its routing key on `ocpp.services`."""
    return f"ocpp.jobs.{service}"


def admission_queue() -> str:
    """The queue of admission queries, consumed by authorization."""
    return "ocpp.admission"


def _quorum(*, at_least_once: bool = False, single: bool = False) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-consumer-timeout": CONSUMER_TIMEOUT_MS,
        "x-dead-letter-exchange": DEAD,
        "x-overflow": "reject-publish",
    }
    if at_least_once:
        arguments["x-dead-letter-strategy"] = "at-least-once"
    if single:
        arguments["x-single-active-consumer"] = True
    return arguments


def _bindings() -> tuple[Binding, ...]:
    calls = tuple(
        Binding(CALLS, calls_queue(action.owner), f"{action.version.token}.{action.name}")
        for action in actions.table().values()
        if action.from_charge_point
    )
    # Expired Calls die in silence; only what a worker could not digest is kept for a person to look at.
    dead = tuple(
        Binding(DEAD, DEAD_LETTERS, "", {"x-match": "any-with-x", "x-first-death-reason": reason})
        for reason in ("rejected", "delivery_limit")
    )
    services = (
        Binding(ADMISSIONS, admission_queue(), ADMISSION_KEY),
        Binding(SERVICES, jobs_queue(Service.FIRMWARE), jobs_queue(Service.FIRMWARE)),
        Binding(SERVICES, jobs_queue(Service.DIAGNOSTICS), jobs_queue(Service.DIAGNOSTICS)),
        Binding(OPERATIONS, OPERATOR, OPERATOR),
        Binding(OPERATIONS, SECURITY, SECURITY),
    )
    # The key of a consistent-hash binding is its weight.
    shards = tuple(Binding(COMMANDS, queue, "1") for queue in COMMAND_QUEUES)
    given_up = tuple(
        Binding(DEAD, UNDELIVERABLE_COMMANDS, "", {"x-match": "all-with-x", "x-first-death-queue": queue})
        for queue in COMMAND_QUEUES
    )
    return (*calls, *dead, *services, *shards, *given_up, Binding(SESSIONS, PRESENCE))


_DEAD_LETTERS = {
    "x-queue-type": "quorum",
    "x-overflow": "reject-publish",
    "x-delivery-limit": NO_DELIVERY_LIMIT,
    "x-consumer-timeout": CONSUMER_TIMEOUT_MS,
}

TOPOLOGY = Topology(
    exchanges=(
        Exchange(CALLS, "topic"),
        Exchange(GATEWAYS, "direct"),
        # Apart, as a right to publish is a right to all keys of an exchange: backends have it for jobs alone.
        Exchange(SERVICES, "direct"),
        Exchange(ADMISSIONS, "direct"),
        Exchange(OPERATIONS, "direct"),
        Exchange(COMMANDS, HASHED),
        Exchange(SESSIONS, "fanout"),
        Exchange(ADMISSION_CHANGED, "fanout"),
        Exchange(EVENTS, "topic"),
        Exchange(DEAD, "headers"),
    ),
    queues=(
        *(
            Queue(calls_queue(service), _quorum(at_least_once=service is Service.METERING))
            for service in RELAY_SERVICES
        ),
        Queue(jobs_queue(Service.FIRMWARE), _quorum()),
        Queue(jobs_queue(Service.DIAGNOSTICS), _quorum()),
        Queue(admission_queue(), _quorum()),
        Queue(OPERATOR, _quorum()),
        Queue(SECURITY, _quorum()),
        *(Queue(queue, _quorum(at_least_once=True, single=True)) for queue in COMMAND_QUEUES),
        Queue(UNDELIVERABLE_COMMANDS, _quorum()),
        Queue(PRESENCE, _quorum(single=True)),
        Queue(DEAD_LETTERS, _DEAD_LETTERS),
    ),
    bindings=_bindings(),
    policies=(
        # Full queues refuse publishes (reject-publish); gateways then hold back and the sockets feel it.
        Policy("ocpp-calls-bound", r"^ocpp\.calls\.", {"max-length-bytes": 4 * 1024**3}),
        Policy("ocpp-commands-bound", r"^ocpp\.commands\.", {"max-length-bytes": 1024**3}),
        Policy("ocpp-dead-letters-bound", r"^ocpp\.dead-letters$", {"max-length-bytes": 1024**3}),
    ),
)

_FRAME_STREAM = {
    "x-queue-type": "stream",
    "x-max-length-bytes": FRAME_LOG_BYTES,
    "x-max-age": FRAME_LOG_AGE,
    "x-stream-max-segment-size-bytes": FRAME_LOG_SEGMENT_BYTES,
}
# Apart, for links of their own: a stream that the broker cannot serve must not keep anybody from relaying.
FRAME_LOG_TOPOLOGY = Topology(exchanges=(), queues=(Queue(FRAMES, _FRAME_STREAM),), bindings=(), policies=())
