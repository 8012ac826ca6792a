"""A reconnect storm on paper: second by second, charge points as amounts, no chance and no clock.

Whoever is away tries as its back-off says. Opening a socket costs a gateway CPU, which Calls of those connected have
first; its limits answer what is too much: with HTTP 503 and Retry-After, or by dropping what finds no room among the
connections that are opening. Then a worker of authorization is asked who this is, and after a power cut each charge
point boots. What waits longer there than the gateway waits is refused with 503, or, of boots, tried again later.

What it leaves out: the kernel's listen backlog, lost packets, broker, database and all other services, and charge
points that wait longer than they are told, or not at all. A refusal is charged what an opened socket costs.
"""

from dataclasses import dataclass, field
from math import ceil, inf

from loadtest.sizing.constants import Constants
from loadtest.sizing.demand import Demand, Options
from loadtest.sizing.gateways import cores_at_work, handshake_limits, handshake_us
from loadtest.sizing.tiers import MILLION
from loadtest.sizing.workers import STATUSES_AFTER_BOOT, call_us

_LEVELS = 6
_NOBODY = 0.5
"""Less than half a charge point is none."""
_BURST_S = 2.0
"""The limiters let in so many seconds' worth at once."""
_RETRY_SPREAD = 2.0
"""Retry-After is up to so many times its setting, by chance."""
_GATEWAY_LOST_S, _POWER_BACK_S = 1.0, 60.0
"""Within so many seconds all have begun to come back."""
_GIVE_UP_S = 7200
_EQUAL = 0.5
"""Of the workers' time, look-ups and boots each have half while both wait."""


@dataclass(frozen=True, kw_only=True)
class Storm:
    """Who comes back, to what."""

    away: float
    gateways: int
    opening_us: float
    """Of a gateway's CPU."""
    limit_per_s: float = inf
    """Handshakes that one gateway judges a second; more get HTTP 503."""
    opening_at_once: float = inf
    """Connections of one gateway that may be opening; more are dropped."""
    connected: float = 0.0
    """Those who stayed."""
    work_per_point: float = 0.0
    """Share of a gateway's core that one connected charge point takes."""
    boots: bool = False
    boot_relay_us: float = 0.0
    """Gateway CPU of what one charge point says at its boot."""
    workers: float = 1.0
    """Cores of authorization that are free for this."""
    look_up_us: float = 0.0
    boot_us: float = 0.0
    look_up_timeout_s: float = 5.0
    call_timeout_s: float = 30.0
    retry_after_s: float = 15.0
    spread_s: float = _GATEWAY_LOST_S
    """First attempts come evenly within so many seconds, after `back_off_s`."""
    back_off_s: float = 1.0
    """The least wait before a charge point tries again; doubled each time, as far as `back_off_most_s`."""
    back_off_random_s: float = 1.0
    back_off_most_s: float = 30.0
    boot_again_s: float = 60.0
    """After so long, up to twice as much, a charge point whose boot was not answered tries it again."""

    @classmethod
    def of(
        cls, asked: Demand, *, away: float, gateways: int, authorization: int, boots: bool, options: Options,
        constants: Constants,
    ) -> "Storm":  # fmt: skip
        """That of a sized cell: its gateways were lost, or, with `boots`, its charge points were without power."""
        call = constants.gateway_cpu_us_per_call_tls if options.tls else constants.gateway_cpu_us_per_call
        ordinary = sum(
            asked.calls.get(action, 0.0) * call_us(action, constants)
            for action in ("Heartbeat", "Authorize", "BootNotification")
        )
        return cls(
            away=away,
            gateways=gateways,
            opening_us=handshake_us(options, constants),
            limit_per_s=min(handshake_limits(options, constants), default=inf),
            opening_at_once=constants.gateway_open_handshakes or inf,
            connected=asked.charge_points - away,
            work_per_point=cores_at_work(asked, options, constants) / asked.charge_points,
            boots=boots,
            boot_relay_us=(1 + STATUSES_AFTER_BOOT) * call,
            workers=max(0.0, authorization - ordinary / MILLION),
            look_up_us=constants.worker_cpu_us_admission,
            boot_us=constants.worker_cpu_us_boot,
            look_up_timeout_s=constants.gateway_admission_timeout_s,
            call_timeout_s=constants.gateway_call_timeout_s,
            retry_after_s=constants.gateway_retry_after_s,
            spread_s=_POWER_BACK_S if boots else _GATEWAY_LOST_S,
        )


@dataclass(frozen=True, kw_only=True)
class Moment:
    """How many were back after so many seconds."""

    at_s: int
    connected: float
    registered: float


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """How it went; times are infinite when that was not reached within two hours."""

    away: float
    half_s: float
    connected_s: float
    """When all were connected."""
    registered_s: float
    """When all had booted too; the same without boots."""
    refused: float
    """HTTP 503 in all."""
    dropped: float
    boots_again: float
    """BootNotifications that waited too long and had to be repeated."""
    busiest_share: float
    """Of the gateways' cores, in the busiest second."""
    moments: list[Moment] = field(repr=False)


def recovery(storm: Storm) -> Recovery:
    """Play it to its end."""
    return _Play(storm).run()


