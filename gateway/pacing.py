"""Charge points that send too fast are left unread for a while; those that cannot be slowed down so are closed."""

from gateway import metrics
from gateway.connection import Connection
from gateway.pace import Limit, Pace, PaceRules

RATE_EXCEEDED = 1008


class Pacing:
    """The sessions that have used up their rate. `tick` gives them room again, a few times per second.

    A charge point that waits for our answers is slowed down by being left unread, for as long as it takes: an offline
    queue of any length comes through. One that goes on sending has frames waiting behind those that it was charged for
    whenever we look: only that counts as being over the rate without a break.
    """

    def __init__(self, rules: PaceRules, close_after: float) -> None:
        self._rules = rules
        self._close_after = close_after
        self._over: dict[Connection, float | None] = {}

    def __len__(self) -> int:
        return len(self._over)

    def new(self) -> Pace | None:
        """For a new session; None when there are no limits."""
        return None if self._rules.off else Pace(self._rules)

    def throttle(self, connection: Connection, limit: Limit) -> None:
        """Leave it unread from here on."""
        if connection.throttled:
            return
        connection.throttled = True
        metrics.THROTTLED.labels(limit.value).inc()
        self._over.setdefault(connection, None)

    def discard(self, connection: Connection) -> None:
        self._over.pop(connection, None)

    def tick(self, now: float) -> None:
        """Read again who has room again; close who was over the rate for too long."""
        for connection, since in tuple(self._over.items()):
            session = connection.session
            if not connection.throttled or session is None or session.pace is None:
                del self._over[connection]
                continue
            if not connection.backlogged:
                self._over[connection] = None
            elif since is None:
                self._over[connection] = now
            elif now - since >= self._close_after:
                del self._over[connection]
                metrics.RATE_EXCEEDED.inc()
                connection.close(RATE_EXCEEDED, "rate exceeded")
                continue
            if session.pace.has_room(now):
                connection.throttled = False
                connection.resume()
