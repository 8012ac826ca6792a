"""Whole sessions against a server made of the ocpp package."""

from datetime import datetime
from itertools import pairwise

import pytest

from tests.loadtest.csms import Csms

HOUR = 3600.0


def statuses(csms: Csms, key: str) -> list[str]:
    return [payload[key] for payload in csms.of("StatusNotification")]


async def test_a_16_session_is_authorized_started_metered_and_stopped(csms, plug_in):
    point = await plug_in("1.6")
    assert await point.charge(1, "DEMO-0001", HOUR) == "charged"
    await point.wait_drained()
    await csms.until(lambda: statuses(csms, "status")[-1] == "Available" and len(statuses(csms, "status")) == 6)

    actions = csms.actions(without=("Heartbeat", "StatusNotification"))
    assert actions[:3] == ["BootNotification", "Authorize", "StartTransaction"]
    assert actions[3:-1] == ["MeterValues"] * 59
    assert actions[-1] == "StopTransaction"
    assert statuses(csms, "status") == ["Available", "Available", "Preparing", "Charging", "Finishing", "Available"]
    assert csms.received[0].identity == "CP 1/ä"

    (record,) = point.ledger.transactions
    (start,), (stop,) = csms.of("StartTransaction"), csms.of("StopTransaction")
    assert (record.transaction_id, record.start_confirmed, record.stop_confirmed) == (1, True, True)
    assert (record.meter_start_wh, record.meter_stop_wh) == (start["meterStart"], stop["meterStop"])
    assert stop["transactionId"] == 1
    assert [value["sampledValue"][0]["context"] for value in stop["transactionData"]] == [
        "Transaction.Begin",
        "Transaction.End",
    ]
    hours = (datetime.fromisoformat(record.stopped_at) - datetime.fromisoformat(record.started_at)).seconds / HOUR
    assert hours >= 0.99  # a busy machine makes it longer, never shorter
    assert 9_000 < record.energy_wh <= 11_000 * hours
    assert point.ledger.lost == 0
    assert point.ledger.protocol_error_notes == []


async def test_a_charge_point_that_finishes_waits_for_the_answer_to_its_last_notice(csms, plug_in):
    point = await plug_in("1.6", call_timeout_s=0.4)
    await csms.until(lambda: statuses(csms, "status") == ["Available", "Available"])
    csms.fates["StatusNotification"].extend(["answer"] * 3 + ["silence"])
    await point.charge(1, "DEMO-0001", HOUR)
    assert await point.finish(20)
    assert statuses(csms, "status")[-1] == "Available"
    assert point.ledger.timeouts == {"StatusNotification": 1}


async def test_the_ledger_holds_exactly_the_samples_that_the_server_confirmed(csms, plug_in):
    point = await plug_in("1.6")
    await point.charge(1, "DEMO-0001", HOUR / 4)
    await point.wait_drained()
    sent = {
        (value["timestamp"], sampled["context"], sampled["measurand"], sampled.get("phase"), sampled["value"])
        for payload in csms.of("MeterValues")
        for value in payload["meterValue"]
        for sampled in value["sampledValue"]
    }
    kept = [
        (sample.timestamp, sample.context, *reading)
        for sample in point.ledger.samples
        if sample.action == "MeterValues"
        for reading in sample.readings
    ]
    assert len(kept) == len(set(kept))
    assert set(kept) == sent
    assert {sample.transaction_id for sample in point.ledger.samples} == {1}


