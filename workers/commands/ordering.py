"""Work that must be done one after the other for each charge point, side by side for different ones."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import structlog

Job = Callable[[], Awaitable[None]]

_log = structlog.get_logger().bind(service="commands")


class Lines:
    """A queue for each charge point that has such work now; its jobs run in order, in a task of its own.

    Bounded by the prefetch: each job holds a delivery. `drop` ends everything, `close` awaits that too.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._jobs: dict[str, deque[Job]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, name: str) -> bool:
        return name in self._jobs

    def add(self, name: str, job: Job) -> None:
        """Queue a job behind those of the same name."""
        jobs = self._jobs.get(name)
        if jobs is not None:
            jobs.append(job)
            return
        jobs = self._jobs[name] = deque((job,))
        task = asyncio.create_task(self._run(name, jobs))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def drop(self) -> None:
        """Cancel what runs, and forget what waits."""
        self._jobs.clear()
        for task in self._tasks:
            if not task.cancelling():  # twice would leave a database connection half closed
                task.cancel()

    async def close(self) -> None:
        """Drop everything, and return once all tasks have ended."""
        self.drop()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, name: str, jobs: deque[Job]) -> None:
        while jobs:
            try:
                await jobs[0]()
            except Exception as error:  # noqa: BLE001 - the outermost shell of a job
                _log.error("command.job_failed", exc_info=error)
            jobs.popleft()
        if self._jobs.get(name) is jobs:
            del self._jobs[name]
        self._changed()
