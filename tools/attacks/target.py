"""Whom an attack is meant for, and how much of it there may be."""

from dataclasses import dataclass
from pathlib import Path

HONEST_ADDRESSES = tuple(f"127.0.1.{number}" for number in range(1, 41))
ATTACKERS = tuple(f"127.0.9.{number}" for number in range(1, 21))
INSIDER_ADDRESS = "127.0.8.1"
"""Apart from the others, where the insider would wait for all the wrong passwords that came from there."""


@dataclass(frozen=True, slots=True)
class Effort:
    """`share` scales the counts and rates of the full attacks (1.0); `seconds` bounds each in time."""

    seconds: float
    share: float

    def of(self, full: float) -> int:
        """So many, at this effort; at least 1."""
        return max(1, round(full * self.share))


@dataclass(frozen=True, slots=True)
class Target:
    """A gateway of our own, and the charge points on its record."""

    host: str
    port: int
    path: str
    tls_port: int
    ca_file: Path
    handshake_timeout_s: float
    """The gateway's patience with a handshake."""
    honest: tuple[str, ...]
    """Identities of the crowd that works meanwhile."""
    victim: str
    """On record too, but connected by the attacks that want to see it come back."""
    insider: str
    """On record, and hostile."""

    def past_handshakes(self, effort: Effort) -> float:
        """Seconds that show what becomes of a handshake without end, even where the attack is shorter."""
        return max(effort.seconds, self.handshake_timeout_s + 1.5)

    def password(self, identity: str) -> bytes:
        return password_of(identity)


def password_of(identity: str) -> bytes:
    """The password of each charge point of a run."""
    return f"key-{identity}-0123456789".encode()
