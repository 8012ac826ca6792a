"""Month partitions of meter samples (PostgreSQL): made ahead of time, so that the default one stays small."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from workers.store.engine import Store, StoreTransaction

_LOCK = 0x4F435050
"""One process at a time makes partitions."""
# by the owner's hand: the role of a service has no right to make tables
_MAKE = text("SELECT ocpp_make_sample_partition(:month)")


@dataclass(slots=True)
class Partitions:
    """Which partitions were missing: those made, and those that cannot be (the default one holds their rows)."""

    made: list[str] = field(default_factory=list)
    impossible: list[str] = field(default_factory=list)


def month_after(moment: datetime, months: int) -> datetime:
    """The first moment (UTC) of the month that is so many months after this one."""
    index = moment.year * 12 + moment.month - 1 + months
    return datetime(index // 12, index % 12 + 1, 1, tzinfo=UTC)


async def make_partitions(store: Store, now: datetime, *, ahead: int = 2) -> Partitions:
    """Make the partitions of this month and the next ones, where they are missing. Nothing on SQLite.

    A month of which the default partition holds rows already (a charge point ahead of its time) stays there.
    Raises StoreUnavailableError, also when the table stays locked for 2 s.
    """
    done = Partitions()
    if store.dialect != "postgresql":
        return done
    for months in range(ahead + 1):
        begin = month_after(now, months)
        name = f"meter_samples_{begin:%Y_%m}"
        try:
            async with store.transaction() as transaction:
                if await _make(transaction, begin):
                    done.made.append(name)
        except IntegrityError:
            done.impossible.append(name)
    return done


async def _make(transaction: StoreTransaction, begin: datetime) -> bool:
    await transaction.run(text("SET LOCAL lock_timeout = '2s'"))
    await transaction.run(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    row = await transaction.first(_MAKE, {"month": begin.date()})
    return row is not None and bool(row[0])
