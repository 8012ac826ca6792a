"""One charge point's socket: a uvloop protocol around the Sans-I/O core of `websockets`.

No task and no timer of its own: the edge sweeps over all connections. The socket is left unread whenever its
session, its own write buffer or the in-flight window has no room; nothing that was read is ever dropped for that.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import structlog
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import OPEN, Event
from websockets.typing import Subprotocol

from contracts.versions import Version
from gateway import frames
from gateway.frames import Phase
from gateway.front import Front
from gateway.handshake import NO_UPGRADE, Accepted, Refused
from gateway.introduction import Introduction
from gateway.opening import BAD_REQUEST, Head, Opening
from gateway.peer import Peer
from gateway.session import Session


class Connection(asyncio.Protocol):
    """A socket from its first byte to its last; `session` is set once the handshake is accepted."""

    __slots__ = (
        "_abort_reason", "_backlog", "_front", "_held", "_introduction", "_missed", "_opening", "_partial", "_paused",
        "_phase", "_request", "_transport", "_writable", "_ws", "heard", "peer", "session", "throttled",
    )  # fmt: skip

    def __init__(self, front: Front, peer: Peer, introduction: Introduction) -> None:
        """One that `arrived` at the front."""
        self._front = front
        self._introduction = introduction
        self._ws = frames.new_protocol(front.max_frame_bytes)
        self._phase = Phase.REQUEST
        self._opening: Opening | None = Opening()
        self._held = b""
        """Bytes not parsed yet."""
        self._backlog: Sequence[Event] = ()
        """Frames parsed and not handed on yet."""
        self._partial: bytearray | None = None
        self._request: Request | None = None
        self._paused = False
        self._writable = True
        self._missed = 0
        self._abort_reason = ""
        self.heard = True
        """Any byte since the last keepalive sweep."""
        self.session: Session | None = None
        self.throttled = False
        """Set by the edge while the session has used up its rate; call `resume` once it has some again."""
        self.peer = peer
        """What is known already; all of it from the request on."""

    def __repr__(self) -> str:
        return f"<Connection {self._phase.name} paused={self._paused} writable={self._writable} {self.session!r}>"

    @property
    def remote(self) -> str:
        """Address and port of the charge point, as far as they are known."""
        return str(self.peer)

    @property
    def made(self) -> bool:
        """Whether it has a transport: from then on it tells the front itself of the end of its opening."""
        return hasattr(self, "_transport")

    @property
    def peer_left(self) -> bool:
        """Whether the peer has closed its end already: unread as long as we have not come to it."""
        return frames.peer_left(self._transport)

    @property
    def backlogged(self) -> bool:
        """Whether the peer has sent more than was handed on."""
        return bool(self._backlog or self._held)

    @property
    def phase(self) -> Phase:
        return self._phase

    @property
    def farewell(self) -> tuple[int, str]:
        """Close code and reason: of whoever said it first, or why the connection broke."""
        code, reason = frames.farewell(self._ws)
        return code, self._abort_reason or reason

    # from the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=self._front.write_buffer_bytes)
        self._front.connected(self)

    def data_received(self, data: bytes) -> None:
        self.heard = True
        try:
            if self._phase is Phase.OPEN and not self._paused:
                self._feed(data)
            elif self._phase is Phase.REQUEST:
                self._read_request(data)
            elif self._phase is Phase.CLOSING:
                self._read_to_close(data)
            else:
                self._held += data
                self._wait_for_verdict()
        except Exception:  # noqa: BLE001 - outermost shell of a socket: its failure must stay its own
            structlog.get_logger().exception("connection.failed", state=repr(self))
            self.abort("internal error")

    def eof_received(self) -> None:
        """Let the transport close, after what is still to be written."""

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self.resume()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._enter(Phase.GONE)
        self._held, self._backlog, self._partial = b"", (), None
        self._front.lost(self)

    # from the edge

    def upgrade(self, accepted: Accepted) -> bool:
        """Answer 101 with this version's subprotocol; False when the request was no proper upgrade (it is refused)."""
        if self._phase is not Phase.VERDICT or self._request is None:
            return False
        request, self._request = self._request, None
        echoed = accepted.subprotocol
        self._ws.available_subprotocols = None if echoed is None else [Subprotocol(echoed)]
        if accepted.version is not Version.V16 and self._front.compression:
            self._ws.available_extensions = frames.DEFLATE
        response = self._ws.accept(request)
        if response.status_code != 101:
            status = 400 if response.status_code == 426 else response.status_code
            self._respond(response, replace(NO_UPGRADE, status=status))
            return False
        self._ws.send_response(response)
        self._flush()
        self._enter(Phase.OPEN)
        return True

    def refuse(self, refused: Refused) -> bool:
        """Answer with an HTTP error and end the connection; False when it has ended already."""
        if self._phase not in {Phase.REQUEST, Phase.VERDICT} or self._abort_reason:
            return False
        self._request = None
        self._respond(self._ws.reject(refused.status, refused.detail + "\n"), refused)
        return True

    def transmit(self, frame: bytes) -> bool:
        """Send a text frame; False, and nothing happens, once the connection is closing."""
        ws = self._ws
        if ws.state is not OPEN or self._phase is not Phase.OPEN:
            return False
        if ws.extensions:
            ws.send_text(frame)
            self._flush()
        else:
            if ws.writes:
                self._flush()
            self._transport.write(frames.text_header(len(frame)) + frame)
        if not self._writable and self._transport.get_write_buffer_size() > 4 * self._front.write_buffer_bytes:
            self.abort("peer does not read")
        return True

    def resume(self) -> None:
        """Go on reading if there is room again; hands on first what was held back."""
        if not self._paused or self._phase is not Phase.OPEN:
            return
        try:
            self._catch_up()
        except Exception:  # noqa: BLE001 - outermost shell, as in data_received
            structlog.get_logger().exception("connection.failed", state=repr(self))
            self.abort("internal error")

    def close(self, code: int, reason: str) -> None:
        """Start the close handshake; the edge aborts what is not gone after the close timeout."""
        if self._phase in {Phase.REQUEST, Phase.VERDICT}:
            self.abort(reason)
        elif self._phase is Phase.OPEN:
            if self._ws.state is OPEN:
                self._ws.send_close(code, reason)
            self._begin_closing()

    def abort(self, reason: str) -> None:
        """Drop the TCP connection at once."""
        if self._phase is not Phase.GONE:
            self._abort_reason = self._abort_reason or reason
            self._request = None  # the loop tells us of the end in its next turn; a verdict may come before
            self._transport.abort()

    def keepalive(self, missed_most: int) -> None:
        """One ping interval has passed: ping, or give the peer up after `missed_most` silent ones (0: never).

        While we ourselves leave the socket unread, silence proves nothing; after a goodbye there is nothing to ask.
        """
        if self._phase is not Phase.OPEN or self._ws.state is not OPEN:
            return
        if self._writable and (self.heard or self._paused):
            self._missed = 0
        else:
            self._missed += 1
        self.heard = False
        if missed_most and self._missed >= missed_most:
            if self._writable:
                self.close(1008, "no sign of life")
            else:
                self.abort("peer does not read")
        elif self._writable:
            self._transport.write(frames.PING)

    # reading

    def _read_request(self, data: bytes) -> None:
        """Collect the request's head; what follows it stays unparsed until the verdict."""
        found = None if self._opening is None else self._opening.feed(data)
        if not isinstance(found, Head):
            if found is not None:
                self.refuse(found)
            return
        self._opening, self._held = None, found.rest
        self._ws.receive_data(found.head)
        events = self._ws.events_received()
        if not events:
            self._ws = frames.new_protocol(self._front.max_frame_bytes)  # the other one's answer may be a mere EOF
            self.refuse(BAD_REQUEST)
            return
        request = self._request = cast("Request", events[0])
        self._phase = Phase.VERDICT
        asked = self._introduction.request(self.peer, self._transport.get_extra_info("ssl_object"), request)
        if isinstance(asked, Refused):
            self.refuse(asked)
        else:
            self.peer = asked.peer
            self._front.requested(self, asked)
        self._wait_for_verdict()

    def _wait_for_verdict(self) -> None:
        """Read on, within bounds, to learn whether the peer is still there when the verdict comes."""
        if self._phase is Phase.VERDICT and len(self._held) > frames.SLICE_BYTES:
            self._pause()

    def begin(self) -> None:
        """The session is in place: read what came with the request, then the socket."""
        if self._paused:
            self.resume()
        elif self._held:
            held, self._held = self._held, b""
            self._feed(held)

    def _feed(self, data: bytes) -> None:
        """Parse one slice; what remains waits for the next turn of the loop: no peer may hold up the others."""
        ws = self._ws
        if not self._has_room():
            self._held = data
        elif (text := frames.whole_text(ws, data)) is not None:  # what nearly all come as, in a tenth of the time
            self._front.frame_read(self, len(text), whole=True)
            self._message(text)
        else:
            ws.receive_data(self._slice_of(data))
            self._hand_on(ws.events_received())
        if ws.writes:
            self._flush()
        if ws.state is not OPEN and self._phase is Phase.OPEN and not self._backlog:
            self._begin_closing()
        elif self._held or self._backlog or not self._has_room():
            self._pause()
            if self._held and not self._backlog and self._has_room():
                asyncio.get_running_loop().call_soon(self.resume)

    def _slice_of(self, data: bytes) -> bytes:
        size = frames.DEFLATED_SLICE_BYTES if self._ws.extensions else frames.SLICE_BYTES
        if len(data) <= size:
            return data
        self._held = data[size:]
        return data[:size]

    def _hand_on(self, events: Sequence[Event]) -> None:
        """Give complete text messages to the session, as long as it has room; the rest is the backlog."""
        for index, event in enumerate(events):
            if index and not self._has_room():  # the caller has made sure of the first
                self._backlog = events[index:]
                return
            frame = cast("Frame", event)
            opcode, data = frame.opcode, cast("bytes", frame.data)
            self._front.frame_read(self, len(data), whole=frame.fin)
            if opcode is Opcode.TEXT and frame.fin:
                self._message(data)
            elif opcode is Opcode.TEXT or opcode is Opcode.CONT:
                self._partial = self._partial or bytearray()
                self._partial += data
                if frame.fin:
                    message, self._partial = bytes(self._partial), None
                    self._message(message)
            elif opcode is Opcode.BINARY:
                self._fail(1003, "OCPP-J is text")
            if self._phase is not Phase.OPEN:
                return

    def _message(self, frame: bytes) -> None:
        if not frames.is_text(frame):
            self._fail(1007, "text is not UTF-8")
        elif self.session is not None:
            self._front.text_received(self, self.session, frame)

    def _fail(self, code: int, reason: str) -> None:
        if self._ws.state is OPEN:
            self._ws.fail(code, reason)
        self._begin_closing()

    def _has_room(self) -> bool:
        session = self.session
        ready = self._writable and not self.throttled and self._front.accepting
        return ready and session is not None and session.wants_reading

    def _pause(self) -> None:
        if self._phase in {Phase.OPEN, Phase.VERDICT}:
            self._set_paused(True)
        if self._phase is Phase.OPEN and not self._front.accepting:
            self._front.wait_for_room(self)

    def _catch_up(self) -> None:
        if not self._has_room():
            if not self._front.accepting:
                self._front.wait_for_room(self)
            return
        backlog, self._backlog = self._backlog, ()
        self._hand_on(backlog)
        if self._backlog or self._phase is not Phase.OPEN:
            self._pause()  # it is paused; but the window may have become full meanwhile
            return
        held, self._held = self._held, b""
        self._feed(held)
        if self._phase is Phase.OPEN and not self._held and not self._backlog and self._has_room():
            self._set_paused(False)

    def _set_paused(self, paused: bool) -> None:
        if paused is not self._paused:
            self._paused = paused
            (self._transport.pause_reading if paused else self._transport.resume_reading)()

    # closing

    def _enter(self, phase: Phase) -> None:
        before, self._phase = self._phase, phase
        if before in {Phase.REQUEST, Phase.VERDICT}:
            self._front.settled(self.peer.proxy or self.peer.address)

    def _begin_closing(self) -> None:
        """From here on only the peer's close frame and the end of its stream matter."""
        if self._phase is Phase.OPEN:
            self._phase = Phase.CLOSING
            self._backlog, self._partial = (), None
            self._front.closing(self)
            self._read_to_close()

    def _read_to_close(self, data: bytes = b"") -> None:
        held, self._held = self._held + data, b""
        if self._phase is not Phase.CLOSING:
            return
        if held:
            self._ws.receive_data(self._slice_of(held))
            self._ws.events_received()
        self._flush()
        if self._held:
            asyncio.get_running_loop().call_soon(self._read_to_close)
        self._set_paused(bool(self._held))

    def _respond(self, response: Response, refused: Refused) -> None:
        if response.status_code != refused.status:
            response = self._ws.reject(refused.status, refused.detail + "\n")
        response.headers.update(self._front.refused(refused))
        self._enter(Phase.CLOSING)
        self._held = b""
        self._ws.send_response(response)
        self._flush()
        self._front.closing(self)
        self._set_paused(False)

    def _flush(self) -> None:
        transport = self._transport
        for data in self._ws.data_to_send():
            if data:
                transport.write(data)
            elif transport.can_write_eof():
                transport.write_eof()
            else:
                transport.close()
