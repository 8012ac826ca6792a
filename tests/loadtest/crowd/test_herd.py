"""Charge points at work against the scripted server, which checks every Call against the schemas."""

import pytest
from ocpp.v16 import call as call16

from loadtest.crowd.orders import Load, Order
from loadtest.roundtrips import RoundTrips
from tests.support.calling import until


async def test_all_boot_report_and_beat(csms, grazing):
    async with grazing(10, share_201=0.5, heartbeat_s=0.05) as (herd, _):
        await until(lambda: herd.tally.answers["Heartbeat"] >= 20)
        assert (herd.tally.connected, herd.tally.booted, herd.tally.opened) == (10, 10, 10)
        assert herd.tally.answers["BootNotification"] == 10
        assert not herd.tally.errors
        assert {message.identity for message in csms.received} == {f"LOAD-{number}" for number in range(10)}
        assert herd.tally.answers["StatusNotification"] == 5 * 2 + 5


@pytest.mark.parametrize("share_201", [0.0, 1.0])
async def test_the_mix_is_valid_and_everything_is_confirmed_at_the_end(csms, grazing, share_201):
    async with grazing(20, share_201=share_201) as (herd, ticks):
        await until(lambda: herd.tally.booted == 20)
        herd.obey(Order(what="load", load=Load(kind="mix", rate=400)))
        await until(lambda: herd.tally.stop_confirmed >= 2 and ticks)
        herd.obey(Order(what="finish"))
        await until(lambda: ticks[-1].finished)
        tally = herd.tally
        assert tally.started == tally.start_confirmed == tally.stop_confirmed > 2
        assert (tally.open_transactions, tally.unconfirmed) == (0, 0)
        assert not tally.errors
        if not share_201:
            assert len({message["transactionId"] for message in csms.of("StopTransaction")}) == tally.started


async def test_an_open_loop_keeps_its_rate_and_counts_from_the_time_to_be_sent(csms, grazing):
    async with grazing(4, call_timeout_s=1.0) as (herd, ticks):
        await until(lambda: herd.tally.booted == 4 and not herd.in_flight and not herd.tally.waiting)
        csms.fates["Heartbeat"].extend(["silence"] * 2)
        herd.obey(Order(what="load", load=Load(kind="heartbeat", rate=40)))
        await until(lambda: herd.tally.errors["timeout"] == 2 and len(ticks) > 3)
        await until(lambda: herd.tally.waiting == 0)
        histogram = RoundTrips()
        await until(lambda: sum(tick.answers.get("Heartbeat", 0) for tick in ticks[-1:]) > 60)
        for tick in ticks:
            histogram.merge(RoundTrips.of(tick.latency.get("Heartbeat", {})))
        assert histogram.longest_s > 0.8  # those that waited behind the unanswered ones have waited since their time
        sent = sum(herd.tally.calls.values())
        assert sent >= histogram.count


async def test_a_closed_loop_has_so_many_in_flight_and_no_more(csms, grazing):
    async with grazing(6) as (herd, _):
        await until(lambda: herd.tally.booted == 6 and not herd.in_flight)
        herd.obey(Order(what="load", load=Load(kind="meter_values", active=2)))
        await until(lambda: herd.tally.answers["MeterValues"] > 50)
        assert herd.tally.started == 2
        assert len({message.identity for message in csms.received if message.action == "MeterValues"}) == 2
        herd.obey(Order(what="load", load=Load()))
        await until(lambda: not herd.in_flight)


@pytest.mark.parametrize("share_201", [0.0, 1.0])
@pytest.mark.parametrize("fate", ["cut", "silence", "refuse"])
async def test_billing_data_is_repeated_in_order_with_the_same_words(csms, grazing, monkeypatch, share_201, fate):
    monkeypatch.setattr("loadtest.crowd.point.RETRY_MS", 20)
    action = "TransactionEvent" if share_201 else "StartTransaction"
    async with grazing(1, share_201=share_201, call_timeout_s=0.5) as (herd, _):
        await until(lambda: herd.tally.booted == 1 and not herd.in_flight)
        csms.fates[action].extend([fate] * 2)
        herd.obey(Order(what="load", load=Load(kind="meter_values", active=1)))
        await until(lambda: herd.tally.start_confirmed and len(csms.received) > 10)
        sent = csms.of(action)[:3]
        assert sent[0] == sent[1] == sent[2]
        ids = [message.unique_id for message in csms.received]
        assert len(set(ids)) == len(ids)
        assert herd.tally.answers["BootNotification"] == 1  # a mere reconnect does not boot
        assert herd.tally.reconnected == (2 if fate == "cut" else 0)
        assert herd.tally.cut_off == herd.tally.ended["1006"] == herd.tally.reconnected


