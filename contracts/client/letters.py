"""A dead letter as a person looks at it: what it is, why it died, what is in it. Pure."""

import hashlib
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import msgpack
import orjson

from contracts.bodies import MOST_ENTRIES
from contracts.broker import Delivery
from contracts.broker.letter import Death, LetterProperties, properties_of
from contracts.client.masking import masked

ID_LENGTH = 10
_MOST_TEXT = 4000


@dataclass(frozen=True, slots=True)
class Letter:
    """A delivery that nobody could digest. The id stays the same however often it is looked at."""

    id: str
    queue: str
    """Where it died first."""
    reason: str
    died_at: datetime | None
    exchange: str
    """Where it was published, with which key: where a replay goes."""
    routing_key: str
    identity: str
    properties: LetterProperties
    body: bytes

    def summary(self) -> dict[str, Any]:
        """What a list shows."""
        return {
            "id": self.id,
            "died_at": None if self.died_at is None else self.died_at.isoformat(),
            "queue": self.queue,
            "reason": self.reason,
            "routing_key": self.routing_key,
            "identity": self.identity,
            "bytes": len(self.body),
        }

    def description(self) -> dict[str, Any]:
        """Everything, with secrets masked."""
        return {
            **self.summary(),
            "exchange": self.exchange,
            "properties": masked({name: _shown(value) for name, value in self.properties.properties.items()}),
            "headers": masked({name: _shown(value) for name, value in self.properties.headers.items()}),
            "deaths": [
                {name: _shown(value) for name, value in asdict(death).items()} for death in self.properties.deaths
            ],
            "body": masked(content_of(self.body)),
        }


def read_letter(delivery: Delivery) -> Letter:
    """The letter that a delivery is; one whose properties cannot be read has none."""
    try:
        properties = properties_of(delivery)
    except (ValueError, LookupError):
        properties = LetterProperties()
    first = properties.deaths[-1] if properties.deaths else Death("", "", 0, "", (), None)
    content = content_of(delivery.body)
    identity = content.get("identity") if isinstance(content, dict) else None
    return Letter(
        id=_digest(properties, first, delivery.body),
        queue=properties.first_death_queue or first.queue,
        reason=properties.first_death_reason or first.reason,
        died_at=first.at,
        exchange=first.exchange,
        routing_key=first.routing_keys[0] if first.routing_keys else delivery.routing_key,
        identity=identity if isinstance(identity, str) else "",
        properties=properties,
        body=delivery.body,
    )


def content_of(body: bytes) -> Any:
    """A body for reading: JSON or msgpack decoded, with JSON inside it decoded too; else its size."""
    for read in (orjson.loads, _unpack):
        try:
            content = read(body)
        except (ValueError, TypeError, RecursionError):
            continue
        if isinstance(content, dict | list):
            return _readable(content)
    return f"{len(body)} bytes that are neither JSON nor msgpack"


def _unpack(body: bytes) -> Any:
    return msgpack.unpackb(body, max_array_len=MOST_ENTRIES, max_ext_len=0, strict_map_key=False)


def _readable(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _readable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_readable(item) for item in value]
    if not isinstance(value, bytes):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return f"{len(value)} bytes"


def _digest(properties: LetterProperties, first: Death, body: bytes) -> str:
    digest = hashlib.sha256()
    for part in (sorted(properties.properties.items()), sorted(properties.headers.items()), first.at, first.queue):
        digest.update(repr(part).encode() + b"\0")
    digest.update(body)
    return digest.hexdigest()[:ID_LENGTH]


def _shown(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes | bytearray):
        return f"{len(value)} bytes"
    return list(value) if isinstance(value, tuple) else value
