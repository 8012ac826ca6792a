"""DataTransfer: which vendors and messages are answered how, and what was sent."""

from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select

from workers.store.engine import StoreTransaction
from workers.store.tables import data_transfer_vendors, data_transfers
from workers.store.upserts import insert_new

_VENDOR = select(data_transfer_vendors).where(data_transfer_vendors.c.vendor_key == bindparam("wanted"))


async def answers_of(transaction: StoreTransaction, vendor_id: str) -> dict[str, tuple[str, str | None]]:
    """Status and data by case-folded message id ("" answers every message); empty for an unknown vendor."""
    rows = await transaction.rows(_VENDOR, {"wanted": vendor_id.casefold()})
    return {row.message_key: (row.status, row.data) for row in rows}


def record(
    transaction: StoreTransaction,
    delivery_key: str,
    identity: str,
    *,
    vendor_id: str,
    message_id: str | None,
    data: Any,
    status: str,
    received_at: datetime,
) -> None:
    """Keep what was transferred and how it was answered; a redelivery is kept once."""
    transaction.append(
        insert_new(data_transfers, transaction.dialect),
        {
            "delivery_key": delivery_key,
            "identity": identity,
            "vendor_id": vendor_id,
            "message_id": message_id,
            "data": data,
            "status": status,
            "received_at": received_at,
        },
    )
