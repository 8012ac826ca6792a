"""The event relay: from the outbox to the exchange of events, each at least once, in order, numbered without gaps.

One relay at a time, by a lease. Events get their numbers and are committed with them before they are published, so
that whoever publishes them again gives the same; they are deleted once the broker has them.
"""

import asyncio
import heapq
import time
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import orjson
import structlog

from contracts import bodies, topology
from contracts.bodies import ContentType
from contracts.events import Event, event_key
from workers import metrics
from workers.errors import StoreUnavailableError
from workers.runtime.context import ServiceContext
from workers.runtime.publisher import Letter
from workers.settings import EventsFormat
from workers.store import leases, outbox
from workers.store.outbox import OutgoingEvent

LEASE = "events"
LEASE_S = 6.0
RENEW_S = 2.0
WAIT_FOR_LEASE_S = 1.0
BATCH = 500
"""Most events that are published at a time."""
IDLE_S = 0.08
LINK_PAUSE_S = 0.2
STORE_PAUSE_MOST_S = 5.0
RELEASE_S = 1.0
FIRST_RETRY_S = 0.25
LONGEST_RETRY_S = 10.0
GIVE_UP_AFTER_S = 60.0
MOST_REFUSED = 10_000
"""Refused events that are kept to be tried again; with more, the oldest are given up early."""
BACKLOG_EVERY_S = 5.0

_log = structlog.get_logger()


async def relay_events(context: ServiceContext) -> None:
    """Relay events until cancelled; background work of any number of replicas, of which one does it at a time."""
    relay = EventRelay(context)
    try:
        await relay.run()
    finally:
        await relay.release()


