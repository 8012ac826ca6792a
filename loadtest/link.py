"""A charge point's standing with its server: connection, registration, heartbeat, and the queues that outlive both."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, ClassVar

from loadtest.clock import Clock
from loadtest.credentials import Credentials
from loadtest.ledger import Ledger
from loadtest.observer import Observer, Unobserved
from loadtest.rpc import Answer, CallFailed, CallTimeout, ConnectionLost, Rpc
from loadtest.schemas import to_payload
from loadtest.settings import Behaviour, LinkSettings
from loadtest.transaction_queue import Queued, TransactionQueue
from loadtest.transport import ConnectFailed, open_connection

Notice = Callable[[], Any]  # builds a payload dataclass when its turn has come, or None when it has become idle talk
_MOST_NOTICES = 200


class Link(ABC):
    """Keeps one charge point connected and registered for as long as `run` runs.

    It boots once per power cycle, not per connection; transaction messages wait in their queue across disconnections
    and power cycles; notices (everything else) are sent in order while online and forgotten otherwise.
    """

    version: ClassVar[str]
    subprotocol: ClassVar[str]

    def __init__(
        self,
        identity: str,
        settings: LinkSettings,
        behaviour: Behaviour | None = None,
        *,
        clock: Clock | None = None,
        rng: Random | None = None,
        ledger: Ledger | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.identity = identity
        self.settings = settings
        self.behaviour = behaviour or Behaviour()
        self.clock = clock or Clock()
        self.rng = rng or Random(identity)
        self.ledger = ledger or Ledger(identity, self.version)
        self.observer = observer or Unobserved()
        self.queue = TransactionQueue(self.behaviour.queue_limit)
        self.credentials = Credentials(identity, settings)
        self.registration: str | None = None
        self.heartbeat_interval_s: float = self.behaviour.heartbeat_default_s
        self._rpc: Rpc | None = None
        self._ready = asyncio.Event()
        self._boot_now = asyncio.Event()
        self._registering = False
        self._queued = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._notices: asyncio.Queue[Notice] = asyncio.Queue(_MOST_NOTICES)
        self._heartbeat_changed = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None

    # --- what a version decides

    @abstractmethod
    def boot_request(self) -> Any:
        """Build this version's BootNotification."""

    @abstractmethod
    def heartbeat_request(self) -> Any:
        """Build this version's Heartbeat."""

    @abstractmethod
    def reconnect_delay(self, failures: int) -> float:
        """Draw the seconds to wait before the next connection."""

    @abstractmethod
    def retry_policy(self) -> tuple[int, float]:
        """Give the attempts for a transaction message and the interval between them in seconds."""

    @abstractmethod
    def knows(self, action: str) -> bool:
        """Tell whether this charge point implements a Call of the server."""

    @abstractmethod
    def answer(self, action: str, payload: dict[str, Any]) -> Answer:
        """Decide on a Call of the server."""

    @abstractmethod
    def came_online(self) -> None:
        """Report what has changed while offline."""

    @abstractmethod
    def show_state(self) -> None:
        """Tell the observer which state this charge point is in."""

    # --- what the rest of the charge point uses

    @property
    def password(self) -> bytes | None:
        """The Basic password; a new one is shown on a new connection, once the Call that brought it is answered."""
        return self.credentials.password

    @password.setter
    def password(self, value: bytes | None) -> None:
        self.credentials.password = value

    def answered(self) -> None:
        if self.credentials.stale and self._rpc is not None:
            self.credentials.stale = False
            self.spawn(self.disconnect())

    @property
    def online(self) -> bool:
        return self._ready.is_set()

    async def wait_online(self) -> None:
        """Wait until connected and registered."""
        await self._ready.wait()

    async def wait_drained(self) -> None:
        """Wait until the server has confirmed every transaction message (or it was given up)."""
        await self._drained.wait()

    async def wait_told(self) -> None:
        """Wait until every notice was answered, was too slow, or was forgotten."""
        await self._notices.join()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Let work run beside the rest until `run` ends; a Call that fails ends it quietly, being counted already."""
        if self._tasks is None:
            work.close()
            return
        self._tasks.create_task(_forgiving(work))

    async def call(self, request: Any) -> dict[str, Any]:
        """Send a payload dataclass at once.

        Raises:
            CallFailed: offline, refused, too slow or cut off.

        """
        rpc = self._rpc
        if rpc is None:
            raise ConnectionLost
        return await rpc.call(type(request).__name__, to_payload(request))

    async def call_when_online(self, request: Any) -> dict[str, Any]:
        """Send a payload dataclass as soon as the server can be reached, again when the connection breaks meanwhile.

        Raises:
            CallFailed: refused or too slow.

        """
        while True:
            await self._ready.wait()
            rpc = self._rpc
            try:
                return await self.call(request)
            except ConnectionLost:
                if rpc is None:
                    self._ready.clear()
                else:
                    self._went_offline(rpc)

    def notify(self, notice: Notice) -> None:
        """Send something in its turn, without waiting; forgotten when offline or when too many wait."""
        if not self._notices.full():
            self._notices.put_nowait(notice)

    def enqueue(self, message: Queued) -> None:
        """Add a transaction message to the offline queue."""
        self._drained.clear()
        self.queue.put(message)
        self._queued.set()

    def breach(self, note: str) -> None:
        """Count a breach of the specification by the server."""
        self.ledger.protocol_error(note)
        self.observer.protocol_error(self.identity, note)

    def set_heartbeat(self, seconds: float) -> None:
        """Change the heartbeat interval from now on."""
        self.heartbeat_interval_s = seconds
        self._heartbeat_changed.set()

    async def restart(self) -> None:
        """Go through a power cycle: the connection ends, and the next one begins with a BootNotification."""
        self.registration = None
        await self.disconnect()

    async def disconnect(self, code: int = 1000) -> None:
        """Close the connection; `run` opens the next one after the back-off."""
        rpc = self._rpc
        if rpc is not None:
            self._went_offline(rpc)
            await rpc.close(code)

    async def send_boot(self) -> None:
        """Send a BootNotification now, because the server asked for one or is waited for."""
        rpc = self._rpc
        if self._registering:
            self._boot_now.set()
        elif rpc is not None:
            self.registration = None
            await self._register(rpc)

    async def run(self) -> None:
        """Stay connected until cancelled. Owns every task of this charge point; closes the connection at the end."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            tasks.create_task(self._stay_connected())
            tasks.create_task(self._send_queue())
            tasks.create_task(self._send_notices())
            tasks.create_task(self._send_heartbeats())

    # --- connection and registration

    async def _stay_connected(self) -> None:
        failures = 0
        while True:
            failed = None
            self.credentials.stale = False
            try:
                connection = await open_connection(self.identity, self.subprotocol, self.credentials, self.settings)
            except ConnectFailed as failure:
                failed = failure.reason
                self.ledger.connect_failures[failed] += 1
                failures += 1
            else:
                if self.ledger.connections:
                    self.ledger.reconnects += 1
                    self.observer.reconnect()
                self.ledger.connections += 1
                rpc = Rpc(connection, self.version, self.settings, self.ledger, self.observer, self, self.spawn)
                try:
                    await self._use(rpc)
                finally:
                    await connection.close()
                failures = 0 if rpc.got_results else failures + 1
            wait_s = self.clock.protocol_delay(self.reconnect_delay(failures))
            if failed is not None:
                self.observer.connect_failed(self.identity, failed, wait_s)
            await asyncio.sleep(wait_s)

    async def _use(self, rpc: Rpc) -> None:
        self._rpc = rpc
        try:
            async with asyncio.TaskGroup() as tasks:
                registering = tasks.create_task(self._register(rpc))
                await rpc.serve()
                registering.cancel()
        finally:
            self._went_offline(rpc)

    def _went_offline(self, rpc: Rpc) -> None:
        if self._rpc is rpc:
            self._rpc = None
            self._ready.clear()
            self.show_state()

    async def _register(self, rpc: Rpc) -> None:
        self._registering = True
        try:
            while self.registration != "Accepted":
                self._ready.clear()
                self._boot_now.clear()
                wait_s = await self._boot(rpc)
                self.show_state()
                if self.registration != "Accepted":
                    await first(self._boot_now, self.clock.protocol_delay(wait_s))
        except ConnectionLost:
            return
        finally:
            self._registering = False
        if self._rpc is rpc:
            self._ready.set()
            self.show_state()
            self.came_online()

    async def _boot(self, rpc: Rpc) -> float:
        request = self.boot_request()
        try:
            reply = await rpc.call("BootNotification", to_payload(request))
        except ConnectionLost:
            raise
        except CallFailed:
            return self.behaviour.boot_retry_s
        self.ledger.boots += 1
        status, interval = reply.get("status"), reply.get("interval")
        if status not in {"Accepted", "Pending", "Rejected"} or not isinstance(interval, int) or interval < 0:
            self.breach("BootNotification: status or interval unusable")
            return self.behaviour.boot_retry_s
        self.registration = status
        if status == "Accepted":
            self.set_heartbeat(interval or self.behaviour.heartbeat_default_s)
        return float(interval) or self.behaviour.boot_retry_s

    # --- what is sent without being asked

    async def _send_queue(self) -> None:
        while True:
            message = self.queue.head()
            if message is None:
                self._drained.set()
                self._queued.clear()
                await self._queued.wait()
                continue
            await self._ready.wait()
            rpc = self._rpc
            if rpc is None:
                self._ready.clear()
                continue
            try:
                reply = await rpc.call(message.action, message.build())
            except ConnectionLost:
                self._went_offline(rpc)
            except CallFailed as failure:
                attempts, interval_s = self.retry_policy()
                counts = self.behaviour.timeouts_count or not isinstance(failure, CallTimeout)
                wait_s = self.queue.fail(attempts, interval_s, counts=counts)
                if wait_s is not None:
                    await asyncio.sleep(self.clock.protocol_delay(wait_s))
            else:
                self.queue.confirm(reply)

    async def _send_notices(self) -> None:
        while True:
            notice = await self._notices.get()
            request = notice() if self.online else None
            if request is not None:
                await _forgiving(self._call_and_forget(request))
            self._notices.task_done()

    async def _send_heartbeats(self) -> None:
        while True:
            await self._ready.wait()
            self._heartbeat_changed.clear()
            if await first(self._heartbeat_changed, self.clock.protocol_delay(self.heartbeat_interval_s)):
                continue
            if self.online:
                await _forgiving(self._call_and_forget(self.heartbeat_request()))

    async def _call_and_forget(self, request: Any) -> None:
        await self.call(request)


async def _forgiving(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except CallFailed:
        return


async def first(event: asyncio.Event, delay_s: float) -> bool:
    """Wait for the event, but not longer than so many real seconds; tell whether it came."""
    try:
        async with asyncio.timeout(delay_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
