"""Channels, operations and the broker's topology, from contracts.topology."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from contracts import topology
from contracts.actions import Service
from contracts.events import EVENTS, binding_key, event_key
from tools.asyncapi.examples import IDENTITY

_TYPES = {exchange.name: exchange.type for exchange in topology.TOPOLOGY.exchanges}
_AMQP_TYPES = {"topic", "direct", "fanout", "headers"}
"""Those that the AMQP binding of AsyncAPI has a word for."""

_IDENTITY = {"description": "The charge point's identity as it is, in UTF-8.", "examples": [IDENTITY]}
_REPLY_ADDRESS = {"location": "$message.header#/reply_to", "description": "The queue that the request names."}


def channels() -> dict[str, Any]:
    """Where what is published, and by whom it is read."""
    return {
        "commands": _exchange(
            topology.COMMANDS,
            "{identity}",
            "Commands for charge points. The routing key is the identity, which also chooses the queue: commands for "
            "one charge point stay in the order in which they were published. (Those of type `wake`, without a "
            "body, are our own: they make the service look at what is held.)",
            ["CommandRequest"],
            parameters={"identity": _IDENTITY},
        ),
        "replies": _queue(
            None,
            "A queue of the backend's own, or direct reply-to: where `reply_to` of a request points.",
            ["CommandOutcome", "CommandReceipt", "OperatorAnswer", "JobReceipt"],
        ),
        "events": _exchange(
            topology.EVENTS,
            "{eventType}.{identityToken}",
            "Domain events. Bind a durable queue of your own, with the keys of what you want: "
            f"`{binding_key()}` is everything, `{binding_key('transaction.ended')}` one type, "
            f"`{binding_key(identity=IDENTITY)}` one charge point.",
            list(EVENTS),
            parameters={
                "eventType": {"description": "Two words with a dot between.", "enum": list(EVENTS)},
                "identityToken": {
                    "description": "The identity as one word: bytes of its UTF-8 outside `A-Za-z0-9_-` are `=XX`; of "
                    "a result of more than 160 characters the first 94, `=h` and the SHA-256 of the identity in hex.",
                    "examples": [event_key("x", "DE*ABC.1").partition(".")[2]],
                },
            },
        ),
        "operator": _exchange(
            topology.OPERATIONS, topology.OPERATOR, "Queries and changes of what is on record.", ["OperatorRequest"]
        ),
        **{
            f"jobs.{service}": _exchange(
                topology.SERVICES,
                topology.jobs_queue(service),
                f"Jobs of the {service} service (docs/jobs.md).",
                ["JobRequest"],
            )
            for service in (Service.FIRMWARE, Service.DIAGNOSTICS)
        },
        "frames": _queue(
            topology.FRAMES,
            "A stream of every OCPP frame each way. Consuming takes nothing away: choose where to begin with the "
            "consumer argument `x-stream-offset`, set a prefetch, and ack.",
            ["FrameBatch"],
        ),
        **_internal_channels(),
    }


def operations() -> dict[str, Any]:
    """What a backend does."""
    return {
        "sendCommand": _ask("commands", "CommandRequest", "CommandOutcome", "CommandReceipt"),
        "receiveEvents": {
            "action": "receive",
            "channel": {"$ref": "#/channels/events"},
            "summary": "Consume a durable queue with acks: an event counts as delivered when it is acked.",
            "bindings": {"amqp": {"ack": True, "bindingVersion": "0.3.0"}},
            "messages": _from("events", EVENTS),
        },
        "askOperator": _ask("operator", "OperatorRequest", "OperatorAnswer"),
        "requestFirmwareJob": _ask("jobs.firmware", "JobRequest", "JobReceipt"),
        "requestDiagnosticsJob": _ask("jobs.diagnostics", "JobRequest", "JobReceipt"),
        "readFrames": {
            "action": "receive",
            "channel": {"$ref": "#/channels/frames"},
            "bindings": {"amqp": {"ack": True, "bindingVersion": "0.3.0"}},
            "messages": _from("frames", ["FrameBatch"]),
        },
    }


def described_topology() -> dict[str, Any]:
    """Every exchange, queue and binding that the processes declare. Backends declare none of them."""
    whole = topology.TOPOLOGY
    queues = (*whole.queues, *topology.FRAME_LOG_TOPOLOGY.queues)
    return {
        "exchanges": {exchange.name: {"type": exchange.type, "durable": True} for exchange in whole.exchanges},
        "queues": {queue.name: {"durable": True, "arguments": queue.arguments} for queue in queues},
        "bindings": [
            {"exchange": exchange, "queue": queue, "keys": keys, **({"arguments": arguments} if arguments else {})}
            for exchange, queue, keys, arguments in _bindings(whole.bindings)
        ],
        "policies": [
            {"name": policy.name, "pattern": policy.pattern, "definition": policy.definition}
            for policy in whole.policies
        ],
    }


def _bindings(bindings: Iterable[topology.Binding]) -> Iterator[tuple[str, str, list[str], dict[str, Any]]]:
    """Bindings of one queue that differ by the key alone as one."""
    by_queue = sorted(bindings, key=lambda binding: (binding.exchange, binding.queue))
    for (exchange, queue), together in groupby(by_queue, lambda binding: (binding.exchange, binding.queue)):
        plain = []
        for binding in together:
            if binding.arguments:
                yield exchange, queue, [binding.key], binding.arguments
            else:
                plain.append(binding.key)
        if plain:
            yield exchange, queue, sorted(plain), {}


def _internal_channels() -> dict[str, Any]:
    internal = {
        "internal.calls": _exchange(
            topology.CALLS,
            "{version}.{action}",
            "Calls of charge points; one worker queue reads each.",
            ["CallEnvelope"],
            parameters={
                "version": {"enum": ["ocpp16", "ocpp201", "ocpp21"]},
                "action": {"description": "The OCPP action.", "examples": ["BootNotification"]},
            },
        ),
        "internal.gateways": _exchange(
            topology.GATEWAYS,
            "{gateway}",
            "Commands for sessions of one gateway; its own queue reads them.",
            ["CommandEnvelope"],
            parameters={"gateway": {"description": "The gateway's id."}},
        ),
        "internal.sessions": _exchange(
            topology.SESSIONS,
            "",
            "What gateways tell about their sessions. Every gateway, every commands process and the queue "
            f"`{topology.PRESENCE}` read it.",
            ["Announcement", "Heartbeat", "SnapshotRequest"],
        ),
        "internal.admission": _exchange(
            topology.ADMISSIONS, topology.ADMISSION_KEY, "May an identity connect?", ["AdmissionQuery"]
        ),
        "internal.replies": _queue(
            None,
            "Private queues of gateways and of commands processes.",
            ["ReplyEnvelope", "AdmissionVerdict", "OutcomeEnvelope", "Announcement"],
        ),
    }
    for channel in internal.values():
        channel["tags"] = [{"name": "internal"}]
    return internal


def _exchange(
    name: str, key: str, description: str, messages: Iterable[str], *, parameters: dict[str, Any] | None = None
) -> dict[str, Any]:
    kind = _TYPES[name]
    exchange = {"name": name, **({"type": kind} if kind in _AMQP_TYPES else {"x-type": kind}), "durable": True}
    return {
        "address": key,
        "description": f"Exchange `{name}` ({kind}), routing key `{key}`. {description}",
        "messages": _named(messages),
        **({"parameters": parameters} if parameters else {}),
        "bindings": {"amqp": {"is": "routingKey", "exchange": exchange, "bindingVersion": "0.3.0"}},
    }


def _queue(name: str | None, description: str, messages: Iterable[str]) -> dict[str, Any]:
    queue = {} if name is None else {"name": name, "durable": True, "exclusive": False, "autoDelete": False}
    return {
        "address": name,
        "description": description,
        "messages": _named(messages),
        "bindings": {"amqp": {"is": "queue", "queue": queue, "bindingVersion": "0.3.0"}},
    }


def _named(messages: Iterable[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/messages/{name}"} for name in messages}


def _from(channel: str, messages: Iterable[str]) -> list[dict[str, str]]:
    return [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages]


def _ask(channel: str, request: str, *answers: str) -> dict[str, Any]:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": "Publish with publisher confirms; what is not confirmed may not be there: publish it again.",
        "bindings": {"amqp": {"deliveryMode": 2, "mandatory": True, "bindingVersion": "0.3.0"}},
        "messages": _from(channel, [request]),
        "reply": {
            "address": _REPLY_ADDRESS,
            "channel": {"$ref": "#/channels/replies"},
            "messages": _from("replies", answers),
        },
    }
