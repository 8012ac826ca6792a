"""A running service: the broker link and its listener, the lanes, the monitor, and an end in good order."""

import asyncio
import contextlib
import importlib
import random
import time
import zlib
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import structlog

from contracts import topology
from contracts.actions import Service
from contracts.broker import BrokerLink, Consumer, Delivery, PrivateQueue, Returned
from contracts.envelope import CallEnvelope
from contracts.errors import EnvelopeError
from contracts.process.monitor import Monitor
from contracts.process.settings import Registration
from contracts.tracing import Tracing
from workers import metrics
from workers.runtime.attempt import CallAttempt, RequestAttempt, Work
from workers.runtime.calls import BackgroundWork, ServiceDefinition, incoming
from workers.runtime.commands import Commander
from workers.runtime.context import ServiceContext, utc_now
from workers.runtime.effects import EffectRunner
from workers.runtime.gate import RegistrationGate
from workers.runtime.lanes import Lane
from workers.runtime.publisher import Publisher
from workers.runtime.tracing import attributes_of
from workers.settings import WorkerSettings
from workers.store.engine import Store

STORE_CHECK_S = 2.0
STUCK_AFTER_S = 5.0
RESTART_MOST_S = 60.0
STABLE_AFTER_S = 300.0


def definition_of(service: Service, settings: WorkerSettings) -> ServiceDefinition:
    """The service's handlers, imported by name: services know nothing of each other."""
    module = importlib.import_module(f"workers.{service.value}.service")
    definition: ServiceDefinition = module.service(settings)
    return definition


def _calls_consumer(definition: ServiceDefinition, *, prefetch: int) -> list[Consumer]:
    return [Consumer(topology.calls_queue(definition.service), prefetch)] if definition.takes_calls else []


