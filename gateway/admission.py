"""What is on record of who connects: asked of the workers, believed for a while, and forgotten when it has changed."""

from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from contracts import topology
from contracts.broker import Delivery
from contracts.envelope import AdmissionChanged, AdmissionNotice, AdmissionQuery, AdmissionVerdict
from contracts.errors import EnvelopeError, LinkDownError
from gateway import metrics
from gateway.deadlines import Delay
from gateway.relay import Link

CORRELATION_PREFIX = "admission:"
MOST_PENDING = 5_000
MOST_UNKNOWN = 2_000
UNKNOWN_SECONDS = 10.0
"""How many made-up names are remembered, and how long at the most; apart, so that they push out no good record."""

Answer = Callable[[AdmissionVerdict | None], None]
"""Hears the record; None when nobody could say."""


@dataclass(slots=True)
class _Known:
    """A record, when it was told, and in which count of the link's connections and its own changes."""

    record: AdmissionVerdict
    told_at: float
    generation: int


@dataclass(slots=True)
class _Pending:
    """A question under way. `outdated`: the record has changed since it was asked, so its answer may be the old one."""

    number: int
    outdated: bool = False
    answers: list[Answer] = field(default_factory=list)


class Admissions:
    """Records by identity: lookups are coalesced, bounded, cached. `ask` calls back exactly once, perhaps at once.

    A record is used at once for `fresh` seconds. An older one is asked for again, and serves up to `stale` seconds
    when nobody answers: workers that are away keep out strangers, not charge points that were here before.
    """

    def __init__(self, gateway_id: str, *, timeout: float, fresh: float, stale: float, most_known: int) -> None:
        self._gateway_id = gateway_id
        self._fresh = fresh
        self._stale = stale
        self._most_known = most_known
        self._known: dict[str, _Known] = {}
        self._unknown: dict[str, float] = {}
        self._pending: dict[str, _Pending] = {}
        self._asked: Delay[str] = Delay(timeout)
        self._number = 0
        self._generation = 0
        self._log = structlog.get_logger()
        self.link: Link | None = None
        """Set once, before the first lookup."""

    def ask(self, identity: str, answer: Answer, now: float) -> None:
        """Find out; None when nobody answers in time, or too many are being asked about, and nothing old will do."""
        record = self._cached(identity, now)
        if record is not None:
            metrics.ADMISSION.labels("cached").inc()
            answer(record)
            return
        pending = self._pending.get(identity)
        if pending is not None:
            pending.answers.append(answer)
            return
        self._pending[identity] = _Pending(0, answers=[answer])
        if len(self._pending) > MOST_PENDING:
            self._give_up(identity, now)
            return
        self._asked.add(identity, now)
        self._query(identity, now)

    def verdict(self, delivery: Delivery, now: float) -> None:
        """A worker answered."""
        try:
            verdict = AdmissionVerdict.decode(delivery.body)
        except EnvelopeError as error:
            self._log.error("admission.bad_verdict", problem=str(error))
            return
        identity = verdict.identity
        pending = self._pending.get(identity)
        if pending is None or delivery.correlation_id != f"{CORRELATION_PREFIX}{pending.number}":
            metrics.REPLIES_DROPPED.labels("late_verdict").inc()
        elif pending.outdated:
            self._query(identity, now)
        else:
            self._remember(verdict, now)
            metrics.ADMISSION.labels("known" if verdict.known else "unknown").inc()
            self._answer(identity, verdict)

    def changed(self, delivery: Delivery) -> AdmissionChanged | None:
        """A record, or all of them, have changed: which, if that can be read."""
        try:
            change = AdmissionChanged.decode(delivery.body)
        except EnvelopeError as error:
            self._log.error("admission.bad_change", problem=str(error))
            return None
        identity = change.identity
        if identity is None:
            self._known.clear()
            self._unknown.clear()
            for pending in self._pending.values():
                pending.outdated = True
            return change
        self._known.pop(identity, None)
        self._unknown.pop(identity, None)
        if identity in self._pending:
            self._pending[identity].outdated = True
        return change

    def tell(self, notice: AdmissionNotice) -> None:
        """Tell the workers what a charge point came in with; its record is asked for anew the next time.

        Should this be lost, the next time it comes in is told again.
        """
        known = self._known.get(notice.identity)
        if known is not None:
            known.generation = -1
        if self.link is None or not self.link.up:
            return
        try:
            self.link.publish(topology.ADMISSIONS, topology.ADMISSION_KEY, notice.encode(), persistent=True)
        except LinkDownError:
            return

    def link_down(self, now: float) -> None:
        """Nobody will answer what was asked; and a change may be missed from here on, so nothing counts as fresh."""
        self._generation += 1
        self._unknown.clear()
        for identity in tuple(self._pending):
            self._give_up(identity, now)

    def tick(self, now: float) -> None:
        """Give up on what was asked too long ago."""
        for identity in self._asked.due(now):
            self._give_up(identity, now)

    # inner workings

    def _cached(self, identity: str, now: float) -> AdmissionVerdict | None:
        known = self._known.pop(identity, None)
        if known is not None:
            self._known[identity] = known  # the last one used is the last one to go
            fresh = known.generation == self._generation and now < known.told_at + self._fresh
            return known.record if fresh else None
        until = self._unknown.get(identity)
        if until is None:
            return None
        if now < until:
            return AdmissionVerdict(identity, known=False)
        del self._unknown[identity]
        return None

    def _remember(self, verdict: AdmissionVerdict, now: float) -> None:
        self._known.pop(verdict.identity, None)
        self._unknown.pop(verdict.identity, None)
        if verdict.known:
            self._known[verdict.identity] = _Known(verdict, now, self._generation)
            if len(self._known) > self._most_known:
                del self._known[next(iter(self._known))]
        elif self._fresh:
            self._unknown[verdict.identity] = now + min(self._fresh, UNKNOWN_SECONDS)
            if len(self._unknown) > MOST_UNKNOWN:
                del self._unknown[next(iter(self._unknown))]

    def _query(self, identity: str, now: float) -> None:
        """Ask, under a number of its own: an answer to an earlier question counts for nothing any more."""
        pending = self._pending[identity]
        self._number += 1
        pending.number, pending.outdated = self._number, False
        link = self.link
        if link is None or not link.up:
            self._give_up(identity, now)
            return
        try:
            link.publish(
                topology.ADMISSIONS,
                topology.ADMISSION_KEY,
                AdmissionQuery(identity=identity, gateway=self._gateway_id).encode(),
                correlation_id=f"{CORRELATION_PREFIX}{self._number}",
                reply_to=link.reply_queue,
                expiration_ms=max(1, int(self._asked.delay * 1000)),
            )
        except LinkDownError:
            self._give_up(identity, now)

    def _give_up(self, identity: str, now: float) -> None:
        """Nobody answers: what was told long ago has to do, if it is not too old."""
        known = self._known.get(identity)
        stale = known is not None and now < known.told_at + self._stale
        metrics.ADMISSION.labels("stale" if stale else "undecided").inc()
        self._answer(identity, known.record if known is not None and stale else None)

    def _answer(self, identity: str, record: AdmissionVerdict | None) -> None:
        self._asked.discard(identity)
        for answer in self._pending.pop(identity).answers:
            answer(record)
