"""What announcements change: from the newest sessions known to the newest ones now, and the events between. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from contracts.announcements import Announcement, Closed, Opened
from contracts.events import SessionClosed, SessionOpened
from workers.store.presence import GATEWAY_LOST, SessionRow

REPLACED = "replaced"


@dataclass(slots=True)
class Changes:
    """Rows to save by identity, and what is to be told, in order, with the time of each."""

    rows: dict[str, SessionRow] = field(default_factory=dict)
    events: list[tuple[str, SessionOpened | SessionClosed, datetime]] = field(default_factory=list)

    @property
    def opened(self) -> list[str]:
        """The charge points of which a session opened and is open."""
        told = {identity for identity, event, _ in self.events if isinstance(event, SessionOpened)}
        return sorted(identity for identity in told if self.rows[identity].closed_at is None)


def changes_of(announcement: Announcement, known: Mapping[str, SessionRow], now: datetime) -> Changes:
    """What an announcement changes; nothing when it comes again.

    A session that is older than the newest one known is passed over: it was replaced before we heard of it.
    """
    changes = Changes()
    for opened in announcement.opened:
        row = changes.rows.get(opened.identity) or known.get(opened.identity)
        _open(announcement.gateway, opened, row, changes, now)
    for closed in announcement.closed:
        row = changes.rows.get(closed.identity) or known.get(closed.identity)
        if row is not None and (row.epoch, row.session) == (closed.epoch, closed.session):
            _close(closed, row, changes, now)
    return changes


def closing(row: SessionRow, *, code: int | None, reason: str) -> SessionClosed:
    """The event of a session's end."""
    return SessionClosed(
        gateway=row.gateway,
        session=row.session,
        epoch=row.epoch,
        ocpp_version=row.ocpp_version,
        remote=row.remote,
        code=code,
        reason=reason,
    )


def _open(gateway: str, opened: Opened, row: SessionRow | None, changes: Changes, now: datetime) -> None:
    at = _moment(opened.opened_ms, now)
    fresh = SessionRow(
        opened.identity, gateway, opened.session, opened.epoch, opened.version.value, opened.remote, opened_at=at
    )
    if row is not None:
        mine, known = (opened.epoch, opened.session), (row.epoch, row.session)
        if mine < known:
            return
        # What the version before noted of this session itself has not been announced.
        if mine == known and row.opened_at == at:
            if row.close_reason != GATEWAY_LOST:
                return
            at = now  # its gateway is back
        elif mine > known and row.closed_at is None and row.opened_at is not None:
            changes.events.append((row.identity, closing(row, code=None, reason=REPLACED), at))
    changes.rows[opened.identity] = fresh
    event = SessionOpened(
        gateway=gateway,
        session=opened.session,
        epoch=opened.epoch,
        ocpp_version=opened.version.value,
        remote=opened.remote,
    )
    changes.events.append((opened.identity, event, at))


def _close(closed: Closed, row: SessionRow, changes: Changes, now: datetime) -> None:
    if row.closed_at is not None and row.close_reason != GATEWAY_LOST:
        return
    at = _moment(closed.closed_ms, now)
    # That it was lost has been told as its end; from now on nothing reopens it.
    changes.rows[closed.identity] = replace(row, closed_at=at, close_code=closed.code, close_reason=closed.reason)
    if row.closed_at is None and row.opened_at is not None:
        changes.events.append((closed.identity, closing(row, code=closed.code, reason=closed.reason), at))


def _moment(milliseconds: int, now: datetime) -> datetime:
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return now