class _Schedule:
    """Amounts by the second at which they are due."""

    def __init__(self) -> None:
        self._due: dict[int, float] = {}

    def take(self, second: int) -> float:
        return self._due.pop(second, 0.0)

    def plan(self, amount: float, begin: float, span: float) -> None:
        """Spread it evenly over a span of seconds."""
        first, end = int(begin), begin + span
        last = max(first, ceil(end) - 1)
        for second in range(first, last + 1):
            part = 1.0 if first == last else (min(end, second + 1) - max(begin, second)) / span
            self._due[second] = self._due.get(second, 0.0) + amount * part


class _Play:
    def __init__(self, storm: Storm) -> None:
        self._storm = storm
        self._attempts = [_Schedule() for _ in range(_LEVELS)]
        """By how often they were dropped."""
        self._boots = _Schedule()
        self._tokens = self._full = _BURST_S * storm.limit_per_s * storm.gateways
        self._opening = self._asking = self._booting = 0.0
        self._connected = self._registered = 0.0
        self._relaying_s = 0.0
        """Gateway CPU that boots still ask for."""
        self._refused = self._dropped = self._again = self._busiest = 0.0
        self._moments: list[Moment] = []

    def run(self) -> Recovery:
        storm = self._storm
        half = connected = registered = inf
        self._attempts[0].plan(storm.away, storm.back_off_s, storm.spread_s)
        for second in range(_GIVE_UP_S):
            able = self._able()
            self._arrive(second, able)
            self._open(second, able)
            self._work(second)
            self._moments.append(Moment(at_s=second + 1, connected=self._connected, registered=self._registered))
            if self._connected >= storm.away / 2:
                half = min(half, second + 1)
            if self._connected > storm.away - _NOBODY:
                connected = min(connected, second + 1)
            if self._registered > storm.away - _NOBODY:
                registered = second + 1
                break
        return Recovery(
            away=storm.away, half_s=half, connected_s=connected, registered_s=registered, refused=self._refused,
            dropped=self._dropped, boots_again=self._again, busiest_share=self._busiest, moments=self._moments,
        )  # fmt: skip

    def _able(self) -> float:
        """How many openings the gateways have CPU for, after Calls of those connected, and of those booting."""
        storm = self._storm
        free = max(0.0, storm.gateways - (storm.connected + self._connected) * storm.work_per_point)
        relayed = min(self._relaying_s, free)
        self._relaying_s -= relayed
        return (free - relayed) * MILLION / storm.opening_us

    def _arrive(self, second: int, able: float) -> None:
        """Take in who tries now; those for whom there is no room try again after a longer back-off."""
        storm = self._storm
        trying = [attempts.take(second) for attempts in self._attempts]
        together = sum(trying)
        # What is opened within this second makes room for others who come in it.
        room = max(0.0, storm.opening_at_once * storm.gateways - self._opening - self._asking + able)
        out = max(0.0, together - room) / together if together else 0.0
        self._opening += together * (1.0 - out)
        self._dropped += together * out
        for level, amount in enumerate(trying):
            wait = min(storm.back_off_s * 2.0 ** (level + 1), storm.back_off_most_s)
            later = self._attempts[min(level + 1, _LEVELS - 1)]
            later.plan(amount * out, second + 1 + wait, storm.back_off_random_s)

    def _open(self, second: int, able: float) -> None:
        """Open as many as the CPU can; ask about those whom the limit lets in, refuse the others."""
        storm = self._storm
        opened = min(self._opening, able)
        self._opening -= opened
        idle = (able - opened) * storm.opening_us / MILLION
        self._busiest = max(self._busiest, 1.0 - idle / storm.gateways)
        judged = min(opened, self._tokens)
        self._tokens = min(self._full, self._tokens - judged + self._full / _BURST_S)
        self._asking += judged
        self._refuse(opened - judged, second)

    def _work(self, second: int) -> None:
        """Look up and boot as far as the workers' cores go; what waits too long fails."""
        storm = self._storm
        self._booting += self._boots.take(second)
        asks, boots = (self._asking * storm.look_up_us / MILLION, self._booting * storm.boot_us / MILLION)
        for_boots = min(boots, max(storm.workers * _EQUAL, storm.workers - asks))
        for_asks = min(asks, storm.workers - for_boots)
        known = self._asking if asks <= for_asks else for_asks / storm.look_up_us * MILLION
        booted = self._booting if boots <= for_boots else for_boots / storm.boot_us * MILLION
        self._asking -= known
        self._booting -= booted
        late = max(0.0, self._asking - known * storm.look_up_timeout_s)
        self._asking -= late
        self._refuse(late, second)
        unanswered = max(0.0, self._booting - booted * storm.call_timeout_s)
        self._booting -= unanswered
        self._again += unanswered
        self._boots.plan(unanswered, second + 1 + storm.boot_again_s, storm.boot_again_s)
        self._connected += known
        self._relaying_s += booted * storm.boot_relay_us / MILLION
        self._registered += booted if storm.boots else known
        if storm.boots:
            self._booting += known

    def _refuse(self, amount: float, second: int) -> None:
        storm = self._storm
        self._refused += amount
        spread = (_RETRY_SPREAD - 1.0) * storm.retry_after_s
        self._attempts[0].plan(amount, second + 1 + storm.retry_after_s, spread)
