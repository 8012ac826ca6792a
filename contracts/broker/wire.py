"""One AMQP connection with one channel: a thin asyncio shell around the codec.

Writes are gathered and leave as one write per turn of the event loop. When it ends, for whatever reason,
`closed` is done and the object is of no more use; `contracts.broker.link` makes the next one.
"""

import asyncio
import contextlib
import ssl
import struct
from collections import deque
from collections.abc import Callable
from typing import Protocol, cast

from pamqp import base, commands, common, exceptions, frame, header

from contracts.broker import codec
from contracts.broker.codec import Delivery, Returned
from contracts.broker.endpoint import BrokerEndpoint
from contracts.errors import BrokerRefusedError, LinkDownError

RPC_TIMEOUT_S = 15.0
CONNECT_TIMEOUT_S = 30.0
_UNREADABLE = (struct.error, LookupError, ValueError, exceptions.PAMQPException)


class WireOwner(Protocol):
    """Who is told what happens on the wire; all calls are synchronous."""

    def wire_delivery(self, delivery: Delivery) -> None: ...
    def wire_return(self, returned: Returned) -> None: ...
    def wire_confirm(self, tag: int, multiple: bool, taken: bool) -> None: ...
    def wire_flow(self) -> None: ...


class Deaf:
    """Owns a wire that neither consumes nor publishes."""

    def wire_delivery(self, delivery: Delivery) -> None: ...
    def wire_return(self, returned: Returned) -> None: ...
    def wire_confirm(self, tag: int, multiple: bool, taken: bool) -> None: ...
    def wire_flow(self) -> None: ...


async def connect(endpoint: BrokerEndpoint, owner: "WireOwner", name: str, heartbeat_s: int) -> "Wire":
    """An open connection, which the caller must `close`.

    Raises OSError, TimeoutError, LinkDownError or BrokerRefusedError; no text of theirs holds credentials.
    """
    loop = asyncio.get_running_loop()
    wire: Wire | None = None
    try:
        context = endpoint.tls_context()
    except ValueError as error:  # the files were right at start
        raise LinkDownError(str(error)) from None
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, wire = await loop.create_connection(lambda: Wire(owner, name), endpoint.host, endpoint.port, ssl=context)
            await wire.open(endpoint, heartbeat_s)
            return wire
    except BaseException as error:
        if wire is not None:
            await wire.close(politely=False)
        why = _tls_problem(error)
        if why is not None:
            raise LinkDownError(why) from None
        raise


