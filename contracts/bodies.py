"""Bodies that backend services write and read: JSON or msgpack, as the AMQP content type says."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, ClassVar, Self, cast

import msgpack
import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from contracts.errors import BodyError

MAX_BYTES = 1024 * 1024
MOST_ENTRIES = 10_000
"""Of one list in a msgpack body: room is made for as many as a list announces, at each level of nesting."""


class ContentType(StrEnum):
    """The two ways to write a body. Both hold the same map; msgpack is the smaller one."""

    JSON = "application/json"
    MSGPACK = "application/msgpack"

    @classmethod
    def of(cls, content_type: str) -> "ContentType":
        """The content type of a delivery; JSON when it names none. Raises BodyError for any other."""
        name = content_type.partition(";")[0].strip().lower()
        if not name:
            return cls.JSON
        try:
            return cls(name)
        except ValueError:
            raise BodyError(f"content type must be {cls.JSON} or {cls.MSGPACK}") from None


_READERS: dict[ContentType, Callable[[bytes], Any]] = {
    ContentType.JSON: orjson.loads,
    ContentType.MSGPACK: lambda body: msgpack.unpackb(body, max_array_len=MOST_ENTRIES, max_ext_len=0),
}


def encode(body: dict[str, Any], content_type: ContentType) -> bytes:
    """The bytes of a body."""
    if content_type is ContentType.JSON:
        return orjson.dumps(body)
    return cast("bytes", msgpack.packb(body))


def decode(body: bytes, content_type: ContentType) -> dict[str, Any]:
    """The map that the bytes hold; raises BodyError, saying what is wrong, and nothing else."""
    if len(body) > MAX_BYTES:
        raise BodyError(f"body of {len(body)} bytes is over the bound of {MAX_BYTES}")
    try:
        content = _READERS[content_type](body)
    except (ValueError, TypeError, RecursionError):
        raise BodyError(f"body is not {content_type}") from None
    if not isinstance(content, dict):
        raise BodyError("body is not a map")
    try:
        # Whoever reads it will write parts of it as JSON, in frames and bodies that nest them a little deeper.
        orjson.dumps([[[[[[[[content]]]]]]]])
    except TypeError:
        raise BodyError("body holds what JSON cannot, or is nested too deeply") from None
    return content


class Body(BaseModel):
    """What all such bodies share. Readers ignore what a newer writer added; `v` says which format it is."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    KIND: ClassVar[str] = ""
    """The value of `t`, and of the AMQP property `type`."""

    def encode(self, content_type: ContentType = ContentType.JSON) -> bytes:
        """The bytes; fields that are None are written too, so that a reader sees all there are."""
        return encode(self.model_dump(mode="json"), content_type)

    @classmethod
    def decode(cls, body: bytes, content_type: ContentType = ContentType.JSON) -> Self:
        """Read a body; raises BodyError naming every field that is wrong, without its value."""
        try:
            return cls.model_validate(decode(body, content_type))
        except ValidationError as error:
            raise BodyError(problems_of(error)) from None


def problems_of(error: ValidationError) -> str:
    """What is wrong, field by field, without the values: they may be keys or tokens."""
    details = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, detail['loc'])) or 'body'}: {detail['msg']}" for detail in details[:5])
