"""Initial configuration: what charge points are to be told once accepted, and what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, select, update

from workers.store.engine import StoreTransaction
from workers.store.tables import configuration_pushes, initial_configuration
from workers.store.types import UtcTime
from workers.store.upserts import upsert

_WANTED = select(initial_configuration).where(initial_configuration.c.family == bindparam("wanted"))
_PUSHED = select(configuration_pushes).where(configuration_pushes.c.identity == bindparam("wanted"))
_pushes = configuration_pushes
_FINISH = (
    update(_pushes)
    .where(_pushes.c.identity == bindparam("who"), _pushes.c.key == bindparam("what"))
    .where(_pushes.c.value == bindparam("pushed"))
    .values(
        status=bindparam("now_is"),
        detail=bindparam("because"),
        finished_at=bindparam("at", type_=UtcTime),
        attempts=_pushes.c.attempts + 1,
    )
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A configuration value for charge points whose vendor and model match (`*`, `?`, letter case ignored)."""

    key: str
    value: str
    vendor_pattern: str
    model_pattern: str


@dataclass(frozen=True, slots=True)
class Push:
    """What became of a value: `status` is `requested`, the charge point's own word, or how the command ended."""

    key: str
    value: str
    status: str


async def wanted(transaction: StoreTransaction, family: str) -> Sequence[Wanted]:
    """All values for one family of OCPP versions (`1.6` or `2.x`), plain patterns first."""
    rows = await transaction.rows(_WANTED, {"wanted": family})
    found = [Wanted(row.key, row.value, row.vendor_pattern, row.model_pattern) for row in rows]
    return sorted(found, key=lambda want: (want.key, len(want.vendor_pattern) + len(want.model_pattern)))


async def pushes(transaction: StoreTransaction, identity: str) -> dict[str, Push]:
    """The last push of each key to this charge point."""
    rows = await transaction.rows(_PUSHED, {"wanted": identity})
    return {row.key: Push(row.key, row.value, row.status) for row in rows}


async def request(transaction: StoreTransaction, identity: str, values: dict[str, str], now: datetime) -> None:
    """Note that these values are about to be pushed."""
    rows = [
        {
            "identity": identity,
            "key": key,
            "value": value,
            "status": "requested",
            "requested_at": now,
            "finished_at": None,
        }
        for key, value in sorted(values.items())
    ]
    update_columns = ("value", "status", "requested_at", "finished_at")
    await transaction.run(upsert(_pushes, transaction.dialect, ("identity", "key"), update_columns), rows)


async def finish(transaction: StoreTransaction, identity: str, push: Push, detail: str, now: datetime) -> None:
    """Store how a push ended, unless another value was asked for meanwhile."""
    await transaction.run(
        _FINISH,
        {
            "who": identity,
            "what": push.key,
            "pushed": push.value,
            "now_is": push.status,
            "because": detail[:500],
            "at": now,
        },
    )
