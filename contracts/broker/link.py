"""The broker link: a lasting, self-healing connection with a narrow, synchronous face.

`run` owns the connection and every task it needs. Publishes are confirmed; what was not confirmed when a
connection broke is forgotten here, and the listener publishes again what still matters.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, Protocol
from uuid import uuid4

import structlog
from pamqp import base, commands

from contracts.broker import codec, letter, metrics
from contracts.broker.codec import Delivery, Returned
from contracts.broker.declare import check_on, declare_on
from contracts.broker.endpoint import SYSTEM_ROOTS, BrokerEndpoint, TlsFiles
from contracts.broker.wire import RPC_TIMEOUT_S, Wire, connect
from contracts.errors import BrokerRefusedError, LinkDownError
from contracts.topology import TOPOLOGY, Topology

BACKOFF_FIRST_S = 0.2
BACKOFF_MOST_S = 10.0
STABLE_AFTER_S = 5.0
_UNKNOWN = object()


@dataclass(frozen=True, slots=True)
class Consumer:
    """A queue to consume from; `prefetch` bounds what is unacked (0: no bound; a stream needs one)."""

    queue: str
    prefetch: int = 0
    no_ack: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Of basic.consume, such as a stream's `x-stream-offset`."""


@dataclass(frozen=True, slots=True)
class PrivateQueue:
    """An exclusive queue of this link alone, new at each connection, consumed without acks."""

    prefix: str
    bindings: Sequence[tuple[str, str]] = ()


class LinkListener(Protocol):
    """Who uses the link. All calls are synchronous and come from the event loop.

    They must not raise: what does is logged as `broker.listener_failed`, and the link goes on. Nothing but
    `link_up` comes while the link is down.
    """

    def link_up(self) -> None: ...
    def link_down(self) -> None: ...
    def delivered(self, delivery: Delivery) -> None: ...
    def returned(self, message: Returned) -> None: ...
    def confirmed(self, token: object) -> None: ...
    def refused(self, token: object) -> None: ...
    def flow_changed(self) -> None: ...


def backoff_s(attempt: int, chance: float) -> float:
    """Seconds before connection attempt `attempt` (0 is the first retry): exponential with full jitter, bounded."""
    ceiling: float = min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2 ** min(attempt, 16))
    return ceiling * (0.1 + 0.9 * chance)


