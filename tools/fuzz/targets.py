"""What is fuzzed: each parser by the module it lives in, and what may come of it.

A target raises whenever its parser does something that it does not document: that is a finding.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType

from tools.fuzz import broker_bodies, bytes_on_sockets, signed_things

Try = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class FuzzTarget:
    """`prepare` gets the imported module and gives what is called with each input; `seeds` are good inputs."""

    name: str
    module: str
    prepare: Callable[[ModuleType], Try]
    seeds: Callable[[], list[bytes]] = field(default=list)
    deeper: tuple[str, ...] = ()
    """Packages behind it whose ways are to guide the search too."""
    most_bytes: int = 4096


TARGETS = (
    FuzzTarget("opening", "gateway.opening", bytes_on_sockets.opening, bytes_on_sockets.requests),
    FuzzTarget(
        "handshake", "gateway.handshake", bytes_on_sockets.handshake, bytes_on_sockets.requests, deeper=("websockets",)
    ),
    FuzzTarget("identity", "contracts.identity", bytes_on_sockets.identity, bytes_on_sockets.paths),
    FuzzTarget("proxy-protocol", "gateway.proxy_protocol", bytes_on_sockets.proxy_protocol, bytes_on_sockets.headers),
    FuzzTarget("credentials-shown", "gateway.credentials_shown", bytes_on_sockets.credentials, bytes_on_sockets.basics),
    FuzzTarget(
        "websocket-frames", "gateway.frames", bytes_on_sockets.frames, bytes_on_sockets.streams, deeper=("websockets",)
    ),
    FuzzTarget("ocpp-j", "contracts.ocppj", bytes_on_sockets.ocppj, bytes_on_sockets.messages),
    FuzzTarget("session", "gateway.session", bytes_on_sockets.session, bytes_on_sockets.messages),
    FuzzTarget("envelopes", "contracts.envelope", broker_bodies.envelopes, broker_bodies.envelope_seeds),
    FuzzTarget("bodies", "contracts.bodies", broker_bodies.bodies, broker_bodies.body_seeds),
    FuzzTarget("announcements", "contracts.announcements", broker_bodies.announcements, broker_bodies.envelope_seeds),
    FuzzTarget("stored-keys", "contracts.credentials", broker_bodies.stored_keys, broker_bodies.key_seeds),
    FuzzTarget("ocmf", "workers.metering.ocmf", signed_things.ocmf, signed_things.records),
    FuzzTarget(
        "signing-request", "workers.authorization.signing_request", signed_things.requests, signed_things.request_seeds
    ),
    FuzzTarget("signed-messages", "gateway.signed_messages", signed_things.messages, signed_things.message_seeds),
    FuzzTarget(
        "client-certificates",
        "gateway.client_certificates",
        signed_things.certificates,
        signed_things.certificate_seeds,
    ),
)
