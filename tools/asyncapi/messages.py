"""The message objects: which body, which AMQP properties, one example each."""

from dataclasses import dataclass, field
from typing import Any

from contracts.bodies import Body, ContentType
from contracts.events import EVENTS
from tools.asyncapi import examples
from tools.asyncapi.schemas import Schema, of_envelope

PROPERTIES: dict[str, Schema] = {
    "content_type": {"type": "string", "enum": [content_type.value for content_type in ContentType]},
    "type": {"type": "string", "description": "The message kind: the body's `t`."},
    "message_id": {"type": "string", "description": "The command id: it names a command whose body cannot be read."},
    "correlation_id": {"type": "string"},
    "reply_to": {"type": "string", "description": "A queue of the sender; answers come by the default exchange."},
    "delivery_mode": {"type": "integer", "enum": [1, 2], "description": "2: persistent."},
    "expiration": {"type": "string", "description": "Milliseconds, as text."},
    "traceparent": {"type": "string", "description": "W3C Trace Context, when the trace is recorded."},
    "tracestate": {"type": "string", "description": "W3C Trace Context, passed on as it came."},
}
PROPERTIES_TEXT = (
    "AMQP 0-9-1 basic properties by their names there, not entries of the headers table, but for `traceparent` and"
    " `tracestate`."
)
TRACED = ("traceparent", "tracestate")
CORRELATED = {
    "location": "$message.header#/correlation_id",
    "description": "Chosen by who asks; the answer has the same.",
}
_ANSWERED = {"correlation_id": "5f2d", "reply_to": "amq.rabbitmq.reply-to"}
_ENCODINGS = (
    "JSON or msgpack, as `content_type` says; JSON when it says nothing. Answers come in the content type of the "
    "request, events in JSON unless the operator chose msgpack."
)
_JSON, _MSGPACK = ContentType.JSON.value, ContentType.MSGPACK.value


@dataclass(frozen=True, slots=True)
class Message:
    """A message kind; `properties` are those of its example, `may` those that it may have besides."""

    name: str
    example: Any
    summary: str
    properties: dict[str, Any]
    may: tuple[str, ...] = ()
    internal: bool = False
    data: str | None = field(default=None)
    """The schema of an event's data."""

    @property
    def kind(self) -> str:
        """The body's `t`."""
        return str(examples.payload_of(self.example)["t"])

    @property
    def correlated(self) -> bool:
        return "correlation_id" in self.properties

    def schema_name(self) -> str:
        """Its place among the document's schemas."""
        return type(self.example).__name__

    def schema(self) -> Schema:
        """The schema of the body."""
        reference = {"$ref": f"#/components/schemas/{self.schema_name()}"}
        if self.data is None:
            return reference
        data = {"$ref": f"#/components/schemas/{self.data}"}
        return {"allOf": [reference, {"properties": {"type": {"const": self.name}, "data": data}}]}

    def headers(self) -> Schema:
        """The schema of its AMQP properties."""
        named = [name for name in PROPERTIES if name in self.properties or name in self.may]
        return {
            "type": "object",
            "description": PROPERTIES_TEXT,
            "properties": {
                name: PROPERTIES[name] if name != "type" else {**PROPERTIES[name], "const": self.properties["type"]}
                for name in named
            },
            "required": [name for name in named if name in self.properties and name not in self.may],
        }

    def described(self) -> dict[str, Any]:
        """The message object."""
        encoding = {"description": _ENCODINGS} if isinstance(self.example, Body) else {}
        return {
            "name": self.name,
            "title": self.name,
            "summary": self.summary,
            **encoding,
            "contentType": self.properties["content_type"],
            "tags": [{"name": "internal" if self.internal else "backend"}],
            **({"correlationId": CORRELATED} if self.correlated else {}),
            "headers": self.headers(),
            "payload": self.schema(),
            "bindings": {"amqp": {"messageType": self.kind, "bindingVersion": "0.3.0"}},
            "examples": [{"name": self.name, "headers": self.properties, "payload": examples.payload_of(self.example)}],
        }


def _body(example: Body, summary: str, properties: dict[str, Any], may: tuple[str, ...] = ()) -> Message:
    whole = {"content_type": _JSON, "type": example.KIND, **properties}
    return Message(type(example).__name__, example, summary, whole, may)


