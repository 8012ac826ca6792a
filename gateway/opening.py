"""The first bytes of a connection: the head of an HTTP request, and nothing longer or other than that. Pure."""

from dataclasses import dataclass

from gateway.handshake import Refused

MOST_BYTES = 16 * 1024
"""Of request line and headers together."""

BAD_REQUEST = Refused(400, "bad_request", "not an HTTP request to upgrade")
TOO_LARGE = Refused(431, "large_request", "request line and headers are too large")

_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Head:
    """A complete head, and what came after it already."""

    head: bytes
    rest: bytes


class Opening:
    """Collects a request's head; `feed` it what arrives."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> Head | Refused | None:
        """The head once it is complete, a refusal as soon as it can be none, or None: more is needed."""
        searched = max(0, len(self._held) - len(_END) + 1)
        held = self._held = self._held + data
        end = held.find(_END, searched) + len(_END)
        if end < len(_END):
            if not b"GET ".startswith(held[:4]):
                return BAD_REQUEST
            return TOO_LARGE if len(held) > MOST_BYTES else None
        if end > MOST_BYTES:
            return TOO_LARGE
        self._held = b""
        return Head(held[:end], held[end:])