class Application:
    """One service of one process; it is the broker link's listener.

    `run` serves until the event is set, then finishes what is in hand. It holds the link, the monitor's port and
    `store`'s connections while it runs; closing the store is the caller's.
    """

    def __init__(
        self,
        definition: ServiceDefinition,
        settings: WorkerSettings,
        store: Store,
        *,
        now: Callable[[], datetime] = utc_now,
        tracing: Tracing | None = None,
    ) -> None:
        self._definition = definition
        self._settings = settings
        self._store = store
        self._now = now
        self._tracing = tracing
        self._service = definition.service.value
        self._log = structlog.get_logger().bind(service=self._service)
        plan = definition.attachment
        lanes = settings.lanes if definition.takes_calls else 0
        queues = definition.request_queues()
        self._link = BrokerLink(
            settings.amqp_url.get_secret_value(),
            self,
            name=f"ocpp-worker {self._service}",
            consumers=(
                *_calls_consumer(definition, prefetch=2 * lanes * settings.batch_calls),
                *(Consumer(queue, prefetch=max(100, 2 * definition.together.get(queue, 1))) for queue in queues),
                *(() if plan is None else plan.consumers),
            ),
            private_queue=PrivateQueue(f"ocpp.outcomes.{self._service}", () if plan is None else plan.bindings),
            heartbeat_s=settings.amqp_heartbeat_seconds,
            declare=settings.amqp_declares,
            files=settings.amqp_files,
        )
        self._attachment = None if plan is None else plan.make(self._link)
        self._own_queues = frozenset(() if plan is None else (consumer.queue for consumer in plan.consumers))
        self._commander = Commander(self._link, outstanding=settings.commands_outstanding)
        self._publisher = Publisher(self._link)
        self._context = ServiceContext(store, self._commander, self._publisher, settings, now, tracing)
        self._effects = EffectRunner(self._service, side_by_side=settings.commands_outstanding)
        gate = RegistrationGate(create_unknown=settings.registration is Registration.OPEN)
        calls = CallAttempt(definition, store, gate, now)
        self._lanes = [self._lane(calls, settings.batch_calls) for _ in range(lanes)]
        self._requests = {
            queue: self._lane(RequestAttempt(handler, store, now), definition.together.get(queue, 1))
            for queue, handler in queues.items()
        }
        """A lane for each queue: what is slow in one must not hold up the others."""
        self._connection = 0
        self._store_problem: str | None = "not checked yet"
        self.monitor = Monitor(settings.monitor_host, settings.monitor_port)
        self.monitor.ready("broker", lambda: None if self._link.up else "not connected")
        self.monitor.ready("store", lambda: self._store_problem)
        self.monitor.ready("lanes", self._stuck)
        if self._attachment is not None:
            for name, check in self._attachment.checks().items():
                self.monitor.ready(name, check)
        self.ready = asyncio.Event()
        """Set while the broker link is up."""

    def _lane(self, attempt: CallAttempt | RequestAttempt, most: int) -> Lane:
        return Lane(
            self._service,
            self._link,
            attempt,
            self._effects,
            gather_s=self._settings.batch_milliseconds / 1000 if most > 1 else 0,
            most=most,
            retry_max_s=self._settings.retry_max_seconds,
            connection=lambda: self._connection,
        )

    async def run(self, stop: asyncio.Event) -> int:
        """Serve until `stop` is set; the exit code."""
        try:
            await self.monitor.start()
        except OSError as error:
            await self.monitor.stop()
            self._log.error("worker.not_started", problem=f"cannot listen: {error}")
            return 1
        self._log.info(
            "worker.started", monitor_port=self.monitor.port, lanes=len(self._lanes), store=self._store.dialect
        )
        metrics.count_from_zero(self._service)
        metrics.waiting.labels(self._service).set_function(self._unsettled)
        lanes = [asyncio.create_task(lane.run()) for lane in self._all_lanes()]
        beside = [asyncio.create_task(work) for work in self._beside()]
        stopping = asyncio.create_task(stop.wait())
        try:
            # Nothing here ends by itself; what does so has failed, and the process with it.
            done, _ = await asyncio.wait([stopping, *lanes, *beside], return_when=asyncio.FIRST_COMPLETED)
            failed = [task for task in done if task is not stopping]
            if not failed:
                await self._finish(lanes)
            for task in failed:
                self._log.error("worker.failed", exc_info=task.exception())
            return 1 if failed else 0
        finally:
            for lane in self._all_lanes():
                lane.close()
            for task in (stopping, *lanes, *beside):
                task.cancel()
            await asyncio.gather(stopping, *lanes, *beside, return_exceptions=True)
            await self.monitor.stop()
            self._log.info("worker.stopped")

    def _all_lanes(self) -> list[Lane]:
        return [*self._lanes, *self._requests.values()]

    def _unsettled(self) -> int:
        return sum(map(len, self._lanes))

    def _stuck(self) -> str | None:
        """A database that answers may still take no work: a full disk, a lock, a missing right."""
        since = [lane.paused_since for lane in self._all_lanes() if lane.paused_since is not None]
        stuck = bool(since) and time.monotonic() - min(since) > STUCK_AFTER_S
        return "the store takes no work" if stuck else None

    def _beside(self) -> list[Coroutine[Any, Any, None]]:
        background = [self._kept_running(work) for work in self._definition.background]
        attached = [] if self._attachment is None else [self._attachment.run(self._context)]
        return [*attached, self._link.run(), self._effects.run(self._context), self._watch_store(), *background]

    async def _finish(self, lanes: list[asyncio.Task[None]]) -> None:
        self._log.info("worker.stopping", waiting=self._unsettled())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.grace_seconds):
                await self._link.cancel_consumers()
                for lane in self._all_lanes():
                    lane.drain()
                if lanes:
                    await asyncio.wait(lanes)
                if self._attachment is not None:
                    await self._attachment.drain()
                await self._link.settled()

    # the link's listener

    def link_up(self) -> None:
        self._connection += 1
        if self._attachment is not None:
            self._attachment.link_up()
        self.ready.set()

    def link_down(self) -> None:
        self._connection += 1  # what is in hand belongs to the past from now on
        self.ready.clear()
        for lane in self._all_lanes():
            lane.drop_waiting()
        if self._attachment is not None:
            self._attachment.link_down()
        self._commander.link_lost()
        self._publisher.link_lost()

    def delivered(self, delivery: Delivery) -> None:
        if delivery.queue == self._link.reply_queue:
            if self._attachment is None or not self._attachment.private(delivery):
                self._commander.answered(delivery)
        elif self._attachment is not None and delivery.queue in self._own_queues:
            self._attachment.delivered(delivery)
        elif delivery.queue in self._requests:
            self._requests[delivery.queue].add(Work(delivery, self._connection))
        else:
            self._take_call(delivery)

    def _take_call(self, delivery: Delivery) -> None:
        try:
            envelope = CallEnvelope.decode(delivery.body)
            received_at = datetime.fromtimestamp(envelope.received_ms / 1000, UTC)
            call = incoming(envelope, received_at, received_at)
        except (EnvelopeError, ValueError, OverflowError, OSError) as error:
            self._log.error("call.unreadable", queue=delivery.queue, reason=str(error))
            metrics.dead_lettered.labels(self._service, "envelope").inc()
            self._link.reject(delivery, requeue=False)
            return
        span = None
        if self._tracing is not None:
            span = self._tracing.processing(delivery, delivery.queue, attributes_of, call)
        lane = self._lanes[zlib.crc32(call.identity.encode()) % len(self._lanes)]
        lane.add(Work(delivery, self._connection, call, span))

    def returned(self, message: Returned) -> None:
        if self._attachment is None or not self._attachment.returned(message):
            self._commander.returned(message)

    def confirmed(self, token: object) -> None:
        """Replies need no confirm (no token): the ack that follows them on the same channel does that."""
        self._publisher.confirmed(token)
        if self._attachment is not None:
            self._attachment.confirmed(token)

    def refused(self, token: object) -> None:
        """A reply that its queue has no room for is lost with the gateway's own bound; nothing to do about it here."""
        self._commander.refused(token)
        self._publisher.refused(token)
        if self._attachment is not None:
            self._attachment.refused(token)

    def flow_changed(self) -> None:
        """Replies are bounded by the prefetch."""

    # beside the lanes

    async def _watch_store(self) -> None:
        while True:
            reachable = await self._store.reachable()
            self._store_problem = None if reachable else "database does not answer"
            metrics.store_reachable.set(int(reachable))
            await asyncio.sleep(STORE_CHECK_S)

    async def _kept_running(self, work: BackgroundWork) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            try:
                await work(self._context)
            except Exception as error:  # noqa: BLE001 - the outermost shell of background work
                self._log.error("background.failed", work=work.__name__, exc_info=error)
            failures = 0 if time.monotonic() - began > STABLE_AFTER_S else failures + 1
            await asyncio.sleep(min(RESTART_MOST_S, 2.0**failures) * random.uniform(0.5, 1))  # noqa: S311