def _internal(example: Any, summary: str, **properties: Any) -> Message:
    name = type(example).__name__
    may = ("content_type", *(TRACED if name in _OF_TRACES else ()))
    return Message(name, example, summary, {"content_type": _MSGPACK, **properties}, may, True)


_OF_TRACES = frozenset({"CallEnvelope", "ReplyEnvelope", "CommandEnvelope", "OutcomeEnvelope"})


_INTERNAL: dict[str, tuple[str, dict[str, Any]]] = {
    "CallEnvelope": ("A Call on its way to a worker.", {"correlation_id": "18204:7:17", "reply_to": "amq.gen-gateway"}),
    "ReplyEnvelope": ("A worker's answer to a Call.", {"correlation_id": "18204:7:17"}),
    "AdmissionQuery": ("May this identity connect?", {"correlation_id": "31", "reply_to": "amq.gen-gateway"}),
    "AdmissionVerdict": ("Whether it may.", {"correlation_id": "31"}),
    "CommandEnvelope": (
        "A command on its way to the gateway that holds the session.",
        {"correlation_id": "#42", "reply_to": "amq.gen-commands"},
    ),
    "OutcomeEnvelope": ("What became of it, as the gateway says.", {"correlation_id": examples.COMMAND_ID}),
    "Announcement": ("Sessions that a gateway opened, closed, or holds.", {"type": "sessions"}),
    "Heartbeat": ("A gateway lives.", {"type": "heartbeat", "expiration": "60000"}),
    "SnapshotRequest": (
        "Somebody asks all gateways what they hold.",
        {"type": "snapshot-request", "reply_to": "amq.gen-commands"},
    ),
}


def all_messages() -> tuple[Message, ...]:
    """Those for backends first, then the internal ones."""
    events = tuple(
        Message(
            data.TYPE,
            examples.event_of(data, number),
            (type(data).__doc__ or "").partition("\n")[0],
            {"content_type": _JSON, "type": "event", "delivery_mode": 2},
            ("delivery_mode",),
            data=EVENTS[data.TYPE].__name__,
        )
        for number, data in enumerate(examples.EVENT_DATA, 1)
    )
    asking, free = {**_ANSWERED, "delivery_mode": 2}, ("content_type", "type", "delivery_mode")
    identified = {"message_id": examples.COMMAND_ID, "correlation_id": "5f2d"}
    return (
        _body(
            examples.COMMAND,
            "A command for one charge point, direct or tracked.",
            {**asking, "message_id": examples.COMMAND_ID},
            (*free, "message_id", *TRACED),
        ),
        _body(examples.OUTCOME, "How a command ended: exactly one for each.", identified, TRACED),
        _body(examples.RECEIPT, "A tracked command is stored, or was already.", identified, TRACED),
        *events,
        _body(examples.OPERATOR_REQUEST, "A query about the store, or a change of what is on record.", asking, free),
        _body(examples.OPERATOR_ANSWER, "The items asked for.", {"correlation_id": "5f2d"}),
        Message(
            "JobRequest",
            examples.JOB_REQUEST,
            "Run a firmware update or a log upload on a charge point.",
            {"content_type": _MSGPACK, **_ANSWERED, "delivery_mode": 2},
            ("content_type", "reply_to", "correlation_id", "delivery_mode"),
        ),
        Message(
            "JobReceipt",
            examples.JOB_RECEIPT,
            "The job is stored, or why not.",
            {"content_type": _MSGPACK, "correlation_id": "5f2d"},
            ("content_type",),
        ),
        Message(
            "FrameBatch",
            examples.FRAMES,
            "OCPP frames as they were on sockets.",
            {"content_type": _MSGPACK},
            ("content_type",),
        ),
        *(
            _internal(example, summary, **properties)
            for example in examples.INTERNAL
            for summary, properties in [_INTERNAL[type(example).__name__]]
        ),
    )


def envelope_schemas() -> dict[str, Schema]:
    """Schemas of the bodies that are not pydantic models."""
    return {
        message.schema_name(): of_envelope(message.example, t=message.kind)
        for message in all_messages()
        if not isinstance(message.example, Body)
    }