def _tls_problem(error: BaseException) -> str | None:
    """What is wrong between us and the broker's TLS, in words; None when it is something else."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the broker's certificate is refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS with the broker: {error.reason or type(error).__name__}"
    return None


class Wire(asyncio.Protocol):
    """A connection to the broker. Owned by the coroutine that opened it, which must `close` it."""

    def __init__(self, owner: WireOwner, name: str) -> None:
        self._owner = owner
        self._name = name
        self._loop = asyncio.get_running_loop()
        # What is hot goes straight to the owner.
        self.on_delivery = owner.wire_delivery
        self.on_return = owner.wire_return
        self.on_confirm = owner.wire_confirm
        self._reader = codec.FrameReader(self)
        self._transport: asyncio.Transport | None = None
        self._outbox: list[bytes] = []
        self._flush_planned = False
        # Answers come in the order of the questions, channel by channel. Whoever stops waiting leaves its future here,
        # cancelled: its answer still comes, and must not be taken for the next one's.
        self._waiting: deque[tuple[asyncio.Future[base.Frame], int]] = deque()
        self._frame_max = codec.FRAME_MAX
        self._heartbeat_timer: asyncio.TimerHandle | None = None
        self._heard = self._spoke = False
        self._silent_ticks = 0
        self._deaf = False
        self.paused = False
        self.blocked = False
        self.closed: asyncio.Future[str] = self._loop.create_future()
        """Done with the reason once the connection has ended."""

    async def open(self, endpoint: BrokerEndpoint, heartbeat_s: int) -> None:
        """Log in and open the channel in confirm mode; raises BrokerRefusedError, LinkDownError or TimeoutError."""
        self.write(frame.marshal(header.ProtocolHeader(0, 9, 1), 0))
        start = await self._answer(self._asked(0))
        if not isinstance(start, commands.Connection.Start) or "PLAIN" not in str(start.mechanisms):
            raise BrokerRefusedError("the broker does not offer PLAIN authentication")
        capabilities: common.FieldTable = {
            "publisher_confirms": True,
            "basic.nack": True,
            "consumer_cancel_notify": True,
            "connection.blocked": True,
            "authentication_failure_close": True,
        }
        properties: common.FieldTable = {
            "product": "ocpp-gateway",
            "connection_name": self._name,
            "capabilities": capabilities,
        }
        login = f"\0{endpoint.user}\0{endpoint.password}"
        start_ok = commands.Connection.StartOk(properties, "PLAIN", login)
        tune = await self.call(start_ok, 0)
        if not isinstance(tune, commands.Connection.Tune):
            raise BrokerRefusedError("the broker wants more than PLAIN authentication")
        self._frame_max = min(tune.frame_max or codec.FRAME_MAX, codec.FRAME_MAX)
        interval = min(heartbeat_s, tune.heartbeat) if tune.heartbeat else heartbeat_s
        self._send_method(commands.Connection.TuneOk(1, self._frame_max, interval), 0)
        self._beat(interval / 2)
        await self.call(commands.Connection.Open(endpoint.vhost), 0)
        await self.call(commands.Channel.Open())
        await self.call(commands.Confirm.Select())

    async def call(self, method: base.Frame, channel: int = codec.CHANNEL) -> base.Frame:
        """Send a synchronous method and return the broker's answer.

        Raises BrokerRefusedError when the broker answers by closing, LinkDownError when the connection has ended,
        TimeoutError after 15 s.
        """
        return await self._answer(self.ask(method, channel))

    def ask(self, method: base.Frame, channel: int = codec.CHANNEL) -> asyncio.Future[base.Frame]:
        """Queue a synchronous method; the future of its answer has no time limit. Raises LinkDownError."""
        data = frame.marshal(method, channel)
        answer = self._asked(channel)
        self.write(data)
        return answer

    def write(self, data: bytes) -> None:
        """Queue encoded frames; they leave with the next turn of the event loop."""
        self._outbox.append(data)
        if not self._flush_planned:
            self._flush_planned = True
            self._loop.call_soon(self._flush)

    @property
    def frame_max(self) -> int:
        return self._frame_max

    async def settled(self) -> None:
        """Return once the broker has processed everything written so far: a round trip on the same channel."""
        try:
            await self.call(commands.Confirm.Select())
        except (TimeoutError, asyncio.CancelledError):
            self._deaf = True
            raise

    async def close(self, *, politely: bool) -> None:
        """End the connection; politely: with connection.close, waiting a little for its answer.

        A broker that did not answer `settled` in the time its caller had gets no more of it.
        """
        if self._heartbeat_timer is not None:
            self._heartbeat_timer.cancel()
        if politely and not self._deaf and not self.closed.done():
            with contextlib.suppress(TimeoutError, LinkDownError, BrokerRefusedError):
                try:
                    async with asyncio.timeout(2):
                        await self.settled()  # a closing connection drops acks that the broker has not processed yet
                        await self.call(commands.Connection.Close(200, "goodbye", 0, 0), 0)
                except asyncio.CancelledError:
                    self._abort()
                    raise
        self._abort()
        await asyncio.wait((self.closed,), timeout=1)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=4 * 1024 * 1024, low=1024 * 1024)

    def data_received(self, data: bytes) -> None:
        self._heard = True
        try:
            self._reader.feed(data)
        except BrokerRefusedError as error:
            self._end(str(error))
        except _UNREADABLE as error:
            self._end(f"unreadable frame from the broker: {type(error).__name__}")

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(f"connection lost: {type(exc).__name__}" if exc else "connection closed by the broker")

    def pause_writing(self) -> None:
        self.paused = True
        self._owner.wire_flow()

    def resume_writing(self) -> None:
        self.paused = False
        self._owner.wire_flow()

    # codec.Sink, with what `__init__` gives the owner

    def on_method(self, channel: int, method: base.Frame) -> None:
        if isinstance(method, commands.Connection.Blocked | commands.Connection.Unblocked):
            self.blocked = isinstance(method, commands.Connection.Blocked)
            self._owner.wire_flow()
        elif isinstance(method, commands.Connection.Close | commands.Channel.Close):
            self._send_method(commands.Connection.CloseOk() if channel == 0 else commands.Channel.CloseOk(), channel)
            self._flush()
            self._end(f"closed by the broker: {method.reply_code} {method.reply_text}", BrokerRefusedError)
        elif isinstance(method, commands.Basic.Cancel):
            # The queue went away or moved: a new connection declares and consumes afresh.
            self._end("consumer cancelled by the broker")
        elif waiting := next((entry for entry in self._waiting if entry[1] == channel), None):
            self._waiting.remove(waiting)
            if not waiting[0].done():
                waiting[0].set_result(method)

    # inner workings

    def _asked(self, channel: int) -> asyncio.Future[base.Frame]:
        if self.closed.done():
            raise LinkDownError(self.closed.result())
        waiter: asyncio.Future[base.Frame] = self._loop.create_future()
        self._waiting.append((waiter, channel))
        return waiter

    async def _answer(self, waiter: asyncio.Future[base.Frame]) -> base.Frame:
        async with asyncio.timeout(RPC_TIMEOUT_S):
            return await waiter

    def _abort(self) -> None:
        self._flush()
        if self._transport is not None:
            self._transport.abort()

    def _send_method(self, method: base.Frame, channel: int) -> None:
        self.write(frame.marshal(method, channel))

    def _flush(self) -> None:
        self._flush_planned = False
        if self._outbox and self._transport is not None and not self._transport.is_closing():
            self._spoke = True
            self._transport.write(b"".join(self._outbox))
        self._outbox.clear()

    def _beat(self, half_interval_s: float) -> None:
        # Twice per interval: speak if we were silent, and give up after two whole intervals of hearing nothing.
        self._silent_ticks = 0 if self._heard else self._silent_ticks + 1
        if self._silent_ticks > 4:
            self._end("no heartbeat from the broker")
            return
        if not self._spoke:
            self.write(codec.HEARTBEAT_FRAME)
        self._heard = self._spoke = False
        plan: Callable[[float], None] = self._beat
        self._heartbeat_timer = self._loop.call_later(half_interval_s, plan, half_interval_s)

    def _end(self, reason: str, error: type[LinkDownError | BrokerRefusedError] = LinkDownError) -> None:
        if self._heartbeat_timer is not None:
            self._heartbeat_timer.cancel()
        while self._waiting:
            waiter, _ = self._waiting.popleft()
            if not waiter.done():
                waiter.set_exception(error(reason))
        if not self.closed.done():
            self.closed.set_result(reason)
        if self._transport is not None:
            # close, not abort: our close-ok may still be in the transport's buffer
            self._transport.close()
