"""What the store holds of a run's transactions."""

from dataclasses import dataclass

from sqlalchemy import func, select

from tools.nodes.sql import in_own_loop
from workers.store.engine import Store
from workers.store.tables import transactions

_t = transactions.c
_BY_STATE = select(_t.state, func.count()).group_by(_t.state)
_ALIKE = (
    select(func.count().label("times"))
    .select_from(transactions)
    .group_by(_t.identity, _t.reference, _t.evse_id, _t.connector_id, _t.started_at, _t.meter_start_wh)
    .having(func.count() > 1)
    .subquery()
)
_DOUBLE = select(func.coalesce(func.sum(_ALIKE.c.times - 1), 0))


@dataclass(frozen=True, slots=True)
class Recorded:
    """Transactions in the store; `double`: those that tell of one charge a second time."""

    open: int = 0
    ended: int = 0
    double: int = 0

    def since(self, before: "Recorded") -> "Recorded":
        """What has come since then; transactions that were open before and have ended count as both."""
        return Recorded(self.open - before.open, self.ended - before.ended, self.double - before.double)


def recorded(database_url: str) -> Recorded:
    """Count them; StoreUnavailableError when the database does not answer."""

    async def count() -> Recorded:
        store = Store(database_url, pool_size=1)
        try:
            async with store.transaction(read_only=True) as transaction:
                states: dict[str, int] = dict(map(tuple, await transaction.rows(_BY_STATE)))
                double = await transaction.first(_DOUBLE)
        finally:
            await store.close()
        return Recorded(states.get("active", 0), states.get("ended", 0), int(double[0]) if double else 0)

    counted: Recorded = in_own_loop(count())
    return counted