class BrokerLink:
    """A lasting link to the broker. `run` must be awaited (in a task of the owner's) for anything to happen."""

    def __init__(
        self,
        url: str,
        listener: LinkListener,
        *,
        name: str,
        consumers: Sequence[Consumer] = (),
        private_queue: PrivateQueue | None = None,
        heartbeat_s: int = 20,
        topology: Topology | None = TOPOLOGY,
        declare: bool = True,
        files: TlsFiles = SYSTEM_ROOTS,
        beside: bool = False,
        on_failure: Callable[[str], None] | None = None,
    ) -> None:
        """Raises ValueError when the URL is not an AMQP URL.

        Without `declare` it only looks whether the topology is there, which needs no rights; the private queue is
        declared all the same. `files` are for amqps. `beside`: a link that the process can do without. It leaves the
        link metrics and `broker.connected` to the main one, and logs the first failure of a row only. `on_failure` is
        told why, each time a connection or an attempt at one has ended.
        """
        self._endpoint = BrokerEndpoint.parse(url, files)
        self._listener = listener
        self._name = name
        self._consumers = tuple(consumers)
        self._private_queue = private_queue
        self._heartbeat_s = heartbeat_s
        self._topology = topology
        self._prepare = declare_on if declare else check_on
        self._beside = beside
        self._failing = False
        self._on_failure = on_failure
        self._log = structlog.get_logger().bind(broker=str(self._endpoint))
        self._wire: Wire | None = None
        self._generation = 0
        self._sequence = 0
        self._tokens: dict[int, object] = {}
        self._timed = 0
        """The publish whose confirm is timed, and when it went; 0: the next one will be."""
        self._timed_at = 0.0
        if not beside:
            metrics.UNCONFIRMED.set_function(lambda: self.unconfirmed)
        self.reply_queue = ""
        """Name of the private queue on the present connection."""

    def __repr__(self) -> str:
        return f"<BrokerLink {self._name} {self._endpoint} up={self.up} unconfirmed={self.unconfirmed}>"

    @property
    def up(self) -> bool:
        """Connected and declared; consumers are asked for, and what is published goes out."""
        return self._wire is not None

    @property
    def writable(self) -> bool:
        """Up, and neither the socket nor the broker (connection.blocked) asks us to hold back."""
        return self._wire is not None and not self._wire.paused and not self._wire.blocked

    @property
    def blocked(self) -> bool:
        """The broker has blocked publishers (memory or disk alarm)."""
        return self._wire is not None and self._wire.blocked

    @property
    def unconfirmed(self) -> int:
        """How many publishes the broker has not confirmed yet."""
        return len(self._tokens)

    async def run(self) -> None:
        """Connect, and connect again with jittered back-off whenever the connection ends, until cancelled."""
        attempt = 0
        loop = asyncio.get_running_loop()
        try:
            while True:
                began = loop.time()
                reason = await self._one_connection()
                if loop.time() - began > STABLE_AFTER_S:
                    attempt = 0
                wait_s = backoff_s(attempt, random.random())  # noqa: S311 - jitter, not a secret
                attempt += 1
                if not self._beside:
                    metrics.FAILED.inc()
                if not (self._beside and self._failing):
                    self._log.warning(
                        "broker.disconnected", name=self._name, reason=reason, retry_in_s=round(wait_s, 2)
                    )
                self._failing = True
                if self._on_failure is not None:
                    self._tell(self._on_failure, reason)
                await asyncio.sleep(wait_s)
        finally:
            self._went_down()

    def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        *,
        token: object = None,
        mandatory: bool = False,
        persistent: bool = False,
        correlation_id: str = "",
        reply_to: str = "",
        expiration_ms: int | None = None,
        type: str = "",  # noqa: A002 - AMQP's own name for the property
        message_id: str = "",
        content_type: str = "application/msgpack",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Queue a publish; `token` comes back by `confirmed` or `refused`. Raises LinkDownError when not up."""
        wire = self._wire
        if wire is None:
            raise LinkDownError("the broker link is down")
        wire.write(
            codec.encode_publish(
                exchange,
                routing_key,
                body,
                frame_max=wire.frame_max,
                mandatory=mandatory,
                persistent=persistent,
                correlation_id=correlation_id,
                reply_to=reply_to,
                expiration_ms=expiration_ms,
                type=type,
                message_id=message_id,
                content_type=content_type,
                headers=headers,
            )
        )
        self._sequence += 1
        self._tokens[self._sequence] = token
        if not self._timed:
            self._timed, self._timed_at = self._sequence, time.monotonic()

    def republish(self, delivery: Delivery, exchange: str, routing_key: str, *, token: object = None) -> None:
        """Queue a mandatory publish of what was dead-lettered, as it was: all its properties, and its own headers.

        Raises LinkDownError when not up, ValueError when its properties cannot be read.
        """
        wire = self._wire
        if wire is None:
            raise LinkDownError("the broker link is down")
        wire.write(letter.encode_replay(delivery, exchange, routing_key, frame_max=wire.frame_max))
        self._sequence += 1
        self._tokens[self._sequence] = token

    def ack(self, delivery: Delivery, *, multiple: bool = False) -> None:
        """Acknowledge; ignored when the delivery came by an earlier connection (the broker has requeued it)."""
        if self._wire is not None and delivery.generation == self._generation:
            self._wire.write(codec.encode_ack(delivery.tag, multiple=multiple))

    def reject(self, delivery: Delivery, *, requeue: bool) -> None:
        """Refuse a delivery: back to its queue, or to the dead letters; ignored like `ack`."""
        if self._wire is not None and delivery.generation == self._generation:
            self._wire.write(codec.encode_reject(delivery.tag, requeue=requeue))

    async def settled(self) -> None:
        """Return once the broker has processed every publish and ack so far; returns at once when down."""
        if self._wire is not None:
            with contextlib.suppress(LinkDownError, BrokerRefusedError, TimeoutError):
                await self._wire.settled()

    async def cancel_consumers(self) -> None:
        """Take no new deliveries from now on, on later connections neither; the private queue goes on."""
        consumers, self._consumers = self._consumers, ()
        if self._wire is not None:
            with contextlib.suppress(LinkDownError, BrokerRefusedError, TimeoutError):
                for consumer in consumers:
                    await self._wire.call(commands.Basic.Cancel(consumer.queue))

    # Wire's owner

    def wire_delivery(self, delivery: Delivery) -> None:
        if self._wire is None:
            return
        delivery.generation = self._generation
        try:  # `_tell` written out, here and for a confirm: both come with every Call
            self._listener.delivered(delivery)
        except Exception:  # noqa: BLE001
            self._listener_failed("delivered")

    def wire_return(self, returned: Returned) -> None:
        if self._wire is not None:
            if not self._beside:
                metrics.RETURNED.inc()
            self._tell(self._listener.returned, returned)

    def wire_confirm(self, tag: int, multiple: bool, taken: bool) -> None:
        tell = self._listener.confirmed if taken else self._listener.refused
        if self._timed and (tag == self._timed or (multiple and tag > self._timed)):
            self._timed = 0
            if not self._beside:
                metrics.CONFIRM_SECONDS.observe(time.monotonic() - self._timed_at)
        if not multiple:
            token = self._tokens.pop(tag, _UNKNOWN)
            if token is not _UNKNOWN:
                try:
                    tell(token)
                except Exception:  # noqa: BLE001
                    self._listener_failed(tell.__name__)
            return
        for sequence in list(takewhile(lambda sequence: sequence <= tag, self._tokens)):
            self._tell(tell, self._tokens.pop(sequence))

    def wire_flow(self) -> None:
        if self._wire is not None:
            if not self._beside:
                metrics.BLOCKED.set(int(self._wire.blocked))
            self._tell(self._listener.flow_changed)

    # inner workings

    async def _one_connection(self) -> str:
        """Connect, serve until the connection ends, and return why it ended."""
        wire: Wire | None = None
        try:
            wire = await connect(self._endpoint, self, self._name, self._heartbeat_s)
            if self._topology is not None:
                await self._prepare(wire, self._topology)
            await self._open_private_queue(wire)
            self._generation += 1
            self._sequence, self._tokens, self._timed = 0, {}, 0
            # In one go, so that nothing comes in between. Up before the first delivery, which may be answered and
            # acked at once; consuming before what `link_up` publishes, after which a broker that has blocked
            # publishers reads no more from us.
            answers = self._consume(wire)
            self._wire = wire
            self._failing = False
            if not self._beside:
                metrics.LINK_UP.set(1)
                metrics.CONNECTED.inc()
                self._log.info("broker.connected", name=self._name)
            self._tell(self._listener.link_up)
            async with asyncio.timeout(RPC_TIMEOUT_S):
                await asyncio.gather(*answers)
            return await asyncio.shield(wire.closed)
        except (OSError, TimeoutError, LinkDownError, BrokerRefusedError) as error:
            return str(error) or type(error).__name__
        finally:
            politely = self._wire is not None
            self._went_down()
            if wire is not None:
                await wire.close(politely=politely)

    async def _open_private_queue(self, wire: Wire) -> None:
        if self._private_queue is None:
            return
        name = f"{self._private_queue.prefix}.{uuid4().hex[:12]}"
        await wire.call(commands.Queue.Declare(queue=name, exclusive=True, auto_delete=True))
        for exchange, key in self._private_queue.bindings:
            await wire.call(commands.Queue.Bind(queue=name, exchange=exchange, routing_key=key))
        self.reply_queue = name

    def _consume(self, wire: Wire) -> list[asyncio.Future[base.Frame]]:
        answers = []
        if self._private_queue is not None:
            name = self.reply_queue
            consume = commands.Basic.Consume(queue=name, consumer_tag=name, no_ack=True, exclusive=True)
            answers.append(wire.ask(consume))
        for consumer in self._consumers:
            name = consumer.queue
            answers.append(wire.ask(commands.Basic.Qos(prefetch_count=consumer.prefetch)))
            consume = commands.Basic.Consume(
                queue=name, consumer_tag=name, no_ack=consumer.no_ack, arguments=dict(consumer.arguments)
            )
            answers.append(wire.ask(consume))
        return answers

    def _tell(self, callback: Callable[..., None], *arguments: object) -> None:
        try:
            callback(*arguments)
        except Exception:  # noqa: BLE001 - the outermost shell of every callback; one must not cost the others theirs
            self._listener_failed(callback.__name__)

    def _listener_failed(self, callback: str) -> None:
        self._log.exception("broker.listener_failed", callback=callback)

    def _went_down(self) -> None:
        if self._wire is None:
            return
        self._wire = None
        if not self._beside:
            metrics.LINK_UP.set(0)
            metrics.BLOCKED.set(0)
        self._tokens = {}
        self._tell(self._listener.link_down)
