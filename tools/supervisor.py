"""Starting again what has died, as a platform does."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from tools.nodes.faces import KillableBroker, NodeFailed
from tools.nodes.guarded import end_of
from tools.stack import OwnProcess

MOST_DEATHS = 5
FORGIVEN_AFTER_S = 30.0


class Supervisor:
    """Starts again our processes and our broker; gives up on one that dies too often without staying up in between.

    `look` does not wait for the broker, which takes seconds to start: a thread does that, and `close` waits for it.
    """

    def __init__(
        self,
        processes: Sequence[OwnProcess],
        broker: KillableBroker | None,
        tell: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._processes = processes
        self._broker = broker
        self._tell = tell
        self._clock = clock
        self._deaths: Counter[str] = Counter()
        self._died_at: dict[str, float] = {}
        self._starter = ThreadPoolExecutor(max_workers=1)
        self._starting: Future[None] | None = None

    def look(self) -> str | None:
        """Start again what has died; why that is hopeless, or None."""
        if self._broker is not None and (hopeless := self._look_at_broker(self._broker)) is not None:
            return hopeless
        for process in self._processes:
            if process.alive:
                continue
            if self._dies_too_often(process.name):
                return f"{process.name} keeps dying; the end of {process.log.name}:\n{end_of(process.log)}"
            self._tell(f"{process.name} has died and is started again; its queue keeps the Calls")
            process.release()
            process.start()
        return None

    def close(self) -> None:
        """Return once nothing is being started any more."""
        self._starter.shutdown()

    def _look_at_broker(self, broker: KillableBroker) -> str | None:
        if self._starting is None:
            if broker.running:
                return None
            if self._dies_too_often("RabbitMQ"):
                return "RabbitMQ keeps dying"
            self._tell("RabbitMQ has died and is started again; no socket and no Call is lost")
            self._starting = self._starter.submit(broker.start)
        if self._starting.done():
            started, self._starting = self._starting, None
            try:
                started.result()
            except NodeFailed as failed:
                return str(failed)
            self._tell("RabbitMQ is back, with all it had confirmed")
        return None

    def _dies_too_often(self, name: str) -> bool:
        now = self._clock()
        if now - self._died_at.get(name, now) >= FORGIVEN_AFTER_S:
            self._deaths[name] = 0
        self._died_at[name] = now
        self._deaths[name] += 1
        return self._deaths[name] > MOST_DEATHS
