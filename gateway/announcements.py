"""What this gateway tells everybody about its sessions: what opened and closed, all it holds, and that it lives.

The first change leaves with the next turn of the event loop, further ones in batches; a session's first Call hurries
them, for whoever hears of it may command the charge point at once. What the broker has not confirmed when the link
breaks is told again: with each new link first what closed, then everything that is held.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import structlog

from contracts import topology
from contracts.announcements import HEARTBEAT_TYPE, MOST_ENTRIES, SESSIONS_TYPE, Announcement, Closed, Heartbeat, Opened
from contracts.errors import LinkDownError
from gateway import metrics
from gateway.clock import Clock
from gateway.relay import Link
from gateway.session import Session

BATCH_S = 0.05
SPOKEN_BATCH_S = 0.005
"""Of a session whose charge point has sent a Call: whoever handles that may command it at once."""

PORTION = 500
"""Sessions of a snapshot that are announced in one turn of the event loop."""

RETRY_S = 1.0
HEARTBEAT_EXPIRES_MS = 60_000
MOST_SNAPSHOTS = 64
"""Asked for at the same time; whoever asks beyond that asks again."""


class Held(Protocol):
    """A connection with its session."""

    @property
    def session(self) -> Session | None: ...
    @property
    def remote(self) -> str: ...


class Holders(Protocol):
    """All sessions of this gateway, and the largest epoch known."""

    last_epoch: int

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Held]: ...


@dataclass(slots=True, eq=False)
class Batch:
    """Entries that the broker has not confirmed yet, by session id."""

    opened: tuple[str, ...]
    closed: tuple[str, ...]
    snapshot: bool = False


class Announcements:
    """Publisher of announcements and heartbeats; `tick` must be called a few times per second."""

    def __init__(
        self, gateway_id: str, clock: Clock, holders: Holders, *, heartbeat_s: float, most_closed: int
    ) -> None:
        self._gateway_id = gateway_id
        self._clock = clock
        self._holders = holders
        self._heartbeat_s = heartbeat_s
        self._most_closed = most_closed
        # Not confirmed, and of these: not on the way either.
        self._opened: dict[str, Opened] = {}
        self._closed: dict[str, Closed] = {}
        self._opened_to_tell: dict[str, None] = {}
        self._closed_to_tell: dict[str, None] = {}
        self._since: dict[str, float] = {}
        """When the first of a session's changes came that are not confirmed; the oldest first."""
        self._snapshots: dict[tuple[str, str], deque[Held] | None] = {}
        self._flush_planned: asyncio.Handle | None = None
        self._portion_planned: asyncio.Handle | None = None
        self._flushed_at = self._refused_at = self._beat_at = float("-inf")
        self._flush_at = float("inf")
        self._snapshot_again = self._left = False
        self._log = structlog.get_logger()
        self.link: Link | None = None
        """Set once, before the first session."""

    def __len__(self) -> int:
        """Entries that the broker has not confirmed."""
        return len(self._opened) + len(self._closed)

    def lag_s(self, now: float) -> float:
        """The age in seconds of the oldest change that the broker has not confirmed."""
        return max(0.0, now - next(iter(self._since.values()), now))

    # changes

    def opened(self, session: Session, remote: str) -> None:
        """A session was opened, or is to be announced once more."""
        self._opened[session.session_id] = self._entry(session, remote)
        self._since.setdefault(session.session_id, self._clock.now())
        self._opened_to_tell[session.session_id] = None
        self._plan_flush()

    def spoken(self, session: Session) -> None:
        """A Call of this session is about to be relayed: what is not told yet is told before it, or soon after."""
        if session.session_id not in self._opened_to_tell or self.link is None or not self.link.up:
            return
        now = self._clock.now()
        if now < self._refused_at + RETRY_S:
            return
        if now >= self._flushed_at + SPOKEN_BATCH_S:
            self._flush()
        else:
            self._plan_flush(SPOKEN_BATCH_S)

    def closed(self, session: Session, code: int, reason: str) -> None:
        """A session is over; told until the broker has it."""
        now = self._clock.now()
        closed_ms, session_id = self._clock.wall_ms(now), session.session_id
        self._since.setdefault(session_id, now)
        self._closed[session_id] = Closed(session.identity, session_id, session.epoch, closed_ms, code, reason)
        self._closed_to_tell[session_id] = None
        if len(self._closed) > self._most_closed:
            oldest = next(iter(self._closed))
            self._forget((), (oldest,))
            metrics.ANNOUNCEMENTS_DROPPED.inc()
        self._plan_flush()

    # snapshots

    def snapshot(self, reply_to: str = "") -> None:
        """Announce all that is held, to everybody or to the queue of whoever asked, over several loop turns.

        After the last word nothing: who heard us again would take us for alive, and soon for lost.
        """
        if self._left:
            return
        target = ("", reply_to) if reply_to else (topology.SESSIONS, "")
        if target not in self._snapshots and len(self._snapshots) >= MOST_SNAPSHOTS:
            self._log.warning("snapshot.refused", under_way=len(self._snapshots))
            return
        # Of what is held by its first portion: a change that is told before that would count as gone again.
        self._snapshots[target] = None
        if self._portion_planned is None:
            self._portion_planned = asyncio.get_running_loop().call_soon(self._portion)

    def _portion(self) -> None:
        """One portion of the snapshot that has waited longest."""
        self._portion_planned = None
        target = next(iter(self._snapshots), None)
        if target is None:
            return
        waiting = self._snapshots.pop(target)
        if waiting is None:
            waiting = deque(self._holders)
        entries: dict[str, Opened] = {}
        while waiting and len(entries) < PORTION:
            holder = waiting.popleft()
            session = holder.session
            if session is not None and not session.closed:
                entries[session.session_id] = self._entry(session, holder.remote)
        if waiting:
            self._snapshots[target] = waiting
        part = Announcement(self._gateway_id, tuple(entries.values()), snapshot=True, last=not waiting)
        # What everybody is told need not be told as a change as well.
        token = None
        if target[0]:
            token = Batch(tuple(entries), (), snapshot=True)
            for session_id in entries:
                self._opened_to_tell.pop(session_id, None)
        self._publish(*target, part.encode(), SESSIONS_TYPE, token)
        if self._snapshots:
            self._portion_planned = asyncio.get_running_loop().call_soon(self._portion)

    # the link

    def link_up(self) -> None:
        """A new connection: say that we live, what closed meanwhile, and what we hold."""
        if not self._left:
            self._beat()
        # Of the sessions still held the snapshot tells; one that is over was perhaps never heard of.
        self._opened_to_tell = dict.fromkeys(session_id for session_id in self._opened if session_id in self._closed)
        self._closed_to_tell = dict.fromkeys(self._closed)
        self._flush()
        if self._left:
            self._beat()
        self.snapshot()

    def link_down(self) -> None:
        self._snapshots.clear()
        self._snapshot_again = False

    def confirmed(self, batch: Batch) -> None:
        # What is to be told once more meanwhile is not settled by this.
        self._forget((one for one in batch.opened if one not in self._opened_to_tell), batch.closed)

    def refused(self, batch: Batch) -> None:
        """The broker did not take it (a queue of somebody's is full): told again after a pause."""
        self._snapshot_again = self._snapshot_again or batch.snapshot
        self._opened_to_tell.update(dict.fromkeys(one for one in batch.opened if one in self._opened))
        # Also what closed of those that opened: it must not be told before.
        self._closed_to_tell.update(dict.fromkeys(one for one in (*batch.opened, *batch.closed) if one in self._closed))
        self._refused_at = self._clock.now()

    # time and the end

    def tick(self, now: float) -> None:
        if not self._left and now >= self._beat_at + self._heartbeat_s:
            self._beat()
        if now < self._refused_at + RETRY_S:
            return
        if self._opened_to_tell or self._closed_to_tell:
            self._plan_flush()
        if self._snapshot_again:
            self._snapshot_again = False
            self.snapshot()

    def leave(self) -> None:
        """Say goodbye: what is still to be told, and the last heartbeat."""
        self._snapshots.clear()
        self._flush()
        self._left = True
        self._beat()

    def stop(self) -> None:
        """Publish no more."""
        self._snapshots.clear()
        for planned in (self._flush_planned, self._portion_planned):
            if planned is not None:
                planned.cancel()

    # inner workings

    def _entry(self, session: Session, remote: str) -> Opened:
        opened_ms = self._clock.wall_ms(session.opened_at)
        return Opened(session.identity, session.session_id, session.epoch, session.version, remote, opened_ms)

    def _forget(self, opened: Iterable[str], closed: Iterable[str]) -> None:
        for session_id in closed:
            self._closed.pop(session_id, None)
            self._closed_to_tell.pop(session_id, None)
        for session_id in (*opened, *closed):  # what is known to be over needs not be known to have been
            self._opened.pop(session_id, None)
            self._opened_to_tell.pop(session_id, None)
            if session_id not in self._closed:
                self._since.pop(session_id, None)

    def _plan_flush(self, batch_s: float = BATCH_S) -> None:
        if self.link is None or not self.link.up:
            return
        now = self._clock.now()
        flush_at = max(now, self._flushed_at + batch_s)
        if self._flush_planned is not None:
            if flush_at >= self._flush_at:
                return
            self._flush_planned.cancel()
        loop, self._flush_at = asyncio.get_running_loop(), flush_at
        wait_s = flush_at - now
        self._flush_planned = loop.call_later(wait_s, self._flush) if wait_s > 0 else loop.call_soon(self._flush)

    def _flush(self) -> None:
        if self._flush_planned is not None:
            self._flush_planned.cancel()
            self._flush_planned = None
        self._flushed_at = self._clock.now()
        while self._opened_to_tell or self._closed_to_tell:
            opened = _take(self._opened_to_tell, MOST_ENTRIES)
            # In one message, or in messages before: what opened is told before what closed.
            closed = _take(self._closed_to_tell, MOST_ENTRIES - len(opened))
            told = Announcement(
                self._gateway_id,
                tuple(self._opened[session_id] for session_id in opened),
                tuple(self._closed[session_id] for session_id in closed),
            )
            if not self._publish(topology.SESSIONS, "", told.encode(), SESSIONS_TYPE, Batch(opened, closed)):
                return  # link_up tells it

    def _beat(self) -> None:
        now = self._clock.now()
        self._beat_at = now
        interval_ms = int(self._heartbeat_s * 1000)
        epoch = max(self._holders.last_epoch, 0)
        beat = Heartbeat(self._gateway_id, len(self._holders), epoch, interval_ms, leaving=self._left)
        self._publish(topology.SESSIONS, "", beat.encode(), HEARTBEAT_TYPE, None)

    def _publish(self, exchange: str, key: str, body: bytes, kind: str, token: Batch | None) -> bool:
        link = self.link
        if link is None or not link.up:
            return False
        lasting = token is not None
        try:
            link.publish(
                exchange,
                key,
                body,
                token=token,
                persistent=lasting,
                expiration_ms=None if lasting else HEARTBEAT_EXPIRES_MS,
                type=kind,
            )
        except LinkDownError:
            return False
        return True


def _take(entries: dict[str, None], most: int) -> tuple[str, ...]:
    taken = tuple(session_id for session_id, _ in zip(entries, range(most), strict=False))
    for session_id in taken:
        del entries[session_id]
    return taken
