"""Lanes: Calls handled side by side, each charge point always in the same one, a batch at a time.

What goes wrong is told apart here. The database away: wait, for as long as it takes, with the deliveries in hand.
A handler that raises: the Calls of its batch run again one by one, and the culprit goes back to the queue until
it has had its tries; then it is dead-lettered. Billing data never gets an error for it, other Calls do at the end.
"""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable
from functools import cache

import structlog
from prometheus_client import Counter

from contracts.broker import BrokerLink
from contracts.errors import EnvelopeError, LinkDownError
from contracts.tracing import trace_of
from contracts.versions import ErrorKind
from workers import metrics
from workers.errors import InvalidReplyError, StoreUnavailableError
from workers.runtime.attempt import Attempted, CallAttempt, RequestAttempt, Work, refusal
from workers.runtime.calls import IncomingCall, Written
from workers.runtime.effects import EffectRunner

HANDLER_TRIES = 5
"""How often a Call is tried whose handler raises; the broker's own limit is for what kills the process."""

FIRST_PAUSE_S = 0.05
FIRST_REQUEUE_S = 0.05


class Lane:
    """A queue and the one task that empties it. `run` is the owner's to await; `drain` lets it end by itself."""

    def __init__(
        self,
        service: str,
        link: BrokerLink,
        attempt: CallAttempt | RequestAttempt,
        effects: EffectRunner,
        *,
        gather_s: float,
        most: int,
        retry_max_s: float,
        connection: Callable[[], int],
    ) -> None:
        self._service = service
        self._link = link
        self._attempt = attempt
        self._effects = effects
        self._gather_s = gather_s
        self._most = most
        self._retry_max_s = retry_max_s
        self._connection = connection
        self._waiting: deque[Work] = deque()
        self._in_hand = 0
        self._wake = asyncio.Event()
        self._draining = asyncio.Event()
        self._requeues: set[asyncio.TimerHandle] = set()
        self._log = structlog.get_logger().bind(service=service)
        self._age = metrics.call_age.labels(service)
        self.paused_since: float | None = None
        """Monotonic seconds at which the database stopped taking this lane's work; None while it takes it."""

    def __len__(self) -> int:
        """Deliveries not yet settled: those that wait and those of the batch at work."""
        return len(self._waiting) + self._in_hand

    def add(self, work: Work) -> None:
        """Queue a delivery; bounded by the consumer's prefetch."""
        self._waiting.append(work)
        self._wake.set()

    def drop_waiting(self) -> None:
        """Forget what waits: its connection is gone, the broker delivers it again."""
        self._waiting.clear()

    def drain(self) -> None:
        """Finish what is queued, then end; while the database is away, leave the rest to the broker."""
        self._draining.set()
        self._wake.set()

    async def run(self) -> None:
        """Handle batches until drained or cancelled."""
        while self._waiting or not self._draining.is_set():
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
                continue
            if self._gather_s and len(self._waiting) < self._most and not self._draining.is_set():
                await asyncio.sleep(self._gather_s)
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._most))]
            self._in_hand = len(batch)
            try:
                await self._settle(batch)
            finally:
                self._in_hand = 0
                for work in batch:
                    if work.span is not None:
                        work.span.end("not_settled")  # of one that is settled it has ended

    def close(self) -> None:
        """Cancel the delayed requeues; their deliveries return when the connection closes."""
        for handle in self._requeues:
            handle.cancel()
        self._requeues.clear()

    async def _settle(self, batch: list[Work]) -> None:
        failures = 0
        while batch := [work for work in batch if work.connection == self._connection()]:
            try:
                done = await self._attempt.run(batch)
            except StoreUnavailableError as error:
                failures += 1
                if not await self._pause(failures, error):
                    return
            except Exception as error:  # noqa: BLE001 - the outermost shell of every handler
                self.paused_since = None
                if len(batch) == 1:
                    self._poisoned(batch[0], error)
                    return
                metrics.retries.labels(self._service, "one_by_one").inc()
                for work in batch:
                    await self._settle([work])
                return
            else:
                self.paused_since = None
                self._finish(batch, done)
                return

    async def _pause(self, failures: int, error: StoreUnavailableError) -> bool:
        """Wait before the next try; False when the process is to end instead."""
        if self._draining.is_set():
            return False
        if self.paused_since is None:
            self.paused_since = time.monotonic()
        wait_s = min(self._retry_max_s, FIRST_PAUSE_S * 2 ** min(failures, 12)) * random.uniform(0.5, 1)  # noqa: S311
        metrics.retries.labels(self._service, "store_unavailable").inc()
        self._log.warning("store.unavailable", reason=str(error), failures=failures, retry_in_s=round(wait_s, 2))
        try:
            await asyncio.wait_for(self._draining.wait(), wait_s)
        except TimeoutError:
            return True
        return False

    def _finish(self, batch: list[Work], done: Attempted) -> None:
        now = time.time()
        handled: dict[tuple[str, str], int] = {}
        told = self._log.is_enabled_for(logging.DEBUG)
        for work, answer, outcome in zip(batch, done.answers, done.outcomes, strict=True):
            if answer is not None:
                self._reply(work, answer)
            self._link.ack(work.delivery)
            if work.span is not None:
                work.span.attributes["ocpp.outcome"] = outcome
                work.span.end()
            if told and work.call is not None:
                self._tell(work, work.call, outcome)
            action = "request" if work.call is None else _action_label(work, outcome)
            handled[action, outcome] = handled.get((action, outcome), 0) + 1
            if work.call is not None:
                self._age.observe(max(0.0, now - work.call.received_at.timestamp()))
        for (action, outcome), many in handled.items():
            _handled(self._service, action, outcome).inc(many)
        for effect in done.effects:
            self._effects.add(effect)

    def _tell(self, work: Work, call: IncomingCall, outcome: str) -> None:
        self._log.debug(
            "call.handled",
            identity=call.identity,
            session=call.session,
            unique_id=call.unique_id,
            action=call.action[:50],
            outcome=outcome,
            trace=trace_of(work.span),
        )

    def _reply(self, work: Work, answer: Written) -> None:
        delivery = work.delivery
        if not delivery.reply_to or work.connection != self._connection():
            return
        publishing = None if work.span is None else work.span.publishing("reply")
        try:
            self._link.publish(
                "",
                delivery.reply_to,
                answer.body,
                correlation_id=delivery.correlation_id,
                type=answer.type,
                content_type=answer.content_type,
                headers=None if publishing is None else publishing.headers,
            )
        except LinkDownError:
            return  # not acked either: it comes again, and its reply with it
        except ValueError:  # an address that no AMQP client could have written
            self._log.warning("reply.unaddressable", queue=delivery.queue)
            return
        if publishing is not None:
            publishing.end()  # no confirm is asked for: the ack behind it on the same channel is that

    def _poisoned(self, work: Work, error: Exception) -> None:
        tries = work.delivery.delivery_count + 1
        last = tries >= HANDLER_TRIES or isinstance(error, EnvelopeError)
        call = work.call
        if isinstance(error, InvalidReplyError) and call is not None:
            metrics.invalid_replies.labels(self._service, call.action).inc()
        self._log.error(
            "call.failed",
            action=None if call is None else call.action,
            identity=None if call is None else call.identity,
            session=None if call is None else call.session,
            unique_id=None if call is None else call.unique_id,
            trace=trace_of(work.span),
            queue=work.delivery.queue,
            tries=tries,
            dead_lettered=last,
            exc_info=error,
        )
        if work.span is not None:
            work.span.end(type(error).__name__)
        if not last:
            metrics.retries.labels(self._service, "handler_raised").inc()
            self._requeue_later(work, tries)
            return
        if call is not None and not call.is_transaction:
            self._reply(work, refusal(ErrorKind.INTERNAL, "the request could not be processed"))
        metrics.dead_lettered.labels(self._service, "envelope" if isinstance(error, EnvelopeError) else "poison").inc()
        self._link.reject(work.delivery, requeue=False)

    def _requeue_later(self, work: Work, tries: int) -> None:
        def requeue() -> None:
            self._requeues.discard(handle)
            self._link.reject(work.delivery, requeue=True)

        handle = asyncio.get_running_loop().call_later(FIRST_REQUEUE_S * 2**tries, requeue)
        self._requeues.add(handle)


@cache
def _handled(service: str, action: str, outcome: str) -> Counter:
    return metrics.calls_handled.labels(service, action, outcome)


def _action_label(work: Work, outcome: str) -> str:
    # Unknown names come from charge points without bound: never a label.
    return "unknown" if work.call is None or outcome == ErrorKind.NOT_IMPLEMENTED else work.call.action
