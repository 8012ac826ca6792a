"""The commands service at its broker link: deliveries in, decisions carried out, outcomes told."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import orjson
import structlog

from contracts import announcements, topology
from contracts.announcements import SNAPSHOT_REQUEST_TYPE, Announcement, Heartbeat, SnapshotRequest
from contracts.broker import BrokerLink, Delivery, Returned
from contracts.commands import Reason
from contracts.envelope import OutcomeEnvelope, OutcomeKind
from contracts.errors import EnvelopeError, LinkDownError
from contracts.process.monitor import Check
from contracts.tracing import Span, trace_of
from workers import metrics
from workers.commands.directory import Directory, Place
from workers.commands.dispatching import Command, Dispatch, Dispatching, End, Step
from workers.commands.entry import Entry
from workers.commands.faces import Tracking
from workers.commands.hearing import MARK_TYPE, Hearing
from workers.commands.memory import Key, Memory, Remembered
from workers.commands.outcomes import reason_label, told
from workers.commands.replying import Replies
from workers.commands.tracing import CommandTraces
from workers.runtime.context import ServiceContext

TICK_S = 0.2
ASK_AGAIN_S = 5.0
SWEPT_AT_A_TICK = 5000
_MARK = "#"
"""Begins our correlation ids; no command id has it, and so no outcome of a worker's own command is taken for ours."""


def now_ms() -> int:
    """The wall clock in milliseconds."""
    return int(time.time() * 1000)


