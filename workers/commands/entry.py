"""Where commands come in: each delivery is read, put in its charge point's order, and sent on its way."""

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

import structlog

from contracts import topology
from contracts.bodies import Body
from contracts.broker import BrokerLink, Delivery
from contracts.commands import CommandOutcome, CommandRequest, Reason
from contracts.envelope import OutcomeKind
from workers import metrics
from workers.commands import undeliverable
from workers.commands.admitting import Asked, Refusal, out_of_bounds, quoted_id, read
from workers.commands.dispatching import Command, End, refused
from workers.commands.faces import WAKE, Tracking
from workers.commands.memory import Key, Memory, Remembered
from workers.commands.ordering import Lines
from workers.commands.outcomes import told
from workers.commands.replying import Replies
from workers.commands.reserved import REFUSAL, ReservedSettings, reserved_settings
from workers.commands.tracing import CommandTraces
from workers.errors import StoreUnavailableError

LONGEST_PAUSE_S = 5.0
FIRST_PAUSE_S = 0.05

Answer = TypeVar("Answer")

_log = structlog.get_logger().bind(service="commands")


class Onward(Protocol):
    """Where commands go from here."""

    def offer(self, command: Command) -> None: ...
    def under_way(self, key: Key) -> bool: ...
    def end(self, end: End) -> None: ...
    def changed(self) -> None: ...