class EventRelay:
    """One process's relay: works while it holds the lease, waits for it otherwise."""

    def __init__(self, context: ServiceContext, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._context = context
        self._clock = clock
        self._holder = uuid.uuid4().hex
        self._write = writer(context.settings.events_format)
        self._done: set[int] = set()
        """Published or given up, and not yet deleted."""
        self._again: list[OutgoingEvent] = []
        """Of an earlier relay, or published when the link went down: first of all these."""
        self._refused = Refused()
        self._renew_at = 0.0
        self._backlog_at = 0.0
        self._doubt = True
        """Whether the store may hold numbered events that are not known here."""

    async def run(self) -> None:
        """Relay events until cancelled."""
        failures = 0
        while True:
            try:
                if await self._take_lease():
                    await self._relay()
                else:
                    metrics.events_pending.set(0)
                    metrics.events_lag.set(0)
                    await asyncio.sleep(WAIT_FOR_LEASE_S)
                failures = 0
            except StoreUnavailableError as error:
                # Whether the last transaction was committed is unknown: read again what it may have numbered.
                self._doubt = True
                failures += 1
                pause_s = min(STORE_PAUSE_MOST_S, IDLE_S * 2**failures)
                _log.warning("events.store_unavailable", reason=str(error), retry_in_s=round(pause_s, 2))
                await asyncio.sleep(pause_s)

    async def release(self) -> None:
        """Let another relay begin at once; without the store it waits for the lease's end instead."""
        try:
            async with asyncio.timeout(RELEASE_S), self._context.store.transaction() as transaction:
                await leases.release(transaction, LEASE, self._holder)
        except (StoreUnavailableError, TimeoutError):
            return

    async def _take_lease(self) -> bool:
        now = self._context.now()
        async with self._context.store.transaction() as transaction:
            taken = await leases.take(transaction, LEASE, self._holder, now=now, until=_lease_end(now))
        self._doubt = self._doubt or taken
        return taken

    async def _relay(self) -> None:
        """Relay as long as the lease is held."""
        _log.info("events.relaying")
        while (batch := await self._next()) is not None:
            await self._watch_backlog()
            if batch:
                await self._publish(batch)
            else:
                await asyncio.sleep(IDLE_S)
        self._done.clear()
        self._again.clear()
        self._refused.clear()
        _log.warning("events.lease_lost")

    async def _next(self) -> list[OutgoingEvent] | None:
        """The events to publish now, in order; None when another relay has taken over."""
        due = self._refused.due(self._clock())
        if not (due or self._doubt or self._done or self._again or self._clock() >= self._renew_at):
            async with self._context.store.transaction(read_only=True) as transaction:
                if not await outbox.is_waiting(transaction):
                    return []
        now = self._context.now()
        async with self._context.store.transaction() as transaction:
            if not await leases.hold(transaction, LEASE, self._holder, until=_lease_end(now)):
                return None
            await outbox.forget(transaction, self._done)
            left = await outbox.left(transaction) if self._doubt else None
            # While the broker takes nothing, no more is taken either: what waits, waits in the store.
            room = BATCH - len(self._again if left is None else left)
            taken = await outbox.take(transaction, room) if room > 0 else []
        self._done.clear()
        self._renew_at = self._clock() + RENEW_S
        self._doubt = False
        if left is not None:
            due_now = {event.number for event in due}
            self._again = [e for e in left if e.number not in self._refused and e.number not in due_now]
        again, self._again = self._again, []
        return [*again, *due, *taken]

    async def _publish(self, batch: list[OutgoingEvent]) -> None:
        answers = await self._context.publisher.publish_all(list(map(self._letter, batch)))
        relayed, refused, given_up = Counter[str](), Counter[str](), Counter[str]()
        for event, taken in zip(batch, answers, strict=True):
            if taken is None:
                self._again.append(event)
            elif taken:
                self._done.add(event.number)
                self._refused.forget(event.number)
                relayed[event.type] += 1
            else:
                refused[event.type] += 1
                for hopeless in self._refused.add(event, self._clock()):
                    self._done.add(hopeless.number)
                    given_up[hopeless.type] += 1
        for counter, counts in (
            (metrics.events_relayed, relayed),
            (metrics.events_refused, refused),
            (metrics.events_given_up, given_up),
        ):
            for name, count in counts.items():
                counter.labels(name).inc(count)
        for name, count in given_up.items():
            _log.error("events.given_up", type=name, count=count, reason="a backend's queue is full")
        if self._again:
            await asyncio.sleep(LINK_PAUSE_S)

    def _letter(self, event: OutgoingEvent) -> Letter:
        body, content_type = self._write(event)
        key = event_key(event.type, event.identity)
        return Letter(topology.EVENTS, key, body, event.type, event.event_id, content_type)

    async def _watch_backlog(self) -> None:
        if self._clock() < self._backlog_at:
            return
        self._backlog_at = self._clock() + BACKLOG_EVERY_S
        async with self._context.store.transaction(read_only=True) as transaction:
            count, oldest = await outbox.backlog(transaction)
        lag_s = 0.0 if oldest is None else (self._context.now() - oldest).total_seconds()
        metrics.events_pending.set(count)
        metrics.events_lag.set(max(0.0, lag_s))


class Refused:
    """Events that the broker refused, as a backend's queue was full; each is tried again for a minute. Pure."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int]] = []
        self._kept: dict[int, tuple[OutgoingEvent, float, int]] = {}
        """Event, when it was refused first, how often it was: by number, in order of the first refusal."""
        self._waiting: set[int] = set()
        """Those whose turn has not come; the others are being published."""

    def __contains__(self, number: int) -> bool:
        """Whether the event waits here for its turn."""
        return number in self._waiting

    def add(self, event: OutgoingEvent, now: float) -> list[OutgoingEvent]:
        """Keep a refused event; those that are given up, which may be another one."""
        _, first, times = self._kept.get(event.number, (event, now, 0))
        if now - first >= GIVE_UP_AFTER_S:
            del self._kept[event.number]
            return [event]
        self._kept[event.number] = (event, first, times + 1)
        self._waiting.add(event.number)
        heapq.heappush(self._due, (now + min(LONGEST_RETRY_S, FIRST_RETRY_S * 2**times), event.number))
        if len(self._kept) <= MOST_REFUSED:
            return []
        oldest = next(iter(self._kept))
        self._waiting.discard(oldest)
        return [self._kept.pop(oldest)[0]]

    def due(self, now: float) -> list[OutgoingEvent]:
        """Events to try again, at most a batch of them, in the order of their numbers; `add` or `forget` each."""
        numbers: list[int] = []
        while self._due and self._due[0][0] <= now and len(numbers) < BATCH:
            _, number = heapq.heappop(self._due)
            if number in self._waiting:
                self._waiting.remove(number)
                numbers.append(number)
        return [self._kept[number][0] for number in sorted(numbers)]

    def forget(self, number: int) -> None:
        """It was taken."""
        self._kept.pop(number, None)

    def clear(self) -> None:
        """Another relay has them."""
        self._due.clear()
        self._kept.clear()
        self._waiting.clear()


def writer(events_format: EventsFormat) -> Callable[[OutgoingEvent], tuple[bytes, str]]:
    """What makes an event's body, the same as `contracts.events.Event` would, and its content type."""
    if events_format is EventsFormat.JSON:
        # The data is JSON already: it goes in as it is.
        return lambda event: (
            orjson.dumps(_content(event, orjson.Fragment(event.data)), option=orjson.OPT_UTC_Z),
            ContentType.JSON.value,
        )
    return lambda event: (_msgpack(event), ContentType.MSGPACK.value)


def _msgpack(event: OutgoingEvent) -> bytes:
    content = Event.model_validate(_content(event, orjson.loads(event.data)))
    return bodies.encode(content.model_dump(mode="json"), ContentType.MSGPACK)


def _content(event: OutgoingEvent, data: Any) -> dict[str, Any]:
    return {
        "v": 1,
        "t": Event.KIND,
        "event_id": event.event_id,
        "type": event.type,
        "identity": event.identity,
        "seq": event.seq,
        "occurred_at": event.occurred_at,
        "recorded_at": event.recorded_at,
        "data": data,
    }


def _lease_end(now: datetime) -> datetime:
    return now + timedelta(seconds=LEASE_S)
