"""DataTransfer: answered by vendor and message as provisioned, and kept."""

from collections.abc import Mapping
from typing import Any

from contracts.versions import ErrorKind
from workers.runtime.calls import Answer, IncomingCall, Reply, refused
from workers.runtime.reading import read_text
from workers.store import data_transfer
from workers.store.engine import StoreTransaction


def transfer_reply(answers: Mapping[str, tuple[str, str | None]], message_id: str | None) -> dict[str, Any]:
    """The CALLRESULT payload; an unknown vendor gets no data (1.6 4.3)."""
    if not answers:
        return {"status": "UnknownVendorId"}
    found = answers.get((message_id or "").casefold()) or answers.get("")
    if found is None:
        return {"status": "UnknownMessageId"}
    status, data = found
    return {"status": status} if data is None else {"status": status, "data": data}


async def data_transfer_call(call: IncomingCall, store: StoreTransaction) -> Reply:
    """Answer as provisioned; what was sent is kept whatever the answer."""
    vendor_id, _ = read_text(call.payload.get("vendorId"))
    if vendor_id is None:
        return refused(call, ErrorKind.OCCURRENCE, "vendorId is required")
    message_id, _ = read_text(call.payload.get("messageId"))
    reply = transfer_reply(await data_transfer.answers_of(store, vendor_id), message_id)
    data_transfer.record(
        store,
        call.delivery_key(),
        call.identity,
        vendor_id=vendor_id,
        message_id=message_id,
        data=call.payload.get("data"),
        status=reply["status"],
        received_at=call.received_at,
    )
    return Answer(reply)
