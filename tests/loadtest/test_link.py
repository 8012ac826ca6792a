"""Registration, reconnection, and messages that outlive a connection."""

import asyncio
import gc
from base64 import b64encode

import pytest

from loadtest.rpc import ConnectionLost

HOUR = 3600.0


async def test_a_pending_charge_point_waits_asks_again_and_says_nothing_else_meanwhile(csms, plug_in):
    csms.boots.extend([("Pending", 1), ("Rejected", 1), ("Accepted", 3600)])
    point = await plug_in("1.6")
    await csms.until(lambda: "StatusNotification" in csms.actions())
    assert csms.actions()[:3] == ["BootNotification"] * 3
    assert point.ledger.boots == 3
    assert point.ledger.protocol_errors == 0


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_a_car_that_comes_while_the_boot_is_pending_is_not_authorized_by_the_server(csms, plug_in, version):
    csms.boots.append(("Pending", 3600))
    point = await plug_in(version, online=False)
    await point.observer.until(lambda: point.registration == "Pending")
    assert await point.charge(1, "DEMO-0001", HOUR) == "charged"
    assert csms.actions() == ["BootNotification"]


async def test_a_boot_without_an_answer_is_sent_again(csms, plug_in):
    csms.fates["BootNotification"].extend(["silence", "refuse"])
    point = await plug_in("1.6", call_timeout_s=0.4, behaviour={"boot_retry_s": 1.0})
    assert csms.actions()[:3] == ["BootNotification"] * 3
    assert point.ledger.timeouts == {"BootNotification": 1}
    assert point.ledger.call_errors == {"InternalError": 1}


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_a_mere_reconnect_boots_nothing_and_reports_nothing_unchanged(csms, plug_in, version):
    point = await plug_in(version)
    await csms.until(lambda: point.connectors[1].reported is not None)
    await point.disconnect()
    await csms.until(lambda: csms.connections == 2)
    await point.wait_online()
    await point.charge(1, "DEMO-0001", HOUR / 60)
    await point.wait_drained()
    second = [message.action for message in csms.received if message.connection == 2]
    assert csms.actions().count("BootNotification") == 1
    assert second[0] == "StatusNotification"
    assert point.ledger.reconnects == 1
    assert point.ledger.lost == 0


async def test_a_call_cut_off_while_it_is_sent_leaves_no_future_unseen(csms, plug_in, caplog):
    point = await plug_in("1.6")
    await csms.until(lambda: point.connectors[1].reported is not None)
    rpc = point._rpc
    rpc._connection.pause_writing()  # as when the send buffer is full
    call = asyncio.create_task(rpc.call("Heartbeat", {}))
    while rpc._outstanding is None:  # noqa: ASYNC110 - turns of the loop, not time
        await asyncio.sleep(0)
    csms.peers["CP 1/ä"]._connection.transport.abort()
    with pytest.raises(ConnectionLost):
        await call
    del call
    gc.collect()
    await csms.until(lambda: csms.connections == 2)
    assert "never retrieved" not in caplog.text


async def test_heartbeats_follow_the_interval_of_the_boot_answer(csms, plug_in):
    csms.boots.append(("Accepted", 2))
    point = await plug_in("1.6")
    await csms.until(lambda: csms.actions(without=()).count("Heartbeat") >= 3)
    assert point.configuration.text("HeartbeatInterval") == "2"


async def test_basic_credentials_are_identity_and_raw_bytes(csms, plug_in):
    await plug_in("1.6", password=b"\xff\x00secret")
    expected = b64encode("CP 1/ä".encode() + b":\xff\x00secret").decode()
    assert csms.headers[0]["Authorization"] == f"Basic {expected}"


async def test_a_refused_transaction_message_is_sent_again_in_order(csms, plug_in):
    csms.fates["StartTransaction"].extend(["refuse", "refuse"])
    point = await plug_in("1.6")
    await point.charge(1, "DEMO-0001", HOUR / 10)
    await point.wait_drained()
    actions = csms.actions(without=("Heartbeat", "StatusNotification", "BootNotification", "Authorize"))
    assert actions == ["StartTransaction"] * 3 + ["MeterValues"] * 5 + ["StopTransaction"]
    assert point.ledger.call_errors == {"InternalError": 2}
    assert point.ledger.lost == 0


