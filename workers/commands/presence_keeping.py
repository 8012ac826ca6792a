"""Presence: announcements into the store, and the sessions of gateways that fell silent closed.

How silent a gateway is, is measured by marks: the keeper publishes one into its own queue, and once it is handled,
everything that came before it was handled too. So neither a backlog nor a store that was away, a lost connection or
another consumer's turn can make a gateway look silent.
"""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from contracts import topology
from contracts.announcements import SNAPSHOT_REQUEST_TYPE, Announcement, Heartbeat, SnapshotRequest, read
from contracts.errors import LinkDownError
from workers import metrics
from workers.commands.session_changes import changes_of, closing
from workers.errors import StoreUnavailableError
from workers.runtime.context import ServiceContext
from workers.store import outbox, presence
from workers.store.engine import StoreTransaction

TICK_S = 1.0
MISSED_HEARTBEATS = 3
MARGIN_S = 2.0
DEFAULT_INTERVAL_S = 2.0
STALE_MARK_S = 10.0
"""A mark that takes longer tells of a backlog, in which heartbeats may have expired: nobody is judged by it."""
SLICE = 500

_MARK = b"presence-mark "
_log = structlog.get_logger()

OnOpened = Callable[[StoreTransaction, Sequence[str]], Awaitable[None]]
"""Told, inside the transaction, which charge points' sessions open with it."""


@dataclass(slots=True)
class _Heard:
    at: float
    interval_s: float = DEFAULT_INTERVAL_S

    def is_silent(self, at: float) -> bool:
        return at - self.at > MISSED_HEARTBEATS * self.interval_s + MARGIN_S


