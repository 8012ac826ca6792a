"""Targets for what arrives from the broker: a compromised service may write anything there."""

from contextlib import suppress
from types import ModuleType
from typing import Any

import msgpack
import orjson

from contracts.errors import BodyError, EnvelopeError


def envelope_seeds() -> list[bytes]:
    from contracts.envelope import AdmissionQuery, AdmissionVerdict

    return [
        AdmissionQuery(identity="CP", gateway="g").encode(),
        AdmissionVerdict(identity="CP", known=True).encode(),
        msgpack.packb({"v": 1, "identity": "CP", "frame": b"[]"}),
    ]


def body_seeds() -> list[bytes]:
    content = {"command_id": "c", "action": "Reset", "payload": {"type": "Soft"}, "deadline_ms": 1}
    return [b"\x00" + orjson.dumps(content), b"\x01" + msgpack.packb(content)]


def key_seeds() -> list[bytes]:
    from contracts.credentials import StoredKey

    return [StoredKey.of(b"secret", pending=pending).encode().encode() for pending in (False, True)]


def envelopes(module: ModuleType) -> Any:
    kinds: list[Any] = [
        kind for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, module.Envelope) and kind is not module.Envelope
    ]  # fmt: skip

    def attempt(data: bytes) -> None:
        for kind in kinds:
            with suppress(EnvelopeError):
                envelope = kind.decode(data)
                assert kind.decode(envelope.encode()) == envelope

    return attempt


def bodies(module: ModuleType) -> Any:
    from contracts.commands import CommandOutcome, CommandRequest
    from contracts.events import Event
    from contracts.operator import OperatorRequest

    content_types = tuple(module.ContentType)

    def attempt(data: bytes) -> None:
        content_type = content_types[data[0] % len(content_types)] if data else content_types[0]
        with suppress(BodyError):
            content = module.decode(data[1:], content_type)
            assert isinstance(content, dict)
            orjson.dumps(content)
        for kind in (CommandRequest, CommandOutcome, OperatorRequest, Event):
            with suppress(BodyError):
                kind.decode(data[1:], content_type)

    return attempt


def announcements(module: ModuleType) -> Any:
    def attempt(data: bytes) -> None:
        with suppress(EnvelopeError):
            said = module.read(data)
            assert isinstance(said, module.Announcement | module.Heartbeat | module.SnapshotRequest)

    return attempt


def stored_keys(module: ModuleType) -> Any:
    def attempt(data: bytes) -> None:
        key = module.StoredKey.decode(data.decode("utf-8", "replace"))
        if key is not None:
            assert module.StoredKey.decode(key.encode()) == key
            assert not key.matches(b"what nobody has chosen")

    return attempt