async def test_a_start_refused_for_good_is_given_up_and_the_rest_goes_without_an_id(csms, plug_in):
    csms.fates["StartTransaction"].extend(["refuse"] * 3)
    point = await plug_in("1.6")
    await point.charge(1, "DEMO-0001", HOUR / 10)
    await point.wait_drained()
    assert len(csms.of("StartTransaction")) == 3
    assert {payload["transactionId"] for payload in csms.of("MeterValues")} == {-1}
    assert [payload["transactionId"] for payload in csms.of("StopTransaction")] == [-1]
    assert point.ledger.dropped == {"StartTransaction attempts": 1}
    assert point.ledger.lost == 2  # the message, and the transaction that was never confirmed


async def test_a_timeout_uses_up_no_attempt_unless_told_so(csms, plug_in):
    csms.fates["StartTransaction"].extend(["silence"] * 3)
    point = await plug_in("1.6", call_timeout_s=0.4, behaviour={"transaction_attempts": 2})
    await point.charge(1, "DEMO-0001", HOUR / 10)
    await point.wait_drained()
    assert len(csms.of("StartTransaction")) == 4
    assert point.ledger.timeouts == {"StartTransaction": 3}
    assert point.ledger.lost == 0


async def test_a_timeout_uses_up_an_attempt_when_told_so(csms, plug_in):
    csms.fates["StopTransaction"].extend(["silence"] * 2)
    point = await plug_in("1.6", call_timeout_s=0.4, behaviour={"timeouts_count": True, "transaction_attempts": 2})
    await point.charge(1, "DEMO-0001", HOUR / 10)
    await point.wait_drained()
    assert point.ledger.dropped == {"StopTransaction attempts": 1}
    assert point.ledger.unsettled == 1


async def test_a_disconnection_in_mid_transaction_loses_and_reorders_nothing(csms, plug_in):
    csms.fates["MeterValues"].extend(["answer", "cut", "answer", "cut"])
    csms.fates["StopTransaction"].append("cut")
    point = await plug_in("1.6", message_ids="counter")
    await point.charge(1, "DEMO-0001", HOUR / 4)
    await point.wait_drained()
    stamps = [payload["meterValue"][0]["timestamp"] for payload in csms.of("MeterValues")]
    assert stamps == sorted(stamps)
    assert len(set(stamps)) == 14
    assert len(stamps) == 16  # the two that were cut came again
    assert len(csms.of("StopTransaction")) == 2
    assert point.ledger.lost == 0
    assert point.ledger.reconnects == 3
    assert len(csms.of("BootNotification")) == 1
    assert csms.received[0].unique_id == "1"
    assert next(message.unique_id for message in csms.received if message.connection == 2) == "1"
    kept = [sample.timestamp for sample in point.ledger.samples if sample.action == "MeterValues"]
    assert kept == sorted(set(stamps))


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_a_session_begun_and_ended_offline_is_delivered_later_with_its_own_times(csms, plug_in, version):
    point = await plug_in(version)
    await csms.until(lambda: point.connectors[1].reported is not None)
    csms.accept = False
    await point.disconnect()
    assert await point.charge(1, "DEMO-0001", HOUR / 4) == "charged"
    assert not point.online
    assert len(point.queue) > 3
    csms.accept = True
    await point.wait_drained()
    (record,) = point.ledger.transactions
    assert record.start_confirmed
    assert record.stop_confirmed
    assert point.ledger.lost == 0
    if version == "1.6":
        assert [payload["timestamp"] for payload in csms.of("StartTransaction")] == [record.started_at]
        assert [payload["timestamp"] for payload in csms.of("StopTransaction")] == [record.stopped_at]
    else:
        assert all(event["offline"] for event in csms.of("TransactionEvent"))
        assert record.confirmed_seq_nos == list(range(len(record.confirmed_seq_nos)))


async def test_a_server_that_is_away_is_called_again_with_back_off(csms, plug_in):
    csms.accept = False
    point = await plug_in("1.6", online=False)
    await csms.until(lambda: csms.turned_away >= 4)
    csms.accept = True
    async with asyncio.timeout(20):
        await point.wait_online()
    assert csms.actions().count("BootNotification") == 1