async def test_samples_carry_every_phase_and_energy_is_the_integral_of_power(csms, plug_in):
    point = await plug_in("1.6")
    await point.charge(1, "DEMO-0001", HOUR)
    await point.wait_drained()
    points = []
    for payload in csms.of("MeterValues"):
        (value,) = payload["meterValue"]
        by_key = {(s["measurand"], s.get("phase")): float(s["value"]) for s in value["sampledValue"]}
        assert {phase for measurand, phase in by_key if measurand == "Current.Import"} == {"L1", "L2", "L3"}
        assert {phase for measurand, phase in by_key if measurand == "Voltage"} == {"L1-N", "L2-N", "L3-N"}
        assert 10 <= by_key["SoC", None] <= 100
        moment = datetime.fromisoformat(value["timestamp"])
        points.append(
            (moment, by_key["Power.Active.Import", None], by_key["Energy.Active.Import.Register", None])
        )  # fmt: skip
    for (t0, p0, e0), (t1, p1, e1) in pairwise(points):
        assert t0 < t1
        assert e1 - e0 == pytest.approx((p0 + p1) / 2 * (t1 - t0).total_seconds() / 3600, abs=1.1)


async def test_a_201_session_is_one_numbered_chain_of_transaction_events(csms, plug_in):
    point = await plug_in("2.0.1")
    assert await point.charge(1, "DEMO-0001", HOUR / 2) == "charged"
    await point.wait_drained()

    events = csms.of("TransactionEvent")
    assert [event["seqNo"] for event in events] == list(range(len(events)))
    assert [event["eventType"] for event in events] == ["Started", *["Updated"] * (len(events) - 2), "Ended"]
    assert len({event["transactionInfo"]["transactionId"] for event in events}) == 1
    assert events[0]["idToken"] == {"idToken": "DEMO-0001", "type": "ISO14443"}
    assert events[0]["evse"] == {"id": 1, "connectorId": 1}
    assert events[1]["transactionInfo"]["chargingState"] == "Charging"
    assert events[2]["triggerReason"] == "MeterValuePeriodic"
    assert events[-1]["transactionInfo"]["stoppedReason"] == "Local"
    assert "offline" not in events[0]

    (record,) = point.ledger.transactions
    assert record.transaction_id == events[0]["transactionInfo"]["transactionId"]
    assert record.confirmed_seq_nos == list(range(len(events)))
    assert record.energy_wh > 0
    assert len(point.ledger.samples) == sum(1 for event in events if "meterValue" in event)
    assert point.ledger.lost == 0
    assert point.ledger.protocol_error_notes == []


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_a_blocked_tag_starts_nothing(csms, plug_in, version):
    csms.blocked.add("DEMO-0002")
    point = await plug_in(version)
    assert await point.charge(1, "DEMO-0002", HOUR) == "refused"
    assert not csms.of("StartTransaction")
    assert not csms.of("TransactionEvent")
    assert point.ledger.transactions == []
    assert point.ledger.sessions == {"refused": 1}


@pytest.mark.parametrize(("version", "action"), [("1.6", "StopTransaction"), ("2.0.1", "TransactionEvent")])
async def test_a_tag_refused_at_the_start_ends_the_transaction_deauthorized(csms, plug_in, version, action):
    csms.blocked_at_start.add("DEMO-0003")
    point = await plug_in(version)
    await point.charge(1, "DEMO-0003", 1000 * HOUR)
    await point.wait_drained()
    (record,) = point.ledger.transactions
    assert (record.id_status, record.reason) == ("Blocked", "DeAuthorized")
    last = csms.of(action)[-1]
    assert last.get("reason") == "DeAuthorized" or last["transactionInfo"]["stoppedReason"] == "DeAuthorized"


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_a_fault_ends_the_transaction_and_heals(csms, plug_in, version):
    point = await plug_in(version, behaviour={"fault_probability": 1.0})
    await point.charge(1, "DEMO-0001", HOUR)
    await point.wait_drained()
    key = "status" if version == "1.6" else "connectorStatus"
    await csms.until(lambda: "Faulted" in statuses(csms, key) and statuses(csms, key)[-1] == "Available")
    (record,) = point.ledger.transactions
    assert record.reason == "Other"
    assert record.stop_confirmed
    if version == "1.6":
        (fault,) = (payload for payload in csms.of("StatusNotification") if payload["status"] == "Faulted")
        assert fault["errorCode"] != "NoError"
        assert fault["vendorErrorCode"].startswith("E-")
    else:
        (event,) = csms.of("NotifyEvent")
        assert event["eventData"][0]["techCode"].startswith("E-")
