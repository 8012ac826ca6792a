"""One lean charge point: boots, calls one Call at a time, repeats billing data until it is confirmed."""

from collections.abc import Callable
from time import monotonic
from typing import Any, Protocol

import orjson

from loadtest.crowd.billing import Billing, Message
from loadtest.crowd.calendar import Due
from loadtest.crowd.commands import answer
from loadtest.crowd.socket import Refused, Socket
from loadtest.crowd.speech import SPEECH_16, SPEECH_201, Charging, Said, Speech
from loadtest.crowd.tally import Tally
from loadtest.crowd.timeline import Pace, Step, Timeline

RETRY_MS = 10_000
"""OCPP's TransactionMessageRetryInterval: the wait before a refused transaction message is sent again."""
_BOOT_RETRY_S = 10.0
_CALL, _RESULT, _ERROR = 2, 3, 4


class Surroundings(Protocol):
    """What a charge point needs of its process."""

    tally: Tally
    plan: Callable[[int, Due], None]
    in_flight: "dict[Point, float]"
    """Who waits for an answer, and since when; the first has waited longest."""
    away: "dict[Point, float]"
    """Who has lost its connection, and when; the first has been away longest."""

    def come_back(self, point: "Point", *, failures: int = 0, retry_after_s: float | None = None) -> float: ...
    def stamp(self, at_ms: int) -> bytes: ...
    def booted(self, point: "Point", interval_s: float) -> None: ...
    def tag(self, point: "Point") -> str: ...


