"""Sums over the whole store, for people who want to see at a glance that something happens."""

from dataclasses import dataclass

from sqlalchemy import func, select

from workers.store.engine import StoreTransaction
from workers.store.tables import meter_samples, transactions

_STATE, _ENERGY = transactions.c.state, func.sum(transactions.c.energy_wh)
_BY_STATE = select(_STATE, func.count(), _ENERGY).group_by(_STATE)
_SAMPLES = select(func.count()).select_from(meter_samples)


@dataclass(frozen=True, slots=True)
class Totals:
    """Transactions by state, the energy of those that have ended, and all meter samples."""

    active: int = 0
    ended: int = 0
    energy_wh: float = 0.0
    samples: int = 0


async def totals(transaction: StoreTransaction) -> Totals:
    """Count everything; takes longer as the store grows."""
    states = {state: (count, energy or 0.0) for state, count, energy in map(tuple, await transaction.rows(_BY_STATE))}
    samples = await transaction.first(_SAMPLES)
    ended, energy_wh = states.get("ended", (0, 0.0))
    return Totals(states.get("active", (0, 0.0))[0], ended, float(energy_wh), samples[0] if samples else 0)
