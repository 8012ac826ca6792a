"""A broker link with the task that runs it, and the reason why it is not up."""

import asyncio
import re
from typing import Any

from contracts.broker import BrokerLink, Delivery, Returned
from contracts.errors import LinkDownError

CONNECT_TIMEOUT_S = 10.0
_FOR_GOOD = re.compile(r"closed by the broker: (403|404|406|530) ")
"""No access, no such queue, declared otherwise, no such vhost: trying again changes nothing."""


class Linked:
    """Owns a link from `start` to `close`; a listener that does nothing yet, for its subclasses to add to."""

    def __init__(self, url: str, *, name: str, connect_timeout_s: float = CONNECT_TIMEOUT_S, **link: Any) -> None:
        """`link` is what BrokerLink takes besides. Raises ValueError when the URL is not an AMQP URL."""
        self.link = BrokerLink(
            url, self, name=name, topology=link.pop("topology", None), on_failure=self._failed, **link
        )
        self._connect_timeout_s = connect_timeout_s
        self._running: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self.closed = False
        self.why_down = "not connected yet"
        self.refused_for_good: str | None = None
        """Why no further attempt can succeed."""

    async def start(self) -> None:
        """Connect; raises LinkDownError, with the last reason, when that takes longer than the connect timeout."""
        if self._running is None:
            self._running = asyncio.create_task(self.link.run(), name="broker link")
        try:
            await self.wait_up(self._connect_timeout_s)
        except BaseException:
            await self.close()
            raise

    async def wait_up(self, timeout_s: float | None) -> None:
        """Return once the link is up and may be written to; raises LinkDownError when it is not in time."""
        try:
            async with asyncio.timeout(timeout_s):
                while not self.link.writable:
                    self.check()
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            why = "the broker has blocked publishers (memory or disk alarm)" if self.link.blocked else self.why_down
            raise LinkDownError(f"no connection to the broker: {why}") from None

    def check(self) -> None:
        """Raise LinkDownError when the link will never be up (again)."""
        if self.closed:
            raise LinkDownError("the client is closed")
        if self.refused_for_good is not None:
            raise LinkDownError(self.refused_for_good)

    async def close(self) -> None:
        """End the connection; what the broker has of ours unacked it delivers again to the next one."""
        self.closed = True
        self._changed.set()
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    def _failed(self, reason: str) -> None:
        self.why_down = reason
        if _FOR_GOOD.match(reason):
            self.refused_for_good = reason
            self.gave_up()
        self._changed.set()

    # The link's listener.

    def gave_up(self) -> None: ...
    def link_up(self) -> None:
        self._changed.set()

    def link_down(self) -> None: ...
    def delivered(self, delivery: Delivery) -> None: ...
    def returned(self, message: Returned) -> None: ...
    def confirmed(self, token: object) -> None: ...
    def refused(self, token: object) -> None: ...
    def flow_changed(self) -> None:
        self._changed.set()
