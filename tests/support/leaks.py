"""Every asyncio task has an owner that awaits or cancels it: checked after each async test and its fixtures."""

import asyncio
import inspect
from collections.abc import AsyncIterator

import pytest

# Loop turns in which a task that was cancelled, or whose connection was closed, may come to its end.
_GRACE_TURNS = 20


@pytest.fixture(autouse=True)
def tasks_have_owners(request: pytest.FixtureRequest) -> None:
    """Check coroutine tests only: the others have no loop, and should not pay for one."""
    function = getattr(request, "function", None)
    if function is not None and inspect.iscoroutinefunction(function):
        request.getfixturevalue("_no_task_is_left")


@pytest.fixture
async def _no_task_is_left() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    for _ in range(_GRACE_TURNS):
        left = asyncio.all_tasks() - before - {asyncio.current_task()}
        if not left:
            return
        await asyncio.sleep(0)
    names = sorted(f"{task.get_name()}: {task.get_coro()!r}" for task in left)
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    pytest.fail("tasks were left pending:\n  " + "\n  ".join(names))
