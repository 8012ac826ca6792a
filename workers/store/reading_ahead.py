"""Transactions and their events read for a whole batch at once, where the database takes arrays."""

from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import text

from workers.store.plans import planned
from workers.store.tables import transaction_events, transactions
from workers.store.transaction import StoreTransaction


class StoredEvent(NamedTuple):
    """What is kept of a TransactionEvent for its retries."""

    reply: Any
    payload: Any


_EVENT_COLUMNS = ("identity", "transaction_ref", "event_key", "reply", "payload")
_EVENTS = planned(
    text(
        f"SELECT {', '.join(_EVENT_COLUMNS)} FROM transaction_events "  # noqa: S608 - names of our own
        "JOIN unnest(CAST(:who AS text[]), CAST(:ref AS text[]), CAST(:event AS text[])) AS wanted (who, ref, event) "
        "ON identity = who AND transaction_ref = ref AND event_key = event"
    ).columns(*(transaction_events.c[name] for name in _EVENT_COLUMNS))
)
_TRANSACTIONS = planned(
    text(
        f"SELECT {', '.join(f'transactions.{column.name}' for column in transactions.c)} "  # noqa: S608 - as above
        "FROM transactions JOIN unnest(CAST(:who AS text[]), CAST(:ref AS text[])) AS wanted (who, ref) "
        "ON transactions.identity = who AND natural_key = ref ORDER BY transactions.id FOR UPDATE OF transactions"
    ).columns(*transactions.c)
)


async def read(transaction: StoreTransaction, wanted: Collection[tuple[str, str, str]]) -> None:
    """Remember events and transactions by (identity, transactionId, event key), or that there are none.

    The transactions are locked until the commit. Nothing is read on SQLite, where a statement costs no round trip.
    """
    if transaction.dialect != "postgresql":
        return
    memory = transaction.memory
    for identity, reference, event_key in wanted:
        memory["event", identity, reference, event_key] = None
        memory["transaction", identity, reference] = None
    pairs = sorted({(identity, reference) for identity, reference, _ in wanted})
    who, references = (list(column) for column in zip(*pairs, strict=True))
    for row in await transaction.rows(_TRANSACTIONS, {"who": who, "ref": references}):
        remember(transaction, row._asdict())
    # Only now: what another replica stored, while its lock was waited for, is seen.
    who, references, keys = (list(column) for column in zip(*sorted(set(wanted)), strict=True))
    for row in await transaction.rows(_EVENTS, {"who": who, "ref": references, "event": keys}):
        memory["event", row.identity, row.transaction_ref, row.event_key] = StoredEvent(row.reply, row.payload)


def remember(transaction: StoreTransaction, row: dict[str, Any]) -> None:
    """Have the next one in this transaction who asks for the row get this."""
    key = ("transaction", row["identity"], row["natural_key"])
    transaction.memory[key] = row
    transaction.memory["number", str(row["id"])] = key


def forget(transaction: StoreTransaction, identity: str, natural_key: str) -> None:
    """Have the next one who asks look into the database."""
    transaction.memory.pop(("transaction", identity, natural_key), None)
