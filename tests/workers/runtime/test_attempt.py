"""An attempt at a batch: made by the time it is now, and whatever the payload looks like."""

from datetime import timedelta

import pytest

from contracts.broker import Delivery
from contracts.envelope import CallEnvelope, ReplyEnvelope
from contracts.versions import Version
from tests.support.incoming_calls import NOW, call
from tests.support.worker_store import all_rows, migrated_store
from workers.authorization.service import service
from workers.metering.service import service as metering
from workers.runtime.attempt import CallAttempt, Work
from workers.runtime.calls import incoming
from workers.runtime.gate import RegistrationGate
from workers.runtime.reading import write_time
from workers.settings import WorkerSettings
from workers.store import tables
from workers.store.provisioning import apply_plan, read_plan

TOKENS = f'[[tokens]]\nid_token = "A"\nexpires = {(NOW + timedelta(seconds=60)).isoformat()}'


async def test_a_call_that_waited_is_answered_by_the_time_it_is_now(sqlite_database_url):
    async with migrated_store(sqlite_database_url) as store:
        async with store.transaction() as transaction:
            await apply_plan(transaction, read_plan(TOKENS), NOW)
        later = NOW + timedelta(seconds=60)
        gate = RegistrationGate(create_unknown=True)
        attempt = CallAttempt(service(WorkerSettings()), store, gate, lambda: later)
        calls = [call("Heartbeat", {}), call("Authorize", {"idTag": "A"}, identity="CP-2")]
        done = await attempt.run([Work(Delivery("", ""), 1, one) for one in calls])
    bodies = [ReplyEnvelope.decode(answer.body) for answer in done.answers if answer is not None]
    assert write_time(later).encode() in bodies[0].payload
    assert b"Expired" in bodies[1].payload


@pytest.mark.parametrize("depth", [190, 240, 255, 1000])
async def test_billing_data_is_stored_and_confirmed_however_deep_it_is_nested(sqlite_database_url, depth):
    deep = '{"a":[' * (depth // 2) + "1" + "]}" * (depth // 2)
    data = f'{{"transactionId":-1,"meterStop":5,"timestamp":"2026-05-01T11:00:00Z","transactionData":[{deep}]}}'
    frame = f'[2,"1","StopTransaction",{data}]'.encode()
    envelope = CallEnvelope("CP-1", Version.V16, "g", "s", 1, "1", "StopTransaction", frame, 0)
    async with migrated_store(sqlite_database_url) as store:
        attempt = CallAttempt(metering(WorkerSettings()), store, RegistrationGate(create_unknown=True), lambda: NOW)
        (answer,) = (await attempt.run([Work(Delivery("", ""), 1, incoming(envelope, NOW, NOW))])).answers
        (parked,) = await all_rows(store, tables.parked_messages)
    assert answer is not None
    assert ReplyEnvelope.decode(answer.body).payload == b"{}"
    assert parked["payload"]["meterStop"] == 5
