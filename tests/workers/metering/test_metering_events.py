"""Events of billing data: each effect told once, whatever is retried."""

from typing import Any

from contracts.versions import Version
from tests.support.incoming_calls import call
from tests.support.worker_store import handle, migrated_store, told
from workers.metering.service import service
from workers.runtime.calls import Answer
from workers.settings import WorkerSettings

METERING = service(WorkerSettings())
START = {"connectorId": 1, "idTag": "A", "meterStart": 1000, "timestamp": "2026-05-01T11:59:00Z"}


def meter(*values, number=None) -> dict[str, Any]:
    sampled = [{"value": str(value), "measurand": "Voltage"} for value in values]
    times = [
        {"timestamp": f"2026-05-01T11:59:{second:02}Z", "sampledValue": [one]} for second, one in enumerate(sampled)
    ]
    return {"connectorId": 1, "meterValue": times} | ({"transactionId": number} if number else {})


async def begin(store, payload) -> int:
    reply = await handle(store, METERING, call("StartTransaction", payload))
    assert isinstance(reply, Answer)
    return int(reply.payload["transactionId"])


async def test_a_16_transaction_begins_and_ends_once(database_url):
    async with migrated_store(database_url) as store:
        for _ in range(2):
            number = await begin(store, START)
        stop = {"transactionId": number, "meterStop": 3500, "timestamp": "2026-05-01T12:30:00Z"}
        data = {"transactionData": meter(230, number=number)["meterValue"]}
        await handle(store, METERING, call("MeterValues", meter(230, number=number)))
        for _ in range(2):
            await handle(store, METERING, call("StopTransaction", stop | data, after_s=1900))
        found = await told(store)
    assert [one["event"] for one in found] == ["transaction.started", "meter.sampled", "transaction.ended"]
    started, sampled, ended = found
    assert (started["transaction_id"], started["token_status"], started["meter_start_wh"]) == (
        str(number),
        "Invalid",
        1000,
    )
    assert started["occurred_at"].isoformat() == "2026-05-01T11:59:00+00:00"
    assert (sampled["transaction_id"], sampled["connector_id"]) == (str(number), 1)
    assert (ended["energy_wh"], ended["state"], ended["corrects"]) == (2500, "ended", False)


async def test_a_16_transaction_whose_stop_was_lost_is_told_as_abandoned_and_its_late_stop_corrects_that(database_url):
    async with migrated_store(database_url) as store:
        first = await begin(store, START)
        again = START | {"timestamp": "2026-05-01T12:00:00Z"}
        await handle(store, METERING, call("StartTransaction", again))
        stop = {"transactionId": first, "meterStop": 1500, "timestamp": "2026-05-01T11:59:30Z"}
        await handle(store, METERING, call("StopTransaction", stop))
        ended = await told(store, "transaction.ended")
    assert [(one["transaction_id"], one["state"], one["corrects"]) for one in ended] == [
        (str(first), "abandoned", False),
        (str(first), "ended", True),
    ]


async def test_only_samples_that_are_new_are_told(database_url):
    async with migrated_store(database_url) as store:
        for count in (1, 1, 2):
            await handle(store, METERING, call("MeterValues", meter(*range(230, 230 + count))))
        async with store.transaction() as transaction:  # and within one transaction
            handler = METERING.handlers[Version.V16, "MeterValues"]
            for _ in range(2):
                await handler(call("MeterValues", meter(230, 231, 232)), transaction)
        sampled = await told(store, "meter.sampled")
    assert [[sample["value"] for sample in one["samples"]] for one in sampled] == [[230], [231], [232]]
    assert sampled[0]["samples"][0] | {"sampled_at": ""} == {
        "sampled_at": "",
        "measurand": "Voltage",
        "value": 230,
        "unit": "V",
        "phase": None,
        "context": "Sample.Periodic",
        "location": "Outlet",
    }


def event(kind, seq, second, *, register=None) -> dict[str, Any]:
    payload = {
        "eventType": kind,
        "timestamp": f"2026-05-01T11:59:{second:02}Z",
        "triggerReason": "Authorized",
        "seqNo": seq,
        "transactionInfo": {"transactionId": "T1"},
        "evse": {"id": 2, "connectorId": 1},
    }
    if register is not None:
        payload["meterValue"] = [{"timestamp": payload["timestamp"], "sampledValue": [{"value": register}]}]
    return payload


async def test_a_2x_transaction_is_told_in_whatever_order_it_comes_and_corrected_when_it_must_be(database_url):
    started = event("Started", 0, 1, register=100)
    ended = event("Ended", 2, 30, register=900)
    async with migrated_store(database_url) as store:
        for payload in (ended, ended, started, started, event("Updated", 1, 10, register=400)):
            await handle(store, METERING, call("TransactionEvent", payload, version=Version.V201))
        found = [one for one in await told(store) if one["event"] != "meter.sampled"]
    assert [(one["event"], one.get("energy_wh"), one.get("corrects")) for one in found] == [
        ("transaction.ended", 0, False),
        ("transaction.started", None, None),
        ("transaction.ended", 800, True),
    ]
