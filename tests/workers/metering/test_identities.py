"""Whose data it is, the gateway alone says: a payload that names somebody else changes nothing."""

import pytest

from contracts.versions import Version
from tests.support.incoming_calls import call
from tests.support.worker_store import all_rows, handle, migrated_store
from workers.metering.service import service
from workers.settings import WorkerSettings
from workers.store import tables
from workers.store.outbox import outbox

METERING = service(WorkerSettings())
EVIL = {"identity": "CP-EVIL", "chargePointId": "CP-EVIL", "customData": {"vendorId": "V", "identity": "CP-EVIL"}}
VALUES = [{"timestamp": "2026-05-01T11:59:00Z", "sampledValue": [{"value": "1", "identity": "CP-EVIL"} | EVIL]}]


@pytest.mark.parametrize(
    ("action", "payload", "version"),
    [
        ("MeterValues", {"connectorId": 1, "meterValue": VALUES}, Version.V16),
        ("StartTransaction", {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": "2026-05-01T11:59:00Z"},
         Version.V16),
        ("TransactionEvent", {"eventType": "Started", "timestamp": "2026-05-01T11:59:00Z", "seqNo": 0, "meterValue": [],
                              "triggerReason": "CablePluggedIn", "transactionInfo": {"transactionId": "t1"} | EVIL},
         Version.V201),
    ],
)  # fmt: skip
async def test_rows_and_events_belong_to_the_session(sqlite_database_url, action, payload, version):
    incoming = call(action, payload | EVIL, version=version)
    async with migrated_store(sqlite_database_url) as store:
        await handle(store, METERING, incoming)
        for table in (tables.transactions, tables.meter_samples, tables.transaction_events, outbox):
            assert {row["identity"] for row in await all_rows(store, table)} <= {incoming.identity}
    assert incoming.identity != "CP-EVIL"
