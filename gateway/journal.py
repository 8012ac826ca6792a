"""What the gateway counts and logs of its sessions."""

from collections.abc import Iterable

import structlog
from prometheus_client import Gauge

from contracts.versions import Version
from gateway import metrics
from gateway.effects import Notice, Noticed
from gateway.handshake import Refused
from gateway.session import Session
from gateway.throttle import Throttle

LOGGED = {
    Noticed.MALFORMED: "frame.malformed",
    Noticed.CALL_TIMEOUT: "call.timeout",
    Noticed.UNROUTABLE: "call.unroutable",
    Noticed.RESULT_REFUSED: "result.refused",
    Noticed.CALL_OVER_BOUND: "call.over_bound",
    Noticed.INVALID_TAKEN: "payload.invalid_taken",
    Noticed.SIGNATURE_REFUSED: "message.signature_refused",
}
"""What sessions notice and an operator may want to follow; the other kinds are only counted."""


class Tally:
    """Hot counts of one version; plain numbers here, told to the metrics at each tick."""

    __slots__ = ("_version", "calls", "received", "sent")

    def __init__(self, version: Version) -> None:
        self._version = version.value
        self.received = self.sent = self.calls = 0

    def tell(self) -> None:
        metrics.RECEIVED.labels(self._version).inc(self.received)
        metrics.SENT.labels(self._version).inc(self.sent)
        metrics.CALLS.labels(self._version).inc(self.calls)
        self.received = self.sent = self.calls = 0


class Journal:
    """Counts and log lines. One kind of trouble logs at most ten lines a second, so as not to hide the others."""

    def __init__(self) -> None:
        self.tallies = {version: Tally(version) for version in Version}
        self._throttles = {event: Throttle(per_second=10) for event in ("handshake.refused", *LOGGED.values())}
        self._notices = {kind: metrics.NOTICED.labels(kind.value) for kind in Noticed}
        self._log = structlog.get_logger()

    def refused(self, refused: Refused, remote: str, now: float, **who: str) -> None:
        """A handshake was refused."""
        if self._throttles["handshake.refused"].passes(now):
            self._log.info("handshake.refused", status=refused.status, reason=refused.reason, remote=remote, **who)

    def opened(self, session: Session, remote: str) -> None:
        metrics.ACCEPTED.labels(session.version.value).inc()
        metrics.CONNECTIONS.labels(session.version.value).inc()
        self._log.info(
            "session.opened",
            identity=session.identity,
            session=session.session_id,
            version=session.version.value,
            remote=remote,
            profile=session.profile,
        )

    def ended(self, session: Session) -> None:
        """The session is over; its socket may still be closing."""
        metrics.CONNECTIONS.labels(session.version.value).dec()

    def lost(self, session: Session, code: int, reason: str, now: float) -> None:
        """The session's socket is gone."""
        metrics.CLOSED.labels(str(code) if code < 3000 else "other").inc()
        self._log.info(
            "session.closed",
            identity=session.identity,
            session=session.session_id,
            version=session.version.value,
            code=code,
            reason=reason,
            calls=session.calls,
            duration_s=round(now - session.opened_at, 1),
        )

    def noticed(self, session: Session, notice: Notice, now: float) -> None:
        self._notices[notice.kind].inc()
        if notice.kind is Noticed.TOLERATED:
            metrics.TOLERATED.labels(notice.detail).inc()
        elif notice.kind is Noticed.SIGNED:
            metrics.SIGNED.labels(notice.detail).inc()
        event = LOGGED.get(notice.kind)
        if event is not None and self._throttles[event].passes(now):
            self._log.warning(event, identity=session.identity, session=session.session_id, detail=notice.detail)

    def tick(self, gauges: Iterable[tuple[Gauge, float]]) -> None:
        """Tell the metrics what was counted since the last tick, and the log what it was spared."""
        for tally in self.tallies.values():
            tally.tell()
        for gauge, value in gauges:
            gauge.set(value)
        for event, throttle in self._throttles.items():
            if suppressed := throttle.take_suppressed():
                self._log.warning("log.suppressed", of=event, lines=suppressed)
