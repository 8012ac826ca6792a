"""What effects and background work of a service may use."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from contracts.tracing import Tracing
from workers.runtime.commands import Commander
from workers.runtime.publisher import Publisher
from workers.settings import WorkerSettings
from workers.store.engine import Store


def utc_now() -> datetime:
    """The wall clock, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """The shared parts of one running service; all of them outlive every effect and background task."""

    store: Store
    commander: Commander
    publisher: Publisher
    settings: WorkerSettings
    now: Callable[[], datetime] = utc_now
    tracing: Tracing | None = None
    """None while tracing is off."""
