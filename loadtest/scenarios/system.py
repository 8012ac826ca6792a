"""The system under test as a scenario sees it: where it is reached, what it uses up, what can be done to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Fault(StrEnum):
    """What a scenario may do to a system; each by name on the command line."""

    KILL_GATEWAY = "kill-gateway"
    """The first gateway dies without a word, and stays dead."""
    RESTART_GATEWAYS = "restart-gateways"
    """Each gateway in turn ends politely (SIGTERM, drain) and is started again; returns when all serve again."""
    RESTART_BROKER = "restart-broker"
    SLOW_WORKER = "slow-worker"
    """The metering workers become slow, until `HEAL_WORKER`."""
    HEAL_WORKER = "heal-worker"


@dataclass(frozen=True, slots=True)
class Usage:
    """What a part has used up so far."""

    cpu_s: float
    rss_bytes: float


@dataclass(frozen=True, slots=True)
class Part:
    """One process, or one server with all its processes."""

    name: str
    """As `gateway-0`, `authorization`, `metering-2`, `broker`, `store`."""
    kind: str
    """`gateway`, `worker`, `broker` or `store`."""
    metrics_url: str | None = None


class System(Protocol):
    """A running system. The methods may block; scenarios call them from a thread."""

    @property
    def urls(self) -> Sequence[str]:
        """ws:// endpoints without identity, one for each gateway (or one for all)."""

    @property
    def secure_urls(self) -> Sequence[str]:
        """wss:// endpoints; none where there is no TLS."""

    @property
    def ca_file(self) -> str | None:
        """Trust roots (PEM) for those."""

    @property
    def amqp_url(self) -> str | None:
        """The broker, for backends; None: scenarios that command cannot run."""

    @property
    def parts(self) -> Sequence[Part]:
        """What it consists of, as far as it is known."""

    @property
    def faults(self) -> frozenset[Fault]:
        """What can be done to it."""

    def usage(self) -> Mapping[str, Usage]:
        """By the name of a part; parts that do not answer are missing."""

    def inflict(self, fault: Fault) -> None:
        """Do it; returns when it is done. SystemFailed when it cannot be."""

    def transactions(self) -> Mapping[str, int] | None:
        """Transactions in the store: `open`, `ended`, and `double` (there more than once); None: unknown."""


class SystemFailed(Exception):  # noqa: N818 - one of the ends of a run
    """The system under test could not be started, reached, or harmed as asked."""