class PresenceKeeper:
    """`handle` serves the presence queue, `close_lost_sessions` is background work; both of one process."""

    def __init__(self, opened: OnOpened | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._opened = opened
        self._clock = clock
        self._name = uuid.uuid4().hex
        self._heard: dict[str, _Heard] = {}
        self._lost: set[str] = set()
        """Silent, not heard since, and perhaps with sessions open."""
        self._gone: set[str] = set()
        """The same with all its sessions closed."""
        self._back: set[str] = set()
        """Heard again: what it still holds is unknown until it says so."""
        self._mark_number = 0
        self._mark_sent_at = 0.0
        self._mark_back: asyncio.Future[None] | None = None

    async def handle(self, body: bytes, now: datetime, transaction: StoreTransaction) -> None:
        """Take one message of the presence queue; raises EnvelopeError. The same again changes nothing."""
        if body.startswith(_MARK):
            self._take_mark(body)
            return
        message = read(body)
        if isinstance(message, Announcement):
            self._hear(message.gateway, whole=message.snapshot)
            await self._take(message, now, transaction)
        elif isinstance(message, Heartbeat):
            self._hear_heartbeat(message)

    async def close_lost_sessions(self, context: ServiceContext) -> None:
        """Close the open sessions of gateways that fell silent, until cancelled; background work."""
        known = False
        while True:
            if not await self._mark(context):
                known = False
                self._forget()
                await asyncio.sleep(TICK_S)
                continue
            try:
                if not known:
                    await self._load(context)
                    known = True
                self._judge()
                for gateway in sorted(self._lost):
                    await self._close(context, gateway)
                if self._back:
                    await self._ask_back(context)
            except StoreUnavailableError as error:
                _log.warning("presence.store_unavailable", reason=str(error))
            except LinkDownError:
                known = False
            await asyncio.sleep(TICK_S)

    # what comes by the queue

    async def _take(self, message: Announcement, now: datetime, transaction: StoreTransaction) -> None:
        identities = {entry.identity for entry in message.opened} | {entry.identity for entry in message.closed}
        if not identities:
            return
        await presence.begin_writing(transaction)
        changes = changes_of(message, await presence.newest(transaction, identities), now)
        await presence.save(transaction, changes.rows.values(), now)
        for identity, event, at in changes.events:
            outbox.emit(transaction, identity, event, occurred_at=at, now=now)
        opened = changes.opened
        if opened and self._opened is not None:
            await self._opened(transaction, opened)

    def _hear(self, gateway: str, *, whole: bool = False) -> _Heard:
        if not whole and (gateway in self._lost or gateway in self._gone):
            self._back.add(gateway)
        self._lost.discard(gateway)
        self._gone.discard(gateway)
        heard = self._heard.setdefault(gateway, _Heard(0))
        heard.at = self._clock()
        return heard

    def _hear_heartbeat(self, message: Heartbeat) -> None:
        if message.leaving:
            self._heard.pop(message.gateway, None)
            self._lost.add(message.gateway)
            return
        self._hear(message.gateway).interval_s = max(message.interval_ms / 1000, 0.001)

    def _take_mark(self, body: bytes) -> None:
        if self._mark_back is not None and body == self._mark_body() and not self._mark_back.done():
            self._mark_back.set_result(None)

    # silence

    def _mark_body(self) -> bytes:
        return _MARK + f"{self._name} {self._mark_number}".encode()

    async def _mark(self, context: ServiceContext) -> bool:
        """Publish a mark and see it handled; False when it is not, or too late: then silence means nothing."""
        self._mark_number += 1
        self._mark_back = asyncio.get_running_loop().create_future()
        self._mark_sent_at = self._clock()
        try:
            async with asyncio.timeout(STALE_MARK_S):
                if not await context.publisher.publish("", topology.PRESENCE, self._mark_body(), mandatory=True):
                    return False
                await self._mark_back
        except (LinkDownError, TimeoutError):
            return False
        finally:
            self._mark_back = None
        return self._clock() - self._mark_sent_at < STALE_MARK_S

    def _forget(self) -> None:
        """What was heard before says nothing any more: somebody else may have heard what came since."""
        self._heard.clear()
        self._lost.clear()
        self._gone.clear()
        self._back.clear()

    async def _load(self, context: ServiceContext) -> None:
        """Gateways that have sessions open and were never heard get their time, too."""
        async with context.store.transaction(read_only=True) as transaction:
            gateways = await presence.gateways(transaction)
        for gateway in gateways:
            self._heard.setdefault(gateway, _Heard(self._clock()))

    def _judge(self) -> None:
        silent = [gateway for gateway, heard in self._heard.items() if heard.is_silent(self._mark_sent_at)]
        for gateway in silent:
            del self._heard[gateway]
            self._lost.add(gateway)
            metrics.presence_gateways_lost.inc()
            _log.warning("gateway.lost", gateway=gateway)

    async def _close(self, context: ServiceContext, gateway: str) -> None:
        """Close its sessions slice by slice, as long as it is not heard again."""
        closed = 0
        while gateway in self._lost:
            now = context.now()
            async with context.store.transaction() as transaction:
                await presence.begin_writing(transaction)
                rows = await presence.close_lost(transaction, gateway, now, SLICE) if gateway in self._lost else []
                for row in rows:
                    event = closing(row, code=None, reason=presence.GATEWAY_LOST)
                    outbox.emit(transaction, row.identity, event, occurred_at=now, now=now)
            closed += len(rows)
            if len(rows) < SLICE and gateway in self._lost:
                self._lost.remove(gateway)
                self._gone.add(gateway)
        if closed:
            _log.info("gateway.sessions_closed", gateway=gateway, sessions=closed)

    async def _ask_back(self, context: ServiceContext) -> None:
        """Have gateways that were thought lost say what they hold: they reopen it by that."""
        body = SnapshotRequest(self._name).encode()
        await context.publisher.publish(
            topology.SESSIONS, "", body, reply_to=topology.PRESENCE, type=SNAPSHOT_REQUEST_TYPE, persistent=False
        )
        _log.info("gateway.back", gateways=sorted(self._back))
        self._back.clear()
