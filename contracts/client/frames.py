"""The frame log as it was and as it goes on: every OCPP frame of one charge point, or of all."""

import time
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import uuid4

from contracts import topology
from contracts.broker import Delivery
from contracts.client.intake import Intake
from contracts.errors import EnvelopeError
from contracts.frame_log import FRAMES_TYPE, LoggedFrame, decode_frames, encode_frames

PREFETCH = 50
_CLOCKS_DIFFER_S = 5
_OFFSET = "x-stream-offset"


class FrameStream(Intake):
    """Iterates over frames in the order of the log, each once; after a broken connection it goes on where it was.

    Without `follow` it ends with what was in the log when it began. Raises LinkDownError when the broker has no
    frame log.
    """

    def __init__(self, url: str, *, since: timedelta | None, identity: str | None, follow: bool, **link: Any) -> None:
        self._from_ms = int((time.time() - (since or timedelta()).total_seconds()) * 1000)
        self._where: dict[str, Any] = {_OFFSET: "next" if since is None else self._begin()}
        super().__init__(url, topology.FRAMES, prefetch=PREFETCH, arguments=self._where, **link)
        self._identity = identity
        self._ready: deque[LoggedFrame] = deque()
        # What follows an empty batch of our own was not in the log when we began.
        self._mark = None if follow else uuid4().hex
        self._at_end = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> LoggedFrame:
        while not self._ready:
            delivery = None if self._at_end else await self.take()
            if delivery is None:
                raise StopAsyncIteration
            self._read_batch(delivery)
        return self._ready.popleft()

    def link_up(self) -> None:
        super().link_up()
        if self._mark is not None and not self._at_end:
            self.link.publish("", topology.FRAMES, encode_frames(self._mark, ()), persistent=True, type=FRAMES_TYPE)

    def link_down(self) -> None:
        super().link_down()
        if self._where[_OFFSET] == "next":
            self._where[_OFFSET] = self._begin()  # nothing was read yet, and what comes meanwhile counts

    def _begin(self) -> datetime:
        """A time for the broker, which finds the chunk; the clocks of gateways and broker may differ a little."""
        return datetime.fromtimestamp(max(self._from_ms / 1000 - _CLOCKS_DIFFER_S, 0), UTC)

    def _read_batch(self, delivery: Delivery) -> None:
        offset = delivery.headers.get(_OFFSET)
        if isinstance(offset, int):
            self._where[_OFFSET] = offset + 1
        try:
            writer, frames = decode_frames(delivery.body)
        except EnvelopeError as error:
            self.skip(str(error))
            return
        self._at_end = self._mark is not None and writer == self._mark
        self._ready.extend(
            frame for frame in frames if frame.at_ms >= self._from_ms and self._identity in {None, frame.identity}
        )
