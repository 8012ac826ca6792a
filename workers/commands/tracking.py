"""Tracked commands: stored before they are confirmed, dispatched one after the other, ended once.

A charge point's commands are looked after by the active consumer of its shard, in one task at a time. All that must
outlive this process is in the store: whoever gets the shard next finds what is due by the wakes of `waking`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from contracts.commands import CommandOutcome, CommandReceipt, CommandRequest, Reason, TrackedState
from contracts.envelope import OutcomeKind
from contracts.errors import LinkDownError
from workers import metrics
from workers.commands import reserved, store_room, tracking_rules
from workers.commands.admitting import out_of_bounds
from workers.commands.faces import Dispatches
from workers.commands.reserved import ReservedSettings
from workers.commands.store_room import StoreRoom
from workers.commands.tracking_outcomes import digest_of, outcome_of
from workers.commands.tracking_rules import AskAgain, Dispatch, End, HoldAgain, Repeat, Wait
from workers.errors import StoreUnavailableError
from workers.runtime.context import ServiceContext
from workers.store import commands
from workers.store.commands import TrackedCommand
from workers.store.engine import StoreTransaction

MOST_LANES = 5000
"""Charge points whose held commands are looked at at the same time; further ones are woken again later."""

MOST_WAITING = 200
"""Requests that wait for a database that is away, far fewer than the prefetch: direct commands must get past them."""

MOST_TRANSACTIONS = 4
ASK_ONLY = timedelta(seconds=5)
LOOK_AGAIN = timedelta(seconds=10)
"""A command under way is looked at so soon in case its replica dies; where that lives, the look changes nothing."""

COMPLETENESS_POLL_S = 0.1
FIRST_RETRY_S, LONGEST_RETRY_S = 0.1, 5.0

_log = structlog.get_logger()


class _Lane:
    """One charge point's task, and whether it has got as far as it can for now."""

    def __init__(self) -> None:
        self.look_again = False
        self.stalled = asyncio.Event()