class Entry:
    """Takes the deliveries of all shards, and of commands that the broker gave up."""

    def __init__(
        self,
        onward: Onward,
        tracking: Tracking,
        memory: Memory,
        replies: Replies,
        link: BrokerLink,
        traces: CommandTraces,
    ) -> None:
        self._onward = onward
        self._tracking = tracking
        self._memory = memory
        self._replies = replies
        self._link = link
        self._traces = traces
        self._lines = Lines(onward.changed)
        self._held_back: dict[str, deque[Delivery]] = {}
        """Deliveries of shards that tracked commands are not loaded for yet."""
        self._gained: set[str] = set()
        self._behind: set[Command] = set()
        """Direct commands that wait for what came before them."""

    def __len__(self) -> int:
        return len(self._lines)

    def take(self, delivery: Delivery) -> None:
        """A delivery came."""
        if delivery.queue == topology.UNDELIVERABLE_COMMANDS:
            self._given_up(delivery)
        elif delivery.queue in self._gained:
            self._admit(delivery)
        elif delivery.queue in self._held_back:
            self._held_back[delivery.queue].append(delivery)
        else:
            self._held_back[delivery.queue] = deque((delivery,))
            # No identity holds such a character.
            self._lines.add(f"\0{delivery.queue}", partial(self._gain, delivery.queue))

    def link_down(self) -> None:
        """All deliveries come again, here or elsewhere; what was not dispatched is remembered as such."""
        for command in (*self._behind, *self._held_back_commands()):
            if self._memory.find(command.key) is None:
                self._memory.keep(command.key, command.remembered(), told=False)
        self._behind.clear()
        self._lines.drop()
        self._held_back.clear()
        self._gained.clear()

    async def close(self) -> None:
        """Cancel what is under way."""
        await self._lines.close()

    def _held_back_commands(self) -> Iterator[Command]:
        """Direct commands that came to us first: nobody but us can have dispatched them."""
        now_ms = int(time.time() * 1000)
        for delivery in (one for deliveries in self._held_back.values() for one in deliveries if not one.redelivered):
            asked = None if delivery.type == WAKE else read(delivery)
            if isinstance(asked, Asked) and not asked.request.tracked:
                yield _command(delivery, asked, now_ms)

    async def _gain(self, queue: str) -> None:
        await _lasting(partial(self._tracking.shard_gained, queue))
        self._gained.add(queue)
        for delivery in self._held_back.pop(queue, ()):
            self._admit(delivery)

    def _admit(self, delivery: Delivery) -> None:
        identity = delivery.routing_key
        if delivery.type == WAKE:
            self._in_line(delivery, partial(self._wake, delivery))
            return
        now_ms = int(time.time() * 1000)
        asked = read(delivery)
        if isinstance(asked, Refusal):
            self._onward.end(refused(_unread(delivery, now_ms), asked))
            return
        command = _command(delivery, asked, now_ms)
        self._traces.taken(delivery, command, tracked=asked.request.tracked)
        sets = reserved_settings(asked.request.action, asked.request.payload)
        if asked.request.tracked:
            if sets is not None:  # what is right now may not be when it is sent, and no password is stored
                self._taken(delivery, command, _not_tracked(command))
                return
            self._in_line(delivery, partial(self._track, delivery, asked.request, command))
            return
        if self._known(delivery, command):
            return
        if sets is not None and command.fresh:
            self._behind.add(command)
            self._in_line(delivery, partial(self._after_check, delivery, command, sets))
        elif identity in self._lines or self._tracking.holds(identity):
            self._behind.add(command)
            self._in_line(delivery, partial(self._after_held, delivery, command))
        else:
            self._onward.offer(command)

    def _known(self, delivery: Delivery, command: Command) -> bool:
        """Whether a command has ended already, or ends at once; what may have happened to it is noted in it."""
        remembered = self._memory.find(command.key)
        if remembered is not None:
            if self._recalled(delivery, command, remembered):
                return True
            known = "not_sent" if command.fresh else "dispatched"
            metrics.command_redelivered.labels(known).inc()
        elif delivery.redelivered:
            command.again = True
            metrics.command_redelivered.labels("unknown").inc()
        if not command.fresh or self._onward.under_way(command.key):
            return False
        refusal = out_of_bounds(command.deadline_ms, command.queued_ms, tracked=False)
        if refusal is not None:
            self._onward.end(refused(command, refusal))
        return refusal is not None

    def _recalled(self, delivery: Delivery, command: Command, remembered: Remembered) -> bool:
        """Whether what is remembered ends a command that has come again; if not, it is noted in it."""
        if remembered.request != command.digest:
            self._onward.end(refused(command, Refusal(Reason.COMMAND_ID_REUSED, "another command has had this id")))
            return True
        command.again = command.again or remembered.again
        command.pinned = remembered.place
        # One that is published again asks anew where nobody knew; a delivery that comes again has been told already.
        if remembered.ended is None or not (remembered.final or delivery.redelivered):
            return False
        metrics.command_redelivered.labels("ended").inc()
        self._onward.end(End(command, remembered.ended))
        return True

    async def _after_held(self, delivery: Delivery, command: Command) -> None:
        remaining_s = max(0.0, command.deadline_ms / 1000 - time.time())
        try:
            with contextlib.suppress(TimeoutError):  # it has expired, which is told like any other
                async with asyncio.timeout(remaining_s):
                    await _lasting(partial(self._tracking.ahead, command.identity))
        finally:
            self._behind.discard(command)
        remembered = self._memory.find(command.key)  # another delivery of it may have ended meanwhile
        if remembered is None or not self._recalled(delivery, command, remembered):
            self._onward.offer(command)

    async def _after_check(self, delivery: Delivery, command: Command, sets: ReservedSettings) -> None:
        """Go on with a command that sets what is on record, if the database says so soon: others wait behind it."""
        refusal = Refusal(Reason.DEADLINE, "the database did not answer in time", OutcomeKind.EXPIRED)
        patience_s = min(LONGEST_PAUSE_S, max(0.0, command.deadline_ms / 1000 - time.time()))
        allowed = False
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience_s):
                    allowed = await _lasting(partial(self._tracking.on_record, command.identity, sets))
                    refusal = REFUSAL
        except BaseException:
            self._behind.discard(command)
            raise
        if allowed:
            await self._after_held(delivery, command)
        else:
            self._behind.discard(command)
            self._onward.end(refused(command, refusal))

    async def _track(self, delivery: Delivery, request: CommandRequest, command: Command) -> None:
        take = partial(self._tracking.take, delivery.queue, command.identity, request, command.queued_ms)
        waiting = f"\1{command.identity}"  # no identity begins with such a character
        if waiting not in self._lines:
            with contextlib.suppress(StoreUnavailableError):
                self._taken(delivery, command, await take())
                return
        # Those of a charge point that wait for the database do so in order, but direct commands get past them.
        self._lines.add(waiting, partial(self._guarded, delivery, partial(self._take, delivery, command, take)))

    async def _take(self, delivery: Delivery, command: Command, take: Callable[[], Awaitable[Body]]) -> None:
        self._taken(delivery, command, await _lasting(take))

    def _taken(self, delivery: Delivery, command: Command, answer: Body) -> None:
        self._replies.tell(delivery, answer, command.command_id, self._onward.changed, command.span)
        for span in command.spans:
            span.end()

    async def _wake(self, delivery: Delivery) -> None:
        await _lasting(partial(self._tracking.wake, delivery.queue, delivery.routing_key))
        self._link.ack(delivery)

    def _in_line(self, delivery: Delivery, job: Callable[[], Awaitable[None]]) -> None:
        self._lines.add(delivery.routing_key, partial(self._guarded, delivery, job))

    async def _guarded(self, delivery: Delivery, job: Callable[[], Awaitable[None]]) -> None:
        """What a job cannot digest goes back to its queue, and at the end to the undeliverable ones."""
        try:
            await job()
        except Exception as error:  # noqa: BLE001 - the outermost shell of a job
            _log.error("command.failed", identity=delivery.routing_key, exc_info=error)
            self._link.reject(delivery, requeue=True)

    def _given_up(self, delivery: Delivery) -> None:
        now_ms = int(time.time() * 1000)
        if delivery.type == WAKE:
            self._link.ack(delivery)
            return
        asked = read(delivery)
        if isinstance(asked, Refusal):
            self._onward.end(
                replace(refused(_unread(delivery, now_ms), undeliverable.verdict(delivery, None)), remember=False)
            )
            return
        command = _command(delivery, asked, now_ms)
        if asked.request.tracked:
            if reserved_settings(asked.request.action, asked.request.payload) is not None:
                self._taken(delivery, command, _not_tracked(command))
                return
            job = partial(self._take_given_up, delivery, asked.request, command)
            self._lines.add(f"\2{command.identity}", partial(self._guarded, delivery, job))
            return
        remembered = self._memory.find(command.key)
        if remembered is None:
            command.again = True  # for whoever publishes it again
        elif self._recalled(delivery, command, remembered):
            return
        elif remembered.ended is not None:
            self._onward.end(End(command, remembered.ended))
            return
        self._onward.end(refused(command, undeliverable.verdict(delivery, remembered)))

    async def _take_given_up(self, delivery: Delivery, request: CommandRequest, command: Command) -> None:
        queue = undeliverable.shard_of(delivery)
        take = partial(self._tracking.take_given_up, queue, command.identity, request, command.queued_ms)
        answer: Body
        try:
            answer = await _lasting(take)
        except Exception as error:  # noqa: BLE001 - whatever it is, what was given up once must not come for ever
            _log.error("command.failed", identity=command.identity, exc_info=error)
            verdict = refused(command, undeliverable.verdict(delivery, None)).outcome
            answer = told(command, verdict).model_copy(update={"tracked": True})
        self._taken(delivery, command, answer)


