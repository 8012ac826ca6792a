"""Who may connect under the registration policy `closed`: asked of the workers, believed for a short while."""

from collections.abc import Callable
from enum import StrEnum

import structlog

from contracts import topology
from contracts.broker import Delivery
from contracts.envelope import AdmissionQuery, AdmissionVerdict
from contracts.errors import EnvelopeError, LinkDownError
from gateway import metrics
from gateway.deadlines import Delay
from gateway.relay import Link

CORRELATION_PREFIX = "admission:"
MOST_PENDING = 5_000
MOST_CACHED = 50_000


class Standing(StrEnum):
    """What is known of an identity."""

    KNOWN = "known"
    UNKNOWN = "unknown"
    UNDECIDED = "undecided"


Answer = Callable[[Standing], None]


class Registrations:
    """Lookups by identity: coalesced, bounded, cached. `ask` calls back exactly once, perhaps at once."""

    def __init__(self, gateway_id: str, *, timeout: float, cache_seconds: float) -> None:
        self._gateway_id = gateway_id
        self._cache_seconds = cache_seconds
        self._cache: dict[str, tuple[Standing, float]] = {}
        self._pending: dict[str, list[Answer]] = {}
        self._asked: Delay[str] = Delay(timeout)
        self._number = 0
        self._log = structlog.get_logger()
        self.link: Link | None = None
        """Set once, before the first lookup."""

    def ask(self, identity: str, answer: Answer, now: float) -> None:
        """Find out; UNDECIDED when nobody answers in time, or too many are being asked about."""
        cached = self._cache.get(identity)
        if cached is not None and cached[1] > now:
            metrics.REGISTRATION.labels("cached").inc()
            answer(cached[0])
            return
        if identity in self._pending:
            self._pending[identity].append(answer)
            return
        if self.link is None or not self.link.up or len(self._pending) >= MOST_PENDING:
            metrics.REGISTRATION.labels(Standing.UNDECIDED.value).inc()
            answer(Standing.UNDECIDED)
            return
        self._pending[identity] = [answer]
        self._asked.add(identity, now)
        self._number += 1
        try:
            self.link.publish(
                topology.ADMISSIONS,
                topology.ADMISSION_KEY,
                AdmissionQuery(identity=identity, gateway=self._gateway_id).encode(),
                correlation_id=f"{CORRELATION_PREFIX}{self._number}",
                reply_to=self.link.reply_queue,
                expiration_ms=max(1, int(self._asked.delay * 1000)),
            )
        except LinkDownError:
            self._settle(identity, Standing.UNDECIDED)

    def verdict(self, delivery: Delivery, now: float) -> None:
        """A worker answered."""
        try:
            verdict = AdmissionVerdict.decode(delivery.body)
        except EnvelopeError as error:
            self._log.error("registration.bad_verdict", problem=str(error))
            return
        if verdict.identity not in self._pending:
            metrics.REPLIES_DROPPED.labels("late_verdict").inc()
            return
        standing = Standing.KNOWN if verdict.known else Standing.UNKNOWN
        if self._cache_seconds > 0:
            self._cache.pop(verdict.identity, None)
            if len(self._cache) >= MOST_CACHED:
                del self._cache[next(iter(self._cache))]
            self._cache[verdict.identity] = (standing, now + self._cache_seconds)
        self._settle(verdict.identity, standing)

    def link_down(self) -> None:
        """Nobody will answer what was asked on that connection."""
        for identity in tuple(self._pending):
            self._settle(identity, Standing.UNDECIDED)

    def tick(self, now: float) -> None:
        """Give up on what was asked too long ago."""
        for identity in self._asked.due(now):
            self._settle(identity, Standing.UNDECIDED)

    def _settle(self, identity: str, standing: Standing) -> None:
        self._asked.discard(identity)
        metrics.REGISTRATION.labels(standing.value).inc()
        for answer in self._pending.pop(identity, ()):
            answer(standing)
