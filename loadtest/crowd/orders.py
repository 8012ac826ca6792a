"""What a crowd's conductor and its processes say to each other: one JSON object a line, each way."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import orjson

Kind = Literal["heartbeat", "meter_values", "mix"]
"""What the charge points send: Heartbeats alone, MeterValues with three samples alone, or the day mix."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """The part of a crowd that one process plays; the whole of its settings. Identities are `<prefix>-<number>`."""

    urls: tuple[str, ...]
    """Endpoints without identity. A charge point keeps to one while it can, and goes on to the next when refused."""
    fallback_urls: tuple[str, ...] = ()
    """Where those go that have lost a connection, as if a load balancer knew who is left; none: `urls` again."""
    first: int = 0
    """The number of the first charge point of this process."""
    count: int = 0
    prefix: str = "LOAD"
    share_201: float = 0.0
    """The part that speaks 2.0.1, spread evenly; the rest speaks 1.6."""
    password_template: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    """Trust roots (PEM) for wss; None: the system's."""
    source_addresses: tuple[str, ...] = ()
    """Local addresses to connect from, in turn; none: the system chooses."""
    id_tags: tuple[str, ...] = ()
    """Tags that the system accepts, for those kinds that authorize; charge points take them in turn."""
    ramp_per_s: float = 500.0
    """Connections begun a second by this process."""
    connecting_at_once: int = 500
    call_timeout_s: float = 30.0
    heartbeat_s: float = 0.0
    """Own interval of Heartbeats while no load is ordered; 0: what the boot answer says."""
    backoff_s: float = 1.0
    """The least wait before a reconnect (OCPP's RetryBackOffWaitMinimum); a Retry-After of the server goes before."""
    backoff_random_s: float = 1.0
    """At most so much is added by chance (RetryBackOffRandomRange)."""
    backoff_most_s: float = 30.0
    seed: int = 1


@dataclass(frozen=True, kw_only=True)
class Load:
    """How much is sent from now on. `rate` and `active` are this process's own part."""

    kind: Kind = "heartbeat"
    rate: float = 0.0
    """Open loop: Calls a second, each with its own time to be sent; latency counts from that time. 0: none."""
    active: int = 0
    """Closed loop: so many charge points send the next Call when the last is answered. 0: none. Not with `rate`."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """One line to a process.

    `connect` begins to connect everybody (and keeps them connected); `load` changes the load; `cut` drops all sockets
    at once without a word, and everybody comes back and boots; `finish` ends all transactions and waits until what is
    billing data has been confirmed; `end` closes all and ends the process.
    """

    what: Literal["connect", "load", "cut", "finish", "end"]
    load: Load | None = None

    def encode(self) -> bytes:
        """The line."""
        return orjson.dumps(asdict(self)) + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> "Order":
        """The order of a line."""
        said = orjson.loads(line)
        load = said.get("load")
        return cls(what=said["what"], load=None if load is None else Load(**load))


@dataclass(kw_only=True)
class Tick:
    """What a process tells once a second. Counters count from its start; the histograms are of this tick alone."""

    at: float = 0.0
    """Of the monotonic clock, which all processes of a machine share."""
    connected: int = 0
    booted: int = 0
    """Connected, and registered as accepted on this connection or before it."""
    opened: int = 0
    reconnected: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    """Connections that did not come about: an HTTP status, `tls`, `tcp` or `timeout`."""
    ended: dict[str, int] = field(default_factory=dict)
    """Sessions that ended without our doing, by close code; 1006 where there was none."""
    outlasted: int = 0
    """Retries refused although their Retry-After, and one more back-off, had passed since the first refusal."""
    longest_away_s: float = 0.0
    """Of all charge points away now: the longest time since the loss of its connection."""
    calls: dict[str, int] = field(default_factory=dict)
    """Sent, by action."""
    answers: dict[str, int] = field(default_factory=dict)
    """CALLRESULTs, by action."""
    errors: dict[str, int] = field(default_factory=dict)
    """CALLERRORs by code, `timeout`, and `refused <action>` for a result that should have been Accepted and was not."""
    cut_off: int = 0
    """Calls whose connection ended before their answer."""
    waiting: int = 0
    """Calls that are due and not yet sent."""
    latency: dict[str, dict[int, int]] = field(default_factory=dict)
    """By action: buckets of loadtest.roundtrips, from the time a Call was to be sent to its answer."""
    commands: dict[str, int] = field(default_factory=dict)
    """Calls of the server that were answered, by action."""
    started: int = 0
    """Transactions begun by charge points, confirmed or not."""
    start_confirmed: int = 0
    stop_confirmed: int = 0
    open_transactions: int = 0
    unconfirmed: int = 0
    """Transaction messages that are not confirmed yet; they are repeated until they are."""
    finished: bool = False
    """`finish` was ordered, and nothing is open any more."""
    cpu_s: float = 0.0
    """Of this process since its start."""
    lag_s: float = 0.0
    """The longest that this process's own loop came late to a timer in this tick."""
    rss_bytes: int = 0

    def encode(self) -> bytes:
        """The line."""
        return orjson.dumps(asdict(self), option=orjson.OPT_NON_STR_KEYS) + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> "Tick":
        """The tick of a line."""
        said: dict[str, Any] = orjson.loads(line)
        said["latency"] = {
            action: {int(bucket): count for bucket, count in buckets.items()}
            for action, buckets in said["latency"].items()
        }
        return cls(**said)


def added(counts: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    """The sums of two mappings of counts."""
    return {key: counts.get(key, 0) + more.get(key, 0) for key in counts.keys() | more.keys()}
