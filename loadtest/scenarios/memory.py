"""Memory per socket: what the gateways hold with sockets more than without."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loadtest.scenarios.running import Run

_WARM_POINTS = 200
_KB = 1024
LIMIT_KB = 8.0
LIMIT_TLS_KB = 32.0


async def gateway_bytes(run: Run) -> float | None:
    """What all gateways hold now (RSS); None when one of them does not tell: the others' sum would be too low."""
    usage = await asyncio.to_thread(run.system.usage)
    names = _gateways(run)
    return sum(usage[name].rss_bytes for name in names) if names and all(name in usage for name in names) else None


def expected(run: Run) -> bool:
    """Whether there are gateways that should tell; a run in which they do not has failed to measure."""
    return bool(_gateways(run))


def _gateways(run: Run) -> list[str]:
    return [part.name for part in run.system.parts if part.kind == "gateway"]


@asynccontextmanager
async def warmed(run: Run) -> AsyncIterator[float | None]:
    """Have a few charge points connected throughout, and give what the gateways hold with these alone.

    What the first connections cost is not what each costs; and were these few to leave again, the next would move into
    the memory that they left.
    """
    count = min(_WARM_POINTS, run.options.charge_points)
    async with run.crowd(count, name="first few:", prefix=f"{run.options.prefix}-FIRST") as crowd:
        await crowd.settle(run.options.settle_seconds)
        yield await gateway_bytes(run)


def kb_per_connection(before: float | None, after: float | None, sockets: int) -> float | None:
    """The difference, for each socket."""
    return None if before is None or after is None or not sockets else (after - before) / sockets / _KB


def limit_kb(run: Run) -> float:
    """What one idle socket may take."""
    return LIMIT_TLS_KB if run.urls[0].startswith("wss:") else LIMIT_KB