async def _lasting(call: Callable[[], Awaitable[Answer]]) -> Answer:
    """The answer, once the database gives one."""
    tries = 0
    while True:
        try:
            return await call()
        except StoreUnavailableError as error:
            tries += 1
            wait_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**tries) * random.uniform(0.5, 1)  # noqa: S311 - jitter
            _log.warning("store.unavailable", reason=str(error), failures=tries, retry_in_s=round(wait_s, 2))
            await asyncio.sleep(wait_s)


def _command(delivery: Delivery, asked: Asked, now_ms: int) -> Command:
    return Command(
        identity=delivery.routing_key,
        command_id=asked.request.command_id,
        action=asked.request.action,
        payload=asked.payload,
        deadline_ms=asked.request.deadline_ms,
        queued_ms=now_ms,
        session=asked.request.session,
        callers=[delivery],
    )


def _not_tracked(command: Command) -> CommandOutcome:
    return told(command, refused(command, REFUSAL).outcome).model_copy(update={"tracked": True})


def _unread(delivery: Delivery, now_ms: int) -> Command:
    return Command(
        identity=delivery.routing_key,
        command_id=quoted_id(delivery),
        action="",
        payload=b"{}",
        deadline_ms=0,
        queued_ms=now_ms,
        callers=[delivery],
    )