async def test_the_number_of_a_transaction_is_in_what_follows_even_after_a_cut(csms, grazing):
    async with grazing(1) as (herd, _):
        await until(lambda: herd.tally.booted == 1 and not herd.in_flight)
        csms.fates["MeterValues"].extend(["answer", "cut"])
        herd.obey(Order(what="load", load=Load(kind="meter_values", active=1)))
        await until(lambda: len(csms.of("MeterValues")) > 4)
        values = csms.of("MeterValues")
        assert {value["transactionId"] for value in values} == {1}
        assert values[1] == values[2]
        stamps = [value["meterValue"][0]["timestamp"] for value in values]
        assert sorted(set(stamps)) == [stamps[0], stamps[1], *stamps[3:]]


async def test_a_power_cut_ends_transactions_and_makes_all_boot_again(csms, grazing):
    async with grazing(5) as (herd, ticks):
        await until(lambda: herd.tally.booted == 5 and not herd.in_flight)
        herd.obey(Order(what="load", load=Load(kind="meter_values", rate=100)))
        await until(lambda: herd.tally.start_confirmed == 5)
        herd.obey(Order(what="load", load=Load()))
        herd.obey(Order(what="cut"))
        assert (herd.tally.connected, herd.tally.booted) == (0, 0)
        await until(lambda: herd.tally.booted == 5 and herd.tally.stop_confirmed == 5)
        assert [stop["reason"] for stop in csms.of("StopTransaction")] == ["PowerLoss"] * 5
        assert herd.tally.answers["BootNotification"] == 10
        assert not herd.tally.ended
        await until(lambda: ticks and ticks[-1].reconnected == 5 and ticks[-1].longest_away_s == 0.0)


async def test_a_pending_boot_is_repeated_after_its_interval_and_nothing_else_is_sent(csms, grazing):
    csms.boots.extend([("Pending", 1), ("Accepted", 300)])
    async with grazing(1) as (herd, _):
        await until(lambda: herd.tally.booted == 1 and not herd.in_flight)
        assert csms.actions()[:3] == ["BootNotification", "BootNotification", "StatusNotification"]
        assert herd.tally.errors == {"refused BootNotification": 1}


async def test_a_refused_tag_is_counted_and_so_is_nonsense(csms, grazing):
    csms.blocked.add("DEMO-0001")
    csms.fates["MeterValues"].extend(['raw:[3,"$ID"]', 'raw:[3,"77",{}]', "raw:{}"])
    async with grazing(1, call_timeout_s=0.5) as (herd, _):
        await until(lambda: herd.tally.booted == 1 and not herd.in_flight)
        herd.obey(Order(what="load", load=Load(kind="meter_values", active=1)))
        await until(lambda: herd.tally.answers["MeterValues"] > 2)
        assert herd.tally.errors["refused StartTransaction"] == 1
        assert herd.tally.errors["unreadable"] == 2
        assert herd.tally.errors["unexpected"] == 1


async def test_the_turned_away_wait_and_come_back(csms, grazing):
    csms.accept = False
    async with grazing(3, ramp_per_s=10_000) as (herd, ticks):
        await until(lambda: herd.tally.refused["503"] >= 6)
        csms.accept = True
        await until(lambda: herd.tally.booted == 3)
        assert herd.tally.outlasted == 0
        await until(lambda: ticks and ticks[-1].booted == 3)


async def test_commands_are_answered_while_calls_are_in_flight(csms, grazing):
    async with grazing(1) as (herd, _):
        await until(lambda: herd.tally.booted == 1 and not herd.in_flight)
        peer = csms.peers["LOAD-0"]
        answer = await peer.call(call16.RemoteStartTransaction(id_tag="REMOTE"))
        assert answer.status == "Accepted"
        await until(lambda: herd.tally.start_confirmed == 1)
        assert csms.of("StartTransaction")[0]["idTag"] == "REMOTE"
        answer = await peer.call(call16.RemoteStopTransaction(transaction_id=1))
        assert answer.status == "Accepted"
        await until(lambda: herd.tally.stop_confirmed == 1)
        beats = herd.tally.answers["Heartbeat"]
        answer = await peer.call(call16.TriggerMessage(requested_message="Heartbeat"))
        assert answer.status == "Accepted"
        await until(lambda: herd.tally.answers["Heartbeat"] > beats)
        answer = await peer.call(call16.GetDiagnostics(location="ftp://x"), suppress=True)
        assert answer is None
        assert herd.tally.commands["GetDiagnostics"] == 1
