"""The frame log: OCPP frames each way, batched to the stream `ocpp.frames` by a broker link of its own.

Nothing here ever holds up the relay: what the broker does not take in time, beyond a buffer, is dropped and counted.
Batches that were not confirmed when the link broke are published again, so a reader may see a frame twice.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from hashlib import blake2b

import structlog

from contracts import topology
from contracts.broker import BrokerLink, Delivery, Returned
from contracts.errors import LinkDownError
from contracts.frame_log import FRAMES_TYPE, MOST_FRAMES, Direction, LoggedFrame, encode_frames
from gateway import metrics
from gateway.clock import Clock
from gateway.masking import masker
from gateway.session import Session
from gateway.settings import FrameLogSwitch, GatewaySettings

BATCH_S = 0.05
BATCH_BYTES = 256 * 1024
STUCK_S = 30.0
BUFFER_BYTES = 8 * 1024 * 1024
"""Of batches that the broker has not confirmed."""


@dataclass(slots=True, eq=False)
class Batch:
    """A batch that the broker has not confirmed."""

    number: int
    frames: int
    body: bytes


class FrameLog:
    """Takes frames by `record`; `run` must be awaited in a task of the owner's for anything to be published."""

    def __init__(self, settings: GatewaySettings, clock: Clock) -> None:
        self._gateway_id = settings.gateway_id
        self._clock = clock
        self._share = settings.frame_log_share if settings.frame_log is FrameLogSwitch.ON else 0.0
        self._mask = masker(settings.frame_log_mask)
        self._frames: list[tuple[float, Session, Direction, bytes]] = []
        self._bytes = 0
        self._flush_planned: asyncio.TimerHandle | None = None
        self._kept: dict[int, Batch] = {}
        self._kept_bytes = 0
        self._unpublished: deque[Batch] = deque()
        self._number = 0
        self._log = structlog.get_logger()
        self.link = BrokerLink(
            settings.amqp_url.get_secret_value(),
            self,
            name=f"ocpp-gateway {settings.gateway_id} frames",
            heartbeat_s=settings.amqp_heartbeat_seconds,
            declare=settings.amqp_declares,
            files=settings.amqp_files,
            topology=topology.FRAME_LOG_TOPOLOGY,
            beside=True,
        )

    @property
    def enabled(self) -> bool:
        return self._share > 0

    def selects(self, identity: str) -> bool:
        """Whether this charge point's frames are logged; the same on every gateway."""
        return self.enabled and _place(identity) < self._share

    def record(self, session: Session, direction: Direction, frame: bytes, now: float) -> None:
        """A frame was read, or handed to the socket."""
        self._frames.append((now, session, direction, frame))
        self._bytes += len(frame)
        if self._bytes >= BATCH_BYTES or len(self._frames) >= MOST_FRAMES:
            self.flush()
        elif self._flush_planned is None:
            self._flush_planned = asyncio.get_running_loop().call_later(BATCH_S, self.flush)

    def flush(self) -> None:
        """Make a batch of what has come, and publish it if the link can take it."""
        if self._flush_planned is not None:
            self._flush_planned.cancel()
            self._flush_planned = None
        if not self._frames:
            return
        frames, self._frames, self._bytes = self._frames, [], 0
        if self._kept_bytes >= BUFFER_BYTES:
            metrics.FRAMES_DROPPED.inc(len(frames))
            return
        mask, wall_ms = self._mask, self._clock.wall_ms
        rows = [
            LoggedFrame(wall_ms(at), session.identity, session.session_id, direction, mask(frame))
            for at, session, direction, frame in frames
        ]
        self._number += 1
        batch = Batch(self._number, len(rows), encode_frames(self._gateway_id, rows))
        self._kept[batch.number] = batch
        self._kept_bytes += len(batch.body)
        self._unpublished.append(batch)
        self._publish()

    async def run(self) -> None:
        """Keep the link until cancelled; make a new one when the stream confirms nothing for a while.

        A RabbitMQ node that was killed may have no leader for the stream for some time, and then loses what is
        published to it without a word. Failures are the frame log's alone.
        """
        while True:
            serving = asyncio.create_task(self.link.run(), name="frame-log-link")
            try:
                await self._stuck(serving)
            finally:
                serving.cancel()
                await asyncio.gather(serving, return_exceptions=True)
            if serving.cancelled():
                self._log.warning("frame_log.stuck", unconfirmed=len(self._kept))
            else:
                self._log.error("frame_log.failed", exc_info=serving.exception())
                await asyncio.sleep(STUCK_S)

    async def _stuck(self, serving: asyncio.Task[None]) -> None:
        """Return when the link has ended, or its oldest batch is the same as it was the last time and still there."""
        oldest: int | None = None
        while not serving.done():
            await asyncio.wait((serving,), timeout=STUCK_S)
            before, oldest = oldest, next(iter(self._kept), None)
            if self.link.up and oldest is not None and oldest == before:
                return

    async def settled(self) -> None:
        """Return once the broker has what was recorded so far; at once while the link is down."""
        self.flush()
        await self.link.settled()

    def stop(self) -> None:
        """Publish no more."""
        if self._flush_planned is not None:
            self._flush_planned.cancel()

    # LinkListener

    def link_up(self) -> None:
        metrics.FRAME_LOG_UP.set(1)
        self._unpublished = deque(self._kept.values())
        self._publish()

    def link_down(self) -> None:
        metrics.FRAME_LOG_UP.set(0)

    def delivered(self, delivery: Delivery) -> None:
        """Nothing is consumed here."""

    def returned(self, message: Returned) -> None:
        """Nothing is published as mandatory: a stream that was deleted is there again with the next link."""

    def confirmed(self, token: object) -> None:
        if isinstance(token, Batch) and self._kept.pop(token.number, None) is not None:
            self._kept_bytes -= len(token.body)
            metrics.FRAMES_LOGGED.inc(token.frames)

    def refused(self, token: object) -> None:
        if isinstance(token, Batch) and self._kept.pop(token.number, None) is not None:
            self._kept_bytes -= len(token.body)
            metrics.FRAMES_DROPPED.inc(token.frames)

    def flow_changed(self) -> None:
        self._publish()

    # inner workings

    def _publish(self) -> None:
        link = self.link
        while self._unpublished and link.writable:
            batch = self._unpublished.popleft()
            try:
                link.publish("", topology.FRAMES, batch.body, token=batch, persistent=True, type=FRAMES_TYPE)
            except LinkDownError:
                return  # link_up publishes it


def _place(identity: str) -> float:
    """A number from 0 to 1 (exclusive) that belongs to the identity."""
    return int.from_bytes(blake2b(identity.encode(), digest_size=6).digest(), "big") / 2**48