class TrackedCommands:
    """See `faces.Tracking`. `run` comes first; it is the owner's to await, and ends every task of the lanes."""

    _context: ServiceContext
    _dispatches: Dispatches

    def __init__(self) -> None:
        self._open: dict[str, str] = {}
        """Charge points with open commands, and the shard of each."""
        self._lanes: dict[str, _Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: set[str] = set()
        """Command ids that the database has not taken yet."""
        self._room = StoreRoom(MOST_TRANSACTIONS)

    async def run(self, context: ServiceContext, dispatches: Dispatches) -> None:
        """Serve until cancelled."""
        self._context, self._dispatches = context, dispatches
        try:
            await asyncio.Event().wait()
        finally:
            self.link_lost()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    # what the service calls, for one charge point in the order of its deliveries

    async def shard_gained(self, queue: str) -> None:
        """Learn who has open commands in this shard; later, if the database is away, and direct ones go on."""
        try:
            async with asyncio.timeout(store_room.PATIENCE_S):
                await self._load(queue)
        except Exception as error:  # noqa: BLE001 - whatever it is, the shard must not stand still for it
            _not_loaded(queue, error)
            self._own(self._load_later(queue))

    async def _load(self, queue: str) -> None:
        async with self._context.store.transaction(read_only=True) as transaction:
            identities = await commands.open_identities(transaction, queue)
        for identity in identities:
            self._open.setdefault(identity, queue)

    async def _load_later(self, queue: str) -> None:
        while True:
            await asyncio.sleep(LONGEST_RETRY_S)
            try:
                await self._load(queue)
            except Exception as error:  # noqa: BLE001 - as above
                _not_loaded(queue, error)
            else:
                return

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def take(
        self, queue: str, identity: str, request: CommandRequest, now_ms: int
    ) -> CommandReceipt | CommandOutcome:
        """Store a command, or find it stored; what to tell the caller. Raises StoreUnavailableError."""
        if len(self._waiting) >= MOST_WAITING and request.command_id not in self._waiting:
            return _rejected(identity, request, Reason.QUEUE_FULL, "the database is away, and many wait for it")
        # One that waits aside already is in nobody's way, and may take as long as the database does.
        hurried = request.command_id not in self._waiting
        try:
            async with self._transaction(give_up=hurried) as transaction:
                found = await _stored(transaction, queue, identity, request, now_ms)
        except StoreUnavailableError:
            self._waiting.add(request.command_id)
            raise
        except BaseException:
            self._waiting.discard(request.command_id)
            raise
        self._waiting.discard(request.command_id)
        if isinstance(found, TrackedCommand) and found.ended_at is None:
            self._look(queue, identity)
        return _answer(found)

    async def take_given_up(
        self, queue: str, identity: str, request: CommandRequest, now_ms: int
    ) -> CommandReceipt | CommandOutcome:
        """Store a command, or find it stored, and leave it to its shard's consumer. Raises StoreUnavailableError."""
        async with self._transaction() as transaction:
            found = await _stored(transaction, queue, identity, request, now_ms)
        return _answer(found)

    async def wake(self, queue: str, identity: str) -> None:
        """Look at what is held for this charge point."""
        if identity in self._lanes or len(self._lanes) < MOST_LANES:
            self._look(queue, identity)

    async def on_record(self, identity: str, asked: ReservedSettings) -> bool:
        """Whether a direct command sets nothing but what gateways let this charge point in with."""
        async with self._transaction(give_up=True) as transaction:
            return await reserved.on_record(transaction, identity, asked)

    def holds(self, identity: str) -> bool:
        """Whether a direct command must let this charge point's tracked ones go first."""
        return identity in self._open

    async def ahead(self, identity: str) -> None:
        """Return once what is held has been dispatched and answered, or cannot be at present."""
        queue = self._open.get(identity)
        if queue is None:
            return
        lane = self._look(queue, identity)
        await lane.stalled.wait()

    def link_lost(self) -> None:
        """Our shards may be another replica's now."""
        self._open.clear()
        self._lanes.clear()
        self._waiting.clear()
        for task in self._tasks:
            if not task.cancelling():  # twice would leave a database connection half closed
                task.cancel()

    @contextlib.asynccontextmanager
    async def _transaction(
        self, hangs: Callable[[], None] | None = None, *, give_up: bool = False
    ) -> AsyncIterator[StoreTransaction]:
        room = self._room.enter_or_give_up() if give_up else self._room.enter(hangs)
        async with room, self._context.store.transaction() as transaction:
            yield transaction
        for effect in transaction.effects:
            await effect(self._context)

    # the lanes

    def _look(self, queue: str, identity: str) -> _Lane:
        self._open[identity] = queue
        lane = self._lanes.get(identity)
        if lane is not None:
            lane.look_again = True
            return lane
        lane = self._lanes[identity] = _Lane()
        self._own(self._run_lane(lane, queue, identity))
        return lane

    async def _run_lane(self, lane: _Lane, queue: str, identity: str) -> None:
        try:
            while True:
                lane.look_again = False
                lane.stalled.clear()  # if the database was away or hung, it is back
                if await self._advance(lane, queue, identity):
                    continue
                if not lane.look_again:
                    return
        except (StoreUnavailableError, LinkDownError) as error:
            # The row is still due, or under way with a lease that runs out: it is woken again.
            _log.warning("tracked_command.put_off", identity=identity, reason=str(error) or type(error).__name__)
        except Exception as error:  # noqa: BLE001 - the trouble of one charge point is not the others'
            _log.error("tracked_command.failed", identity=identity, exc_info=error)
        finally:
            lane.stalled.set()
            if self._lanes.get(identity) is lane:
                del self._lanes[identity]

    async def _advance(self, lane: _Lane, queue: str, identity: str) -> bool:
        """Do what is next; False when nothing can be done now."""
        session = await self._session_of(identity)
        async with self._transaction(lane.stalled.set) as transaction:
            claimed = await self._next(transaction, queue, identity, session)
        if isinstance(claimed, bool):
            if not claimed and not lane.look_again:
                self._open.pop(identity, None)
            return False
        command, step = claimed
        return await self._dispatch(lane, command, step)

    def _window(self) -> timedelta:
        """How long one attempt may take to be sent: the charge point's line at its gateway may be long."""
        return timedelta(seconds=self._context.settings.command_timeout_seconds)

    async def _session_of(self, identity: str) -> str | None:
        while True:
            place = self._dispatches.place(identity)
            if place is not None or self._dispatches.complete:
                return None if place is None else place.session
            await asyncio.sleep(COMPLETENESS_POLL_S)

    async def _next(
        self, transaction: StoreTransaction, queue: str, identity: str, session: str | None
    ) -> tuple[TrackedCommand, Dispatch] | bool:
        """A command that is claimed and how to dispatch it; else whether any is open."""
        now = self._context.now()
        for late in await commands.overdue_of(transaction, identity, now):
            step = tracking_rules.next_step(late, session, now)
            if isinstance(step, End):
                await _end(transaction, late, step.outcome, now)
        while (command := await commands.next_of(transaction, identity)) is not None:
            expected = session is None and await commands.is_connected(transaction, identity)
            step = tracking_rules.next_step(command, session, now, expected=expected)
            if isinstance(step, End):
                await _end(transaction, command, step.outcome, now)
                continue
            if isinstance(step, Wait):
                if step.until != command.next_attempt_at or command.shard != queue:
                    await commands.change(transaction, command, {"next_attempt_at": step.until, "shard": queue})
                return True
            ours = await commands.claim(
                transaction,
                command,
                session=step.session,
                attempt=step.attempt,
                shard=queue,
                look_again_at=now + LOOK_AGAIN,
            )
            state = TrackedState.UNDER_WAY.value
            return not ours or (replace(command, state=state, session=step.session, attempts=step.attempt), step)
        return False

    async def _dispatch(self, lane: _Lane, command: TrackedCommand, step: Dispatch) -> bool:
        now = self._context.now()
        deadline = now + ASK_ONLY if step.ask_only else min(command.deadline_at, now + self._window())
        dispatched_ms = _milliseconds(now)
        envelope = await self._dispatches.dispatch(
            command.identity,
            step.ocpp_id,
            command.action,
            command.payload,
            _milliseconds(deadline),
            session=step.session,
            again=step.ask_only,
        )
        outcome = outcome_of(envelope, dispatched_ms)
        metrics.tracked_attempts.labels(outcome.outcome.value).inc()
        failures = 0
        while True:
            try:
                async with self._transaction(lane.stalled.set) as transaction:
                    go_on = await self._conclude(transaction, command, outcome, fresh=step.fresh)
                break
            except StoreUnavailableError as error:
                failures += 1
                lane.stalled.set()  # direct commands need no store
                _log.warning("tracked_command.outcome_waits", identity=command.identity, reason=str(error))
                await asyncio.sleep(min(LONGEST_RETRY_S, FIRST_RETRY_S * 2**failures))
        _log.info(
            "tracked_command.attempted",
            identity=command.identity,
            command_id=command.command_id,
            action=command.action,
            attempt=command.attempts,
            outcome=outcome.outcome.value,
            reason=outcome.reason,
        )
        return go_on

    async def _conclude(
        self, transaction: StoreTransaction, command: TrackedCommand, outcome: CommandOutcome, *, fresh: bool
    ) -> bool:
        """Store what an outcome means; whether there is something to do at once."""
        now = self._context.now()
        told = tracking_rules.meaning(command, outcome, now, fresh=fresh)
        if isinstance(told, End):
            await _end(transaction, command, told.outcome, now)
            return True  # the next one's turn
        if isinstance(told, HoldAgain):
            await commands.hold(transaction, command, told.until)
            place = self._dispatches.place(command.identity)
            return place is not None and place.session != command.session
        if isinstance(told, Repeat):
            await commands.hold(transaction, command, told.at, uncertain=told.outcome)
        elif isinstance(told, AskAgain):
            await commands.change(transaction, command, {"next_attempt_at": told.at})
        return False


async def _stored(
    transaction: StoreTransaction, queue: str, identity: str, request: CommandRequest, now_ms: int
) -> TrackedCommand | CommandOutcome:
    digest = digest_of(identity, request)
    known = await commands.find(transaction, request.command_id)
    if known is None:
        refusal = out_of_bounds(request.deadline_ms, now_ms, tracked=True)
        if refusal is not None and refusal.kind is OutcomeKind.REJECTED:
            return _rejected(identity, request, refusal.reason, refusal.description)
        row: dict[str, Any] = {
            "command_id": request.command_id,
            "identity": identity,
            "shard": queue,
            "action": request.action,
            "payload": request.payload,
            "request_digest": digest,
            "only_session": request.session,
            "created_at": datetime.fromtimestamp(now_ms / 1000, UTC),
            "deadline_at": datetime.fromtimestamp(request.deadline_ms / 1000, UTC),
        }
        stored = await commands.submit(transaction, row)
        if stored is not None:
            metrics.tracked_taken.inc()
            return stored
        # Another charge point's shard took the same id at the same moment.
        known = await commands.find(transaction, request.command_id)
    if known is None or known.request_digest != digest:
        return _rejected(identity, request, Reason.COMMAND_ID_REUSED)
    return known


def _answer(found: TrackedCommand | CommandOutcome) -> CommandReceipt | CommandOutcome:
    if isinstance(found, CommandOutcome):
        return found
    outcome = None if found.outcome is None else CommandOutcome.model_validate(found.outcome)
    return CommandReceipt(
        command_id=found.command_id, identity=found.identity, state=TrackedState(found.state), outcome=outcome
    )


async def _end(transaction: StoreTransaction, command: TrackedCommand, outcome: CommandOutcome, now: datetime) -> None:
    if await commands.settle(transaction, command, outcome, now):

        async def note(_context: ServiceContext) -> None:
            metrics.tracked_ended.labels(outcome.outcome.value).inc()

        transaction.after_commit(note)


def _not_loaded(queue: str, error: Exception) -> None:
    reason = str(error) if isinstance(error, StoreUnavailableError) else type(error).__name__
    _log.warning("tracked_commands.not_loaded", queue=queue, reason=reason)


def _rejected(identity: str, request: CommandRequest, reason: Reason, description: str = "") -> CommandOutcome:
    return CommandOutcome(
        command_id=request.command_id,
        identity=identity,
        action=request.action,
        outcome=OutcomeKind.REJECTED,
        reason=reason.value,
        description=description,
        tracked=True,
    )


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
