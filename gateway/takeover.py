"""The newest socket of a charge point wins, wherever it is: what other gateways announce, held against our own."""

from collections.abc import Callable

import structlog

from contracts.announcements import Announcement, Heartbeat, Opened, SnapshotRequest, read
from contracts.broker import Delivery
from contracts.errors import EnvelopeError
from gateway import metrics
from gateway.announcements import Announcements
from gateway.connection import Connection
from gateway.registry import Registry
from gateway.throttle import Throttle


class Takeover:
    """Hears announcements; `replaced` is called with a connection that has lost its charge point to a newer one."""

    def __init__(
        self,
        gateway_id: str,
        registry: Registry[Connection],
        announcements: Announcements,
        replaced: Callable[[Connection], None],
    ) -> None:
        self._gateway_id = gateway_id
        self._registry = registry
        self._announcements = announcements
        self._replaced = replaced
        self._throttle = Throttle(per_second=1)
        self._log = structlog.get_logger()

    def delivered(self, delivery: Delivery, now: float) -> None:
        """Something came from the sessions exchange."""
        try:
            heard = read(delivery.body)
        except EnvelopeError as error:
            if self._throttle.passes(now):
                self._log.warning("announcement.unreadable", problem=str(error))
            return
        if isinstance(heard, SnapshotRequest):
            if delivery.reply_to:
                self._announcements.snapshot(delivery.reply_to)
        elif heard.gateway == self._gateway_id:
            return
        elif isinstance(heard, Heartbeat):
            self._registry.hear_epoch(heard.epoch)
        else:
            self._compare(heard)

    def _compare(self, heard: Announcement) -> None:
        for gone in heard.closed:
            self._registry.hear_epoch(gone.epoch)
        for theirs in heard.opened:
            self._registry.hear_epoch(theirs.epoch)
            connection = self._registry.of_identity(theirs.identity)
            ours = None if connection is None else connection.session
            if connection is None or ours is None or ours.closed:
                continue
            if _age(theirs) > (ours.epoch, ours.session_id):
                metrics.TAKEN_OVER.inc()
                self._log.info(
                    "session.taken_over", identity=ours.identity, session=ours.session_id, gateway=heard.gateway
                )
                self._replaced(connection)
            else:
                self._announcements.opened(ours, connection.remote)


def _age(theirs: Opened) -> tuple[int, str]:
    """Equal epochs are told apart by the session ids, so that all who compare agree."""
    return theirs.epoch, theirs.session