class Point:
    """One charge point, whatever its connection."""

    __slots__ = (
        "_around", "_at_s", "_billing", "_due_ms", "_failures", "_first_refused_s", "_flight", "_flight_id",
        "_last_id", "_pace", "_patience_s", "_plain", "_ready", "_socket", "_speech", "_step", "_tally", "_timeline",
        "displaced", "identity", "number", "registered", "wanted", "where",
    )  # fmt: skip

    def __init__(self, number: int, identity: str, around: Surroundings, *, speaks_201: bool) -> None:
        self.number = number
        self.identity = identity
        self.where = number
        """Which of the endpoints it keeps to."""
        self.wanted = False
        """It waits for its turn to connect, or is connecting."""
        self.displaced = False
        """It has lost a connection."""
        self.registered = False
        self._around = around
        self._tally = around.tally
        self._speech: Speech = SPEECH_201 if speaks_201 else SPEECH_16
        self._socket: Socket | None = None
        self._ready = False
        self._failures = 0
        self._first_refused_s = 0.0
        self._patience_s = 0.0
        self._flight: Message | None = None
        self._flight_id = ""
        self._last_id = 0
        self._billing = Billing(self._speech, self._tally, around.stamp)
        self._plain: list[Message] = []
        self._timeline: Timeline | None = None
        self._pace: Pace | None = None
        self._at_s = 0.0
        self._step = Step.HEARTBEAT
        self._due_ms = 0

    @property
    def subprotocol(self) -> str:
        return self._speech.subprotocol

    @property
    def speaks_201(self) -> bool:
        return self._speech is SPEECH_201

    @property
    def connected(self) -> bool:
        return self._socket is not None

    @property
    def charging(self) -> Charging | None:
        return self._billing.charging

    # --- what is ordered

    def follow(self, timeline: Timeline, pace: Pace | None) -> None:
        """Do from now on what the timeline says: at its times by that pace; without one, when all else is answered."""
        self._timeline = timeline
        self._pace = pace
        if pace is None:
            self._due_ms = 0
            self._pump()
        else:
            self._next_step()

    def repace(self, pace: Pace) -> None:
        """Go on in the same timeline at another pace."""
        self._pace = pace
        self._plan_step()

    def stop(self, reason: str = "Local") -> None:
        """End the transaction, if there is one."""
        self._billing.stop(monotonic(), reason)
        self._pump()

    def start(self, tag: str, remote_start: int | None = None) -> None:
        """Begin a transaction, if there is none."""
        self._billing.start(tag, monotonic(), remote_start)
        self._pump()

    def tell(self, step: Step) -> None:
        """Send what belongs to a step, once."""
        self._take(step, monotonic())
        self._pump()

    def cut(self) -> None:
        """The power fails: no connection, no registration, an open transaction ends; it comes back by itself."""
        self.registered = False
        self._billing.stop(monotonic(), "PowerLoss")
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.drop()
            self._lost()

    def leave(self) -> None:
        """Say goodbye to the server, which then ends the connection."""
        if self._socket is not None:
            self._socket.close()

    # --- the connection

    def opened(self, socket: Socket) -> None:
        self._socket = socket
        self._tally.connected += 1
        self._tally.opened += 1
        if self in self._around.away:
            del self._around.away[self]
            self._tally.reconnected += 1
        self.wanted = False
        self._failures = 0
        self._first_refused_s = 0.0
        if self.registered:
            self._become_ready()
        else:
            self._boot(monotonic())

    def refused(self, refusal: Refused) -> None:
        """No connection came about; the next try goes elsewhere, after the server's Retry-After or our back-off."""
        self.wanted = False
        tally, now = self._tally, monotonic()
        tally.refused[refusal.why] += 1
        if self._first_refused_s and now > self._first_refused_s + self._patience_s:
            tally.outlasted += 1
        wait_s = self._around.come_back(self, failures=self._failures, retry_after_s=refusal.retry_after_s)
        if not self._first_refused_s and refusal.retry_after_s is not None:
            self._first_refused_s = now
            self._patience_s = wait_s
        self._failures += 1
        self.where += 1

    def ended(self, code: int) -> None:
        self._tally.ended[str(code)] += 1
        self._socket = None
        self._lost()

    def _lost(self) -> None:
        tally, around = self._tally, self._around
        self.displaced = True
        tally.connected -= 1
        around.away[self] = monotonic()
        self._unready()
        if self._flight is not None:
            tally.cut_off += 1
            self._land()
        tally.waiting -= len(self._plain)
        self._plain.clear()
        around.come_back(self)

    def _become_ready(self) -> None:
        self._ready = True
        self._tally.booted += 1
        self._pump()

    def _unready(self) -> None:
        if self._ready:
            self._ready = False
            self._tally.booted -= 1

    # --- registration

    def boot_due(self, at_ms: int) -> None:
        """It is time to boot again: the last answer was Pending or Rejected, or there was none."""
        if self._socket is not None and not self.registered and self._flight is None:
            self._boot(at_ms / 1000)

    def _boot(self, due_s: float) -> None:
        self._send(Message(Step.BOOT, self._speech.boot(self.identity), due_s))

    def _booted(self, reply: dict[str, Any]) -> None:
        accepted = reply.get("status") == "Accepted"
        interval_s = reply.get("interval") or _BOOT_RETRY_S
        if not accepted:
            self._tally.errors["refused BootNotification"] += 1
            self._boot_later(interval_s)
        elif not self.registered:
            self.registered = True
            self._around.booted(self, interval_s)
            self._report_connectors(monotonic())
            self._become_ready()

    def _boot_later(self, seconds: float) -> None:
        if not self.registered:
            self._around.plan(int((monotonic() + seconds) * 1000), self.boot_due)

    def _report_connectors(self, due_s: float) -> None:
        stamp = self._around.stamp(int(due_s * 1000))
        for connector in self._speech.connectors:
            self._queue(Message(Step.AVAILABLE, self._speech.status(Step.AVAILABLE, connector, stamp), due_s))

    # --- steps

    def step_due(self, at_ms: int) -> None:
        """The time of the planned step has come; nothing happens when another load has been ordered since."""
        if at_ms == self._due_ms and self._pace is not None:
            self._take(self._step, at_ms / 1000)
            self._pump()
            self._next_step()

    def _next_step(self) -> None:
        if self._timeline is not None:
            self._at_s, self._step = next(self._timeline)
            self._plan_step()

    def _plan_step(self) -> None:
        if self._pace is not None:
            self._due_ms = self._pace.real_ms(self._at_s)
            self._around.plan(self._due_ms, self.step_due)

    def _take(self, step: Step, due_s: float) -> None:
        """Have the Calls of a step wait for their turn; without a connection there is only billing data."""
        if step is Step.METER:
            self._billing.meter(self._around.tag(self), due_s)
        elif step is Step.START:
            self._billing.start(self._around.tag(self), due_s)
        elif step is Step.STOP:
            self._billing.stop(due_s, "Local")
        elif self._ready:
            self._tell(step, due_s)

    def _tell(self, step: Step, due_s: float) -> None:
        if step is Step.HEARTBEAT:
            self._queue(Message(step, _HEARTBEAT, due_s))
        elif step >= Step.PREPARING:
            stamp = self._around.stamp(int(due_s * 1000))
            self._queue(Message(step, self._speech.status(step, 1, stamp), due_s))
        elif step is Step.AUTHORIZE:
            self._queue(Message(step, self._speech.authorize(self._around.tag(self)), due_s))
        else:
            self._queue(Message(Step.BOOT, self._speech.boot(self.identity), due_s))
            self._report_connectors(due_s)

    def _queue(self, message: Message) -> None:
        self._plain.append(message)
        self._tally.waiting += 1

    # --- Calls

    def _pump(self) -> None:
        """Send the next Call, if it may be sent now: billing data first; in a closed loop the next step's."""
        billing = self._billing
        while self._ready and self._flight is None:
            if billing.owed and not billing.held:
                message = billing.owed[0]
            elif self._plain:
                message = self._plain.pop(0)
            elif self._pace is None and self._timeline is not None and not billing.held:
                self._take(next(self._timeline)[1], monotonic())
                continue
            else:
                return
            if not message.sent:
                self._tally.waiting -= 1
            self._send(message)

    def _send(self, message: Message) -> None:
        socket = self._socket
        if socket is None:
            return
        self._last_id = number = self._last_id + 1
        self._flight = message
        self._flight_id = str(number)
        self._around.in_flight[self] = monotonic()
        message.sent = True
        self._tally.calls[message.action] += 1
        payload = message.numbered() if message.unnumbered else message.body
        socket.send(b'[2,"%d","%b",%b]' % (number, message.action.encode(), payload))

    def text(self, payload: bytes) -> None:
        try:
            message = orjson.loads(payload)
            flight = self._flight
            if flight is not None and message[1] == self._flight_id and message[0] == _RESULT:
                self._land()
                self._tally.answered(flight.action, monotonic() - flight.due_s)
                self._confirmed(flight, message[2])
            else:
                self._other(message)
        except (ValueError, LookupError, TypeError, AttributeError):
            self._tally.errors["unreadable"] += 1
        self._pump()

    def _other(self, message: Any) -> None:
        """Whatever is not the CALLRESULT that is waited for."""
        kind, unique_id = message[0], message[1]
        flight = self._flight
        if kind == _CALL:
            self._called(unique_id, message[2], message[3])
        elif flight is None or unique_id != self._flight_id:
            self._unasked(unique_id)
        elif kind == _ERROR:
            self._land()
            self._tally.errors[str(message[2])] += 1
            self._failed(flight)
        else:
            self._tally.errors["unreadable"] += 1

    def timed_out(self) -> None:
        """The Call in flight was not answered in time."""
        flight = self._flight
        self._land()
        self._tally.errors["timeout"] += 1
        if flight is not None and flight.step is Step.BOOT:
            self._boot_later(0.0)
        self._pump()

    def _land(self) -> None:
        self._flight = None
        del self._around.in_flight[self]

    def _confirmed(self, message: Message, reply: dict[str, Any]) -> None:
        step = message.step
        if step is Step.BOOT:
            self._booted(reply)
        elif not self._speech.accepted(step, reply):
            self._tally.errors[f"refused {message.action}"] += 1
        if message.charging is not None:
            self._billing.confirm(message, reply)

    def _failed(self, message: Message) -> None:
        if message.step is Step.BOOT:
            self._boot_later(_BOOT_RETRY_S)
        elif message.charging is not None:
            self._billing.held = True
            self._around.plan(int(monotonic() * 1000) + RETRY_MS, self._retry_due)

    def _retry_due(self, at_ms: int) -> None:
        del at_ms
        self._billing.held = False
        self._pump()

    def _unasked(self, unique_id: str) -> None:
        """A late answer to a Call that was given up is none of our business; one to no Call of ours is a mistake."""
        if not (isinstance(unique_id, str) and unique_id.isdigit() and 0 < int(unique_id) <= self._last_id):
            self._tally.errors["unexpected"] += 1

    # --- the server's Calls

    def _called(self, unique_id: str, action: str, payload: dict[str, Any]) -> None:
        if self._socket is None:
            return
        self._tally.commands[action] += 1
        said = answer(self, action, payload, is_201=self.speaks_201)
        if said is None:
            self._socket.send(orjson.dumps([_ERROR, unique_id, "NotImplemented", "", {}]))
            return
        reply, follow_up = said
        self._socket.send(orjson.dumps([_RESULT, unique_id, reply]))
        if follow_up is not None:
            follow_up()


_HEARTBEAT: Said = ("Heartbeat", b"{}")
