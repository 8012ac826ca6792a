"""What the gateway counts and logs of its sessions."""

import logging
from collections.abc import Iterable

import structlog
from prometheus_client import Gauge

from contracts.actions import label
from contracts.tracing import trace_of
from contracts.versions import Version
from gateway import metrics
from gateway.effects import Ending, Invalid, Notice, Noticed, Settled
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

_OF_THE_CALL = frozenset({Noticed.CALL_TIMEOUT, Noticed.UNROUTABLE})
"""What is noticed of the Call in flight."""

_OF_WORKERS = frozenset({Ending.RESULT, Ending.CALL_ERROR})


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


class CallTally:
    """Endings of the Calls of one action, counted likewise, and the histogram of those that workers answered."""

    __slots__ = ("_told", "endings", "observe")

    def __init__(self, action: str) -> None:
        # Each begins at 0: Prometheus sees no rise in a series that begins with the first time-outs.
        self._told = {ending: metrics.ANSWERED.labels(action, ending.value) for ending in Ending}
        self.endings = dict.fromkeys(Ending, 0)
        self.observe = metrics.ROUNDTRIP.of(action).observe

    def tell(self) -> None:
        for ending, many in self.endings.items():
            if many:
                self._told[ending].inc(many)
                self.endings[ending] = 0


class Journal:
    """Counts and log lines. One kind of trouble logs at most ten lines a second, so as not to hide the others."""

    def __init__(self) -> None:
        self.tallies = {version: Tally(version) for version in Version}
        self._throttles = {event: Throttle(per_second=10) for event in ("handshake.refused", *LOGGED.values())}
        self._notices = {kind: metrics.NOTICED.labels(kind.value) for kind in Noticed}
        self._calls: dict[str, CallTally] = {}
        """By action; of those that no schema knows there is one, under the name that metrics give them."""
        self._log = structlog.get_logger()
        self._tells_calls = self._log.is_enabled_for(logging.DEBUG)

    def refused(self, refused: Refused, remote: str, now: float, **who: str) -> None:
        """A handshake was refused."""
        if self._throttles["handshake.refused"].passes(now):
            self._log.info("handshake.refused", status=refused.status, reason=refused.reason, remote=remote, **who)

    def opened(self, session: Session, remote: str) -> None:
        metrics.ACCEPTED.labels(session.version.value).inc()
        metrics.CONNECTIONS.labels(session.version.value, str(session.profile)).inc()
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
        metrics.CONNECTIONS.labels(session.version.value, str(session.profile)).dec()

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

    def settled(self, session: Session, call: Settled, now: float) -> None:
        """A Call has ended: counted, and at debug told in its one line."""
        ending = call.ending
        tally = self._calls.get(call.action) or self._new_tally(call.action)
        tally.endings[ending] += 1
        if ending in _OF_WORKERS:
            tally.observe(now - call.received)
        if self._tells_calls:
            self._log.debug(
                "call.answered",
                identity=session.identity,
                session=session.session_id,
                unique_id=call.unique_id,
                action=call.action[:50],
                outcome=ending.value,
                duration_s=round(now - call.received, 4),
                trace=trace_of(session.span),
            )

    def _new_tally(self, action: str) -> CallTally:
        name = label(action)
        if name not in self._calls:
            self._calls[name] = CallTally(name)
        return self._calls[name]

    def noticed(self, session: Session, notice: Notice | Invalid, now: float) -> None:
        if isinstance(notice, Invalid):
            action, verdict = label(notice.action), "taken" if notice.taken else "refused"
            metrics.INVALID.labels(notice.direction, action, notice.rule.value, verdict).inc()
            return
        self._notices[notice.kind].inc()
        if notice.kind is Noticed.TOLERATED:
            metrics.TOLERATED.labels(notice.detail).inc()
        elif notice.kind is Noticed.SIGNED:
            metrics.SIGNED.labels(notice.detail).inc()
        event = LOGGED.get(notice.kind)
        if event is not None and self._throttles[event].passes(now):
            known = {"unique_id": notice.unique_id} if notice.unique_id else {}
            if session.span is not None and notice.kind in _OF_THE_CALL:
                known["trace"] = session.span.trace
            self._log.warning(
                event, identity=session.identity, session=session.session_id, detail=notice.detail, **known
            )

    def tick(self, gauges: Iterable[tuple[Gauge, float]]) -> None:
        """Tell the metrics what was counted since the last tick, and the log what it was spared."""
        for tally in self.tallies.values():
            tally.tell()
        for calls in self._calls.values():
            calls.tell()
        for gauge, value in gauges:
            gauge.set(value)
        for event, throttle in self._throttles.items():
            if suppressed := throttle.take_suppressed():
                self._log.warning("log.suppressed", of=event, lines=suppressed)
