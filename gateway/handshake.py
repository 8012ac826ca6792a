"""The handshake decision: who connects, which OCPP version, or which HTTP status says no. Pure.

Sources: OCPP-J 1.6 section 3, OCPP 2.0.1/2.1 part 4 section 3.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from contracts import identity as identities
from contracts.identity import BadIdentity
from contracts.versions import BY_SUBPROTOCOL, Version
from gateway import tolerances
from gateway.tolerances import STRICT, Tolerance


@dataclass(frozen=True, slots=True)
class Accepted:
    """The charge point may come in; exactly this version's subprotocol is echoed, if it offered any."""

    identity: str
    version: Version
    tolerated: tuple[Tolerance, ...] = field(default=(), compare=False)
    """The deviations that were borne."""

    @property
    def subprotocol(self) -> str | None:
        """What to echo: a client that offers none must not be answered with one (RFC 6455, 4.1)."""
        return None if Tolerance.NO_SUBPROTOCOL in self.tolerated else self.version.subprotocol


@dataclass(frozen=True, slots=True)
class Refused:
    """The upgrade is refused. `reason` is a machine word (metric label), `detail` the body for a person."""

    status: int
    reason: str
    detail: str
    retry_later: bool = False
    wait: float | None = None
    """Seconds until another try makes sense, when that is known."""
    headers: tuple[tuple[str, str], ...] = ()
    """HTTP headers that this refusal has whatever the settings."""


DRAINING = Refused(503, "draining", "this gateway is shutting down", retry_later=True)
BROKER_AWAY = Refused(503, "broker_away", "this gateway has no broker at the moment", retry_later=True)
FULL = Refused(503, "full", "this gateway holds as many connections as it may", retry_later=True)
UNKNOWN = Refused(404, "unknown_identity", "no such charge point")
UNDECIDED = Refused(
    503, "admission_timeout", "nobody could say whether this charge point may connect", retry_later=True
)
RATE = Refused(503, "handshake_rate", "too many connect at once", retry_later=True)
ADDRESS_RATE = Refused(503, "address_rate", "too many connect at once from this address", retry_later=True)
BACKING_OFF = Refused(503, "backing_off", "too many wrong credentials: wait", retry_later=True)
SUPERSEDED = Refused(503, "superseded", "the same charge point has connected anew", retry_later=True)
FOREIGN_WEBSOCKET = Refused(
    426, "foreign_websocket", "WebSocket version 13 is needed here", headers=(("Sec-WebSocket-Version", "13"),)
)
NO_UPGRADE = Refused(400, "not_websocket", "a WebSocket upgrade is needed here")


def decide(
    path: str,
    offered: Iterable[str],
    endpoint: str,
    allowed: Collection[Tolerance] = STRICT,
    websocket_version: str | None = None,
) -> Accepted | Refused:
    """Judge a request by its path and its Sec-WebSocket-Protocol values (header lines, each maybe a list).

    The version comes from the subprotocol alone: the client's first that we speak. None in common is refused with 400
    (certification case TC_B_58) instead of an upgrade without subprotocol; so is none offered, unless `allowed` has
    that deviation. Paths are mended as far as it allows. A WebSocket version other than 13 is refused with 426
    (RFC 6455, 4.4).
    """
    mended = tolerances.path(path, endpoint, allowed)
    identity = identities.from_path(mended.path, endpoint)
    if isinstance(identity, BadIdentity):
        elsewhere = not mended.path.startswith(endpoint.rstrip("/") + "/")
        return Refused(404 if elsewhere else 400, "bad_path" if elsewhere else "bad_identity", identity.reason)
    if websocket_version is not None and websocket_version.strip() != "13":
        return FOREIGN_WEBSOCKET
    names = [name.strip() for line in offered for name in line.split(",")]
    version, used = tolerances.version(names, allowed)
    if version is None:
        spoken = ", ".join(BY_SUBPROTOCOL)
        reason = "foreign_subprotocol" if any(names) else "no_subprotocol"
        return Refused(400, reason, f"offer one of the subprotocols {spoken}")
    problem = identities.check_version_limits(identity, version)
    if problem is not None:
        return Refused(400, "bad_identity", problem.reason)
    return Accepted(identity, version, mended.used + used)
