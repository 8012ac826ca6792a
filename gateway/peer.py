"""Who is at the other end of a socket, and what it asked for: facts only, for others to judge."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A client certificate whose chain was verified against our trust roots."""

    common_name: str
    names: tuple[str, ...]
    """DNS names of the subject alternative name."""
    organization: str
    issuer: str
    serial: int
    not_after: datetime
    fingerprint: str
    """SHA-256 of the DER form, hexadecimal."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The charge point's side of a connection, as the socket or a trusted proxy tells it."""

    address: str
    port: int = 0
    tls: bool = False
    """Whether the charge point's connection is encrypted: here, or at the proxy."""
    certificate: ClientCertificate | None = None
    certificate_problem: str | None = None
    """Why the certificate that it showed counts for nothing: a machine word such as `expired` or `revoked`."""
    proxy: str | None = None
    """Address of the proxy that told this, if one did."""

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}" if self.port else host


@dataclass(frozen=True, slots=True)
class Request:
    """A request to upgrade to OCPP."""

    path: str
    subprotocols: tuple[str, ...]
    """Values of Sec-WebSocket-Protocol: header lines, each maybe a list."""
    peer: Peer
    authorization: str | None = field(default=None, repr=False)
    """The value of the Authorization header."""
    websocket_version: str | None = None
    """The value of Sec-WebSocket-Version."""
    traceparent: str | None = None
    """W3C Trace Context of whoever sent or passed on the request; not checked."""
