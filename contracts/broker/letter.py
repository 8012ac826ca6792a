"""Dead letters on the wire: their properties, and how one is published again."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from pamqp import commands, header

from contracts.broker import codec
from contracts.broker.codec import Delivery

_WRITTEN_BY_THE_BROKER = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired-count")


@dataclass(frozen=True, slots=True)
class Death:
    """One reason why a queue gave the message up, newest first in the list; `count` of such deaths there."""

    queue: str
    reason: str
    count: int
    exchange: str
    routing_keys: tuple[str, ...]
    at: datetime | None


@dataclass(frozen=True, slots=True)
class LetterProperties:
    """The AMQP properties as the publisher set them, its own headers, and the deaths that the broker wrote down."""

    properties: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, Any] = field(default_factory=dict)
    deaths: tuple[Death, ...] = ()
    first_death_queue: str = ""
    first_death_reason: str = ""


def properties_of(delivery: Delivery) -> LetterProperties:
    """What the content header of a dead letter says; raises ValueError when it cannot be read."""
    read = _read(delivery)
    headers = dict(read.headers or {})
    names = [name for name in commands.Basic.Properties.attributes() if name not in {"headers", "cluster_id"}]
    return LetterProperties(
        properties={name: value for name in names if (value := getattr(read, name)) not in {None, ""}},
        headers={name: value for name, value in headers.items() if not _is_brokers(name)},
        deaths=tuple(_deaths(headers.get("x-death"))),
        first_death_queue=str(headers.get("x-first-death-queue", "")),
        first_death_reason=str(headers.get("x-first-death-reason", "")),
    )


def encode_replay(delivery: Delivery, exchange: str, routing_key: str, *, frame_max: int) -> bytes:
    """A mandatory basic.publish of the message without what the broker has written on it; raises ValueError.

    Nor does it name the user that published it first: the broker takes that name from nobody else.
    """
    properties = _read(delivery)
    properties.user_id = None
    properties.headers = {
        name: value for name, value in (properties.headers or {}).items() if not _is_brokers(name)
    } or None
    head = header.ContentHeader(0, len(delivery.body), properties)
    return codec.encode_content(
        exchange, routing_key, head.marshal(), delivery.body, frame_max=frame_max, mandatory=True
    )


def _read(delivery: Delivery) -> commands.Basic.Properties:
    if not delivery.raw_properties:
        return commands.Basic.Properties()
    content = header.ContentHeader()
    content.unmarshal(delivery.raw_properties)
    return content.properties


def _is_brokers(name: str) -> bool:
    return name.startswith(_WRITTEN_BY_THE_BROKER)


def _deaths(table: Any) -> list[Death]:
    deaths = []
    for entry in table if isinstance(table, list) else ():
        if isinstance(entry, dict):
            keys = entry.get("routing-keys")
            at = entry.get("time")
            deaths.append(
                Death(
                    queue=str(entry.get("queue", "")),
                    reason=str(entry.get("reason", "")),
                    count=cast("int", entry.get("count", 1)),
                    exchange=str(entry.get("exchange", "")),
                    routing_keys=tuple(map(str, keys)) if isinstance(keys, list) else (),
                    at=at if isinstance(at, datetime) else None,
                )
            )
    return deaths
