"""Which gateway holds the newest session of each charge point: soft state, told by the gateways. Pure; time passed in.

Times are seconds of a monotonic clock. An entry is a tuple of a few words, so that a million fit in a few hundred MB;
what a gateway no longer holds is cut off by raising its floor and swept away later, in portions.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from contracts.announcements import Announcement, Closed, Heartbeat, Opened
from contracts.versions import Version

LEAST_WAIT_S = 1.0
"""After asking for snapshots: gateways that were never heard need this long to begin."""

MOST_WAIT_S = 5.0
"""Then the directory counts as complete whatever is missing: commands must not wait for a gateway that hangs."""

SILENT_INTERVALS = 3
SILENCE_MARGIN_S = 1.0
FIRST_INTERVAL_S = 2.0


class Place(NamedTuple):
    """Where a charge point is."""

    gateway: str
    session: str
    epoch: int
    version: Version


class _Entry(NamedTuple):
    held_by: "_Gateway"
    stamp: int
    session: str
    epoch: int
    version: Version

    @property
    def alive(self) -> bool:
        return self.stamp >= self.held_by.floor


@dataclass(slots=True, eq=False)
class _Gateway:
    """What is known of one gateway. Entries with a stamp below the floor are not there any more."""

    name: str
    heard_at: float
    interval_s: float = FIRST_INTERVAL_S
    stamp: int = 0
    floor: int = 0
    counts: dict[int, int] = field(default_factory=dict)
    started: dict[bool, int] = field(default_factory=dict)
    """Stamps of the snapshots that are coming in: asked for by us (True), or told to everybody."""
    complete: bool = False
    """It has told everything since we last asked."""

    @property
    def sessions(self) -> int:
        return sum(self.counts.values())

    def raise_floor(self, floor: int) -> int:
        """Cut off what is older; how many entries that were."""
        self.floor = max(self.floor, floor)
        dead = [stamp for stamp in self.counts if stamp < self.floor]
        return sum(self.counts.pop(stamp) for stamp in dead)


class Directory:
    """The newest session of every identity, and the life signs of gateways."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._gateways: dict[str, _Gateway] = {}
        self._asked_at: float | None = None
        self._complete_after: float | None = None
        self._dead = 0
        self._sweeping: Iterator[str] = iter(())

    def __len__(self) -> int:
        """How many charge points are connected."""
        return sum(gateway.sessions for gateway in self._gateways.values())

    @property
    def gateways(self) -> int:
        """How many gateways are known to live."""
        return len(self._gateways)

    @property
    def remembered(self) -> int:
        """Entries in memory, those that are still to be swept among them."""
        return len(self._entries)

    @property
    def complete(self) -> bool:
        """Whether who is not in here is not connected; false until `check_complete` says so."""
        return self._complete_after is not None

    @property
    def complete_after_s(self) -> float | None:
        """How long it took, once it is complete."""
        return self._complete_after

    def find(self, identity: str) -> Place | None:
        """Where this charge point is, as far as is known."""
        entry = self._entries.get(identity)
        if entry is None or not entry.alive:
            return None
        return Place(entry.held_by.name, entry.session, entry.epoch, entry.version)

    def asked(self, now: float) -> None:
        """Our broker link is new, and all gateways are asked for a snapshot: what is known may be out of date."""
        self._asked_at, self._complete_after = now, None
        self.deaf_until(now)
        for gateway in self._gateways.values():
            gateway.complete = False
            gateway.started.clear()

    def deaf_until(self, now: float) -> None:
        """Nobody could be heard until now: silence before it says nothing."""
        for gateway in self._gateways.values():
            gateway.heard_at = max(gateway.heard_at, now)

    def asked_again(self) -> None:
        """A gateway that had been given up is back, and all are asked once more; the directory stays complete."""
        for gateway in self._gateways.values():
            gateway.started.pop(True, None)

    def check_complete(self, now: float) -> bool:
        """Whether it has just become complete."""
        if self.complete or self._asked_at is None:
            return False
        waited = now - self._asked_at
        pending = not all(gateway.complete for gateway in self._gateways.values())
        if waited < LEAST_WAIT_S or (pending and waited < MOST_WAIT_S):
            return False
        self._complete_after = waited
        return True

    def announced(self, announcement: Announcement, now: float, *, asked: bool) -> None:
        """Take an announcement; `asked` when it came to us alone, as an answer."""
        gateway = self._heard(announcement.gateway, now)
        if announcement.snapshot and asked not in gateway.started:
            gateway.stamp += 1
            gateway.started[asked] = gateway.stamp
            # Of what everybody is told we may have missed the first parts; what came in answer to us is whole.
            gateway.complete = gateway.complete and not asked
        for opened in announcement.opened:
            self._open(gateway, opened)
        for closed in announcement.closed:
            self._close(gateway, closed)
        if announcement.snapshot and announcement.last:
            # What the other snapshot has told so far counts, too.
            self._dead += gateway.raise_floor(min(gateway.started.values()))
            del gateway.started[asked]
            gateway.complete = True not in gateway.started

    def heartbeat(self, heartbeat: Heartbeat, now: float) -> None:
        """Take a sign of life, or a gateway's last word."""
        if heartbeat.leaving:
            self.lost(heartbeat.gateway)
        else:
            self._heard(heartbeat.gateway, now).interval_s = heartbeat.interval_ms / 1000

    def returned(self, gateway: str) -> None:
        """It has no queue now: its sessions are out of reach until it announces them again. It may yet live."""
        known = self._gateways.get(gateway)
        if known is not None:
            known.stamp += 1
            known.started.clear()
            known.complete = False  # should it be heard without telling them anew, it is asked
            self._dead += known.raise_floor(known.stamp)

    def lost(self, gateway: str) -> None:
        """Forget a gateway with all its sessions."""
        self.returned(gateway)
        self._gateways.pop(gateway, None)

    def silent(self, now: float) -> list[str]:
        """Gateways not heard for too long; only to be asked while our own link is up."""
        return [
            gateway.name
            for gateway in self._gateways.values()
            if now - gateway.heard_at > SILENT_INTERVALS * gateway.interval_s + SILENCE_MARGIN_S
        ]

    def strangers(self) -> bool:
        """Whether a gateway is heard that has not told what it holds, such as one that was thought lost."""
        return any(not gateway.complete and not gateway.started for gateway in self._gateways.values())

    def not_here(self, identity: str, gateway: str, session: str) -> None:
        """That gateway says that it does not hold this session (any more)."""
        entry = self._entries.get(identity)
        if entry is not None and entry.held_by.name == gateway and entry.session == session:
            self._drop(identity, entry)

    def sweep(self, most: int) -> None:
        """Free the memory of at most so many entries that are cut off; to be called often."""
        if not self._dead:
            return
        portion = list(islice(self._sweeping, most))
        if not portion:
            self._sweeping = iter(list(self._entries))
            portion = list(islice(self._sweeping, most))
            if not portion:
                self._dead = 0
        for identity in portion:
            entry = self._entries.get(identity)
            if entry is not None and not entry.alive:
                self._drop(identity, entry)

    def _heard(self, name: str, now: float) -> _Gateway:
        gateway = self._gateways.get(name)
        if gateway is None:
            gateway = self._gateways[name] = _Gateway(name, now)
        gateway.heard_at = max(gateway.heard_at, now)
        return gateway

    def _open(self, gateway: _Gateway, opened: Opened) -> None:
        known = self._entries.get(opened.identity)
        if known is not None:
            if known.alive and (known.epoch, known.session) > (opened.epoch, opened.session):
                return
            self._drop(opened.identity, known)
        entry = _Entry(gateway, gateway.stamp, opened.session, opened.epoch, opened.version)
        self._entries[opened.identity] = entry
        gateway.counts[entry.stamp] = gateway.counts.get(entry.stamp, 0) + 1

    def _close(self, gateway: _Gateway, closed: Closed) -> None:
        known = self._entries.get(closed.identity)
        if known is not None and known.held_by is gateway and known.session == closed.session:
            self._drop(closed.identity, known)

    def _drop(self, identity: str, entry: _Entry) -> None:
        del self._entries[identity]
        if entry.alive:
            gateway = entry.held_by
            gateway.counts[entry.stamp] -= 1
            if not gateway.counts[entry.stamp]:
                del gateway.counts[entry.stamp]
        elif self._dead:
            self._dead -= 1
