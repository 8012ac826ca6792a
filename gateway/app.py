"""A gateway put together: listener, edge, broker link, monitor, and the way from start to exit."""

import asyncio
import contextlib
import gc
import signal

import structlog

from contracts import schemas
from contracts.broker import BrokerLink, PrivateQueue
from contracts.process.monitor import Monitor
from contracts.topology import ADMISSION_CHANGED, GATEWAYS, SESSIONS
from contracts.tracing import Tracing
from gateway.allocator import Trimmer, glibc
from gateway.clock import Clock
from gateway.drain import SETTLE_SHARE, drain
from gateway.edge import Edge
from gateway.entrance import Entrance
from gateway.errors import CertificateFileError, ListenError
from gateway.listener import Listener
from gateway.settings import GatewaySettings
from gateway.tls import Tls

TICK_S = 0.2


class Gateway:
    """One gateway process. `start` opens ports and connects, `stop` drains, `close` ends everything at once."""

    def __init__(self, settings: GatewaySettings, tracing: Tracing | None = None) -> None:
        """Reads the files of TLS; raises CertificateFileError."""
        self.settings = settings
        self.edge = Edge(settings, Clock(), tracing)
        listener = Listener(self.edge)
        self.link = BrokerLink(
            settings.amqp_url.get_secret_value(),
            listener,
            name=f"ocpp-gateway {settings.gateway_id}",
            private_queue=PrivateQueue(
                f"ocpp.gateway.{settings.gateway_id}",
                ((GATEWAYS, settings.gateway_id), (SESSIONS, ""), (ADMISSION_CHANGED, "")),
            ),
            heartbeat_s=settings.amqp_heartbeat_seconds,
            declare=settings.amqp_declares,
            files=settings.amqp_files,
        )
        listener.attach(self.link)
        self.monitor = Monitor(settings.monitor_host, settings.monitor_port)
        files = settings.tls_files
        self.tls = Tls(files, look_seconds=settings.tls_reload_seconds) if files else None
        """None: this gateway neither serves TLS nor believes certificates that proxies pass on."""
        self._entrance = Entrance(settings, self.edge, self.tls)
        self.port = settings.listen_port
        """The port charge points use without TLS; the one really taken once started."""
        self.tls_port = settings.tls_listen_port
        """The same with TLS; None without."""
        self._tasks: list[asyncio.Task[None]] = []
        self._frame_log: asyncio.Task[None] | None = None
        self._log = structlog.get_logger()
        self._add_checks()

    async def start(self) -> None:
        """Listen and start connecting to the broker; raises ListenError. Compiles all schemas first (0.2 s)."""
        schemas.compile_all()
        settings = self.settings
        try:
            await self.monitor.start()
            await self._entrance.open()
        except OSError as error:
            await self.close()
            raise ListenError(f"cannot listen: {error}") from error
        self.port, self.tls_port = self._entrance.port, self._entrance.tls_port
        self._tasks = [
            asyncio.create_task(self.link.run(), name="broker-link"),
            asyncio.create_task(self._tick(), name="tick"),
        ]
        if self.tls is not None:
            self._tasks.append(asyncio.create_task(self.tls.watch(), name="tls-watch"))
        if self.edge.frame_log.enabled:
            self._frame_log = asyncio.create_task(self.edge.frame_log.run(), name="frame-log")
        self._log.info(
            "gateway.started",
            gateway=settings.gateway_id,
            port=self.port,
            tls_port=self.tls_port,
            monitor_port=self.monitor.port,
        )

    async def failed(self) -> BaseException | None:
        """Return when a task that must not end has ended; its exception, if that is why."""
        ended, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        return ended.pop().exception()

    async def stop(self) -> None:
        """Refuse new sockets, finish what is in flight, close the rest at a pace; then `close`."""
        await self._entrance.close()
        await drain(self.edge)
        self.edge.announcements.leave()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.drain_grace_seconds * SETTLE_SHARE):
                await asyncio.gather(self.link.settled(), self.edge.frame_log.settled())
        unsafe = sum(1 for _ in self.edge.relay.unconfirmed_transactions())
        if unsafe:
            self._log.error("gateway.lost_calls", transaction_calls=unsafe)
        await self.close()

    async def close(self) -> None:
        """Release everything, at once: sockets are aborted."""
        await self._entrance.close()
        for connection in self.edge.everyone():
            connection.abort("gateway ended")
        self.edge.announcements.stop()
        self.edge.frame_log.stop()
        tasks, self._tasks = self._tasks, []
        if self._frame_log is not None:
            tasks.append(self._frame_log)
            self._frame_log = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.monitor.stop()

    async def _tick(self) -> None:
        trimmer = Trimmer(glibc())
        while True:
            await asyncio.sleep(TICK_S)
            try:
                self.edge.tick()
                trimmer.tick(self.edge.clock.now(), self.edge.turnover)
            except Exception:  # noqa: BLE001 - outermost shell: a gateway without time would hang all its sockets
                self._log.exception("tick.failed")

    def _add_checks(self) -> None:
        edge, settings = self.edge, self.settings
        ready = self.monitor.ready
        ready("broker", self._broker_problem)
        ready("draining", lambda: "draining" if edge.draining else None)
        ready("connections", lambda: "full" if len(edge.registry) >= settings.max_connections else None)
        ready("window", lambda: "full" if edge.relay.full else None)

    def _broker_problem(self) -> str | None:
        if not self.link.up:
            return "not connected"
        return "blocks publishers" if self.link.blocked else None


async def serve(settings: GatewaySettings, stop: asyncio.Event, tracing: Tracing | None = None) -> int:
    """Run a gateway until `stop` is set; returns the exit code."""
    try:
        gateway = Gateway(settings, tracing)
        await gateway.start()
    except (ListenError, CertificateFileError) as error:
        structlog.get_logger().error("gateway.not_started", problem=str(error))
        return 1
    loop = asyncio.get_running_loop()
    if gateway.tls is not None:
        loop.add_signal_handler(signal.SIGHUP, gateway.tls.reload_soon)
    # What was made so far stays: to look through it again and again is what makes a full collection long.
    gc.collect()
    gc.freeze()
    try:
        stopping = asyncio.create_task(stop.wait())
        failing = asyncio.create_task(gateway.failed())
        await asyncio.wait({stopping, failing}, return_when=asyncio.FIRST_COMPLETED)
        broken = failing.done()
        if broken:
            structlog.get_logger().critical("gateway.task_ended", exc_info=failing.result())
        for waiter in (stopping, failing):
            waiter.cancel()
        await gateway.stop()
        if broken:
            return 1
        structlog.get_logger().info("gateway.stopped")
        return 0
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        await gateway.close()