class Desk:
    """The attachment of the commands service; also the way to charge points that tracked commands use."""

    def __init__(self, link: BrokerLink, tracking: Tracking) -> None:
        self._link = link
        self._tracking = tracking
        self._directory = Directory()
        self._memory = Memory()
        self._dispatching = Dispatching(self._directory, self._memory)
        self._replies = Replies(link)
        self._traces = CommandTraces()
        self._entry = Entry(self, tracking, self._memory, self._replies, link, self._traces)
        self._hearing = Hearing()
        self._asked_at = 0.0
        self._changed = asyncio.Event()
        self._log = structlog.get_logger().bind(service="commands")

    # what tracked commands use

    def place(self, identity: str) -> Place | None:
        return self._directory.find(identity)

    @property
    def complete(self) -> bool:
        return self._link.up and self._directory.complete

    async def dispatch(
        self,
        identity: str,
        command_id: str,
        action: str,
        payload: Mapping[str, Any],
        deadline_ms: int,
        *,
        session: str | None = None,
        again: bool = False,
    ) -> OutcomeEnvelope:
        if not self._link.up:
            raise LinkDownError("the broker link is down")
        answer: asyncio.Future[OutcomeEnvelope] = asyncio.get_running_loop().create_future()
        command = Command(
            identity=identity,
            command_id=command_id,
            action=action,
            payload=orjson.dumps(payload),
            deadline_ms=deadline_ms,
            queued_ms=now_ms(),
            session=session,
            again=again,
            callers=[answer],
        )
        self._traces.attempted(command)
        self.offer(command)
        return await answer

    # what the entry uses

    def offer(self, command: Command) -> None:
        """Dispatch a command, let it wait for the directory, or end it."""
        self._carry_out(self._dispatching.offer(command, now_ms()))

    def under_way(self, key: Key) -> bool:
        """Whether a command with this id has been offered and has not ended."""
        return key in self._dispatching

    def end(self, end: End) -> None:
        """Tell every caller of a command how it ended."""
        command, outcome = end.command, end.outcome
        body = told(command, outcome)
        label = reason_label(body)
        if command.dispatched_ms is not None:
            metrics.command_seconds.observe(max(0, now_ms() - command.dispatched_ms) / 1000)
        ended = command.remembered(outcome)
        for caller in command.callers:
            if isinstance(caller, asyncio.Future):
                if not caller.done():
                    caller.set_result(outcome)
            elif isinstance(caller, Delivery):
                metrics.command_outcomes.labels(outcome.kind.value, label).inc()
                if end.remember:
                    self._memory.keep(command.key, ended, told=False)
                done = partial(self._told, command, ended) if end.remember else self._changed.set
                self._replies.tell(caller, body, command.command_id, done, command.span)
        for span in command.spans:
            span.attributes["ocpp.outcome"] = outcome.kind.value
            span.end()
        self._log.debug(
            "command.ended",
            identity=command.identity,
            command_id=command.command_id,
            outcome=outcome.kind.value,
            reason=label,
            gateway=outcome.gateway,
            session=outcome.session,
            trace=trace_of(command.span),
        )
        self._changed.set()

    def changed(self) -> None:
        """Something in hand is done."""
        self._changed.set()

    # the attachment's face

    def link_up(self) -> None:
        self._directory.asked(time.monotonic())
        self._hearing.restart()
        self._ask()

    def link_down(self) -> None:
        for command in self._dispatching.link_down():
            for span in command.spans:
                span.end("connection_lost")
            for caller in command.callers:
                if isinstance(caller, asyncio.Future) and not caller.done():
                    caller.set_exception(LinkDownError("the broker connection ended before the outcome"))
        self._entry.link_down()
        self._replies.link_down()
        self._tracking.link_lost()
        self._changed.set()

    def delivered(self, delivery: Delivery) -> None:
        self._entry.take(delivery)

    def private(self, delivery: Delivery) -> bool:
        if delivery.correlation_id.startswith(_MARK):
            self._answered(delivery)
            return True
        if delivery.exchange == topology.SESSIONS or delivery.type in {
            announcements.SESSIONS_TYPE,
            announcements.HEARTBEAT_TYPE,
        }:
            self._announced(delivery)
            return True
        if delivery.type == MARK_TYPE:
            now = time.monotonic()
            if self._hearing.came_back(delivery.body, now):
                self._directory.deaf_until(now)
            return True
        return False

    def returned(self, message: Returned) -> bool:
        if not message.correlation_id.startswith(_MARK):
            return False
        metrics.gateways_lost.labels("returned").inc()
        self._log.warning("gateway.without_queue", gateway=message.routing_key)
        self._carry_out(self._dispatching.returned(int(message.correlation_id[1:])))
        return True

    def confirmed(self, token: object) -> None:
        self._replies.confirmed(token)
        if isinstance(token, _Number) and token.span is not None:
            token.span.end()

    def refused(self, token: object) -> None:
        self._replies.refused(token)
        if isinstance(token, _Number):
            if token.span is not None:
                token.span.end("refused")
            # A gateway's queue that takes nothing is as good as none.
            self._carry_out(self._dispatching.returned(token.number))

    def checks(self) -> Mapping[str, Check]:
        return {"directory": lambda: None if self._directory.complete else "gateways are being asked"}

    async def run(self, context: ServiceContext) -> None:
        self._traces.tracing = context.tracing
        tracking = asyncio.create_task(self._tracking.run(context, self))
        ticking = asyncio.create_task(self._tick())
        try:
            # Neither ends by itself; what does so has failed.
            done, _ = await asyncio.wait((tracking, ticking), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            tracking.cancel()
            ticking.cancel()
            await asyncio.gather(tracking, ticking, return_exceptions=True)
            await self._entry.close()

    async def drain(self) -> None:
        while len(self._dispatching) or len(self._replies) or len(self._entry):
            self._changed.clear()
            await self._changed.wait()

    # inner workings

    def _carry_out(self, steps: Sequence[Step]) -> None:
        for step in steps:
            if isinstance(step, End):
                self.end(step)
            else:
                self._publish(step)
        metrics.commands_outstanding.set(len(self._dispatching))

    def _publish(self, step: Dispatch) -> None:
        if not self._link.up:
            return  # on its way down: the delivery comes again
        span = None if step.span is None else step.span.publishing(topology.GATEWAYS)
        self._link.publish(
            topology.GATEWAYS,
            step.gateway,
            step.envelope.encode(),
            token=_Number(step.number, span),
            mandatory=True,
            correlation_id=f"{_MARK}{step.number}",
            reply_to=self._link.reply_queue,
            type=step.envelope.TYPE,
            message_id=step.envelope.command_id,
            headers=None if span is None else span.headers,
        )

    def _told(self, command: Command, ended: Remembered) -> None:
        self._memory.keep(command.key, ended)
        self._changed.set()

    def _answered(self, delivery: Delivery) -> None:
        number = delivery.correlation_id[1:]
        self._traces.answered(delivery)
        try:
            outcome = OutcomeEnvelope.decode(delivery.body)
        except EnvelopeError as error:
            self._log.warning("outcome.unreadable", reason=str(error))
            outcome = OutcomeEnvelope("", "", OutcomeKind.UNKNOWN, "", error_code=Reason.NO_OUTCOME)
        self._carry_out(self._dispatching.answered(int(number), outcome, now_ms()))

    def _announced(self, delivery: Delivery) -> None:
        now = time.monotonic()
        try:
            message = announcements.read(delivery.body)
        except EnvelopeError as error:
            self._log.warning("announcement.unreadable", reason=str(error))
            return
        if isinstance(message, Announcement):
            self._directory.announced(message, now, asked=delivery.exchange != topology.SESSIONS)
            self._carry_out(self._dispatching.opened((entry.identity for entry in message.opened), now_ms()))
        elif isinstance(message, Heartbeat):
            self._directory.heartbeat(message, now)
            if message.leaving:
                self._carry_out(self._dispatching.gateway_lost(message.gateway))

    def _ask(self) -> None:
        """Have every gateway announce what it holds, to us alone."""
        self._asked_at = time.monotonic()
        request = SnapshotRequest(self._link.reply_queue)
        self._link.publish(
            topology.SESSIONS, "", request.encode(), reply_to=self._link.reply_queue, type=SNAPSHOT_REQUEST_TYPE
        )

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            if self._link.up:
                self._watch(now)
            self._directory.sweep(SWEPT_AT_A_TICK)
            metrics.directory_sessions.set(len(self._directory))
            metrics.directory_gateways.set(self._directory.gateways)

    def _watch(self, now: float) -> None:
        mark = self._hearing.next_mark(now)
        if mark is not None:
            self._link.publish("", self._link.reply_queue, mark, type=MARK_TYPE)
        for gateway in self._directory.silent(now) if self._hearing.reliable(now) else ():
            metrics.gateways_lost.labels("silent").inc()
            self._log.warning("gateway.silent", gateway=gateway)
            self._carry_out(self._dispatching.gateway_lost(gateway))
        if self._directory.check_complete(now):
            took_s = self._directory.complete_after_s or 0.0
            metrics.snapshot_seconds.observe(took_s)
            self._log.info("directory.complete", sessions=len(self._directory), seconds=round(took_s, 2))
            self._carry_out(self._dispatching.directory_complete(now_ms()))
        elif self._directory.complete and self._directory.strangers() and now - self._asked_at > ASK_AGAIN_S:
            self._directory.asked_again()
            self._ask()
        self._carry_out(self._dispatching.tick(now_ms()))


class _Number:
    """Token of a dispatch's publish."""

    __slots__ = ("number", "span")

    def __init__(self, number: int, span: Span | None) -> None:
        self.number = number
        self.span = span
