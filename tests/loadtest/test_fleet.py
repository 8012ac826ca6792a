"""Fleets, their metrics, and the command."""

import asyncio
import json
import re
import signal
import sys
from typing import Any
from urllib.request import urlopen

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.server import serve

from loadtest.cli import main
from loadtest.fleet import Fleet, Plan, tags_of
from loadtest.parsing import tag_list
from loadtest.settings import Behaviour, LinkSettings
from tests.loadtest.csms import Csms

FAST = {"protocol_speed": 100.0, "speed": 3_000.0, "session_s": 600.0, "pause_s": 600.0, "ramp_per_s": 1000.0}


def plan(csms: Csms, **options: Any) -> Plan:
    link = {"link": LinkSettings(url=csms.url, backoff_base_s=0.01)}
    return Plan(**(FAST | link | options))


async def test_a_mixed_fleet_runs_until_enough_transactions_and_loses_nothing(csms):
    fleet = Fleet(plan(csms, count=6, share_201=0.5, until_transactions=12, source_addresses=3))
    report = await fleet.run()
    assert report.completed >= 12
    assert report.failures() == []
    assert [ledger.version for ledger in report.ledgers] == ["1.6", "2.0.1"] * 3
    assert {message.identity for message in csms.received} == {f"SIM-{n:05d}" for n in range(1, 7)}
    starts = len(csms.of("StartTransaction"))
    starts += sum(1 for event in csms.of("TransactionEvent") if event["eventType"] == "Started")
    assert starts == report.completed == fleet.metrics.completed
    assert report.lines()[-1] == "nothing lost"


async def test_every_connector_of_a_charge_point_has_its_own_sessions(csms):
    fleet = Fleet(plan(csms, count=2, until_transactions=12, behaviour=Behaviour(connectors=3)))
    report = await fleet.run()
    assert report.failures() == []
    used = {(payload["connectorId"]) for payload in csms.of("StartTransaction")}
    assert used == {1, 2, 3}
    places = {
        (record.id_tag, ledger.identity, record.connector_id)
        for ledger in report.ledgers
        for record in ledger.transactions
    }
    assert len({tag for tag, _, _ in places}) == len(places)


async def test_a_fleet_ends_when_its_time_is_up_and_finishes_its_sessions(csms):
    fleet = Fleet(plan(csms, count=3, seconds=0.5, session_s=10_000_000.0, pause_s=0.0))
    report = await fleet.run()
    assert report.completed == len(csms.of("StartTransaction")) > 0
    assert {payload["reason"] for payload in csms.of("StopTransaction")} == {"Local"}
    assert report.failures() == []


async def test_a_fleet_whose_connections_are_all_cut_comes_back_and_loses_nothing(csms):
    fleet = Fleet(plan(csms, count=8, share_201=0.5, until_transactions=24))
    running = asyncio.create_task(fleet.run())
    for cuts in (40, 120):
        await csms.until(lambda cuts=cuts: len(csms.received) > cuts)
        for peer in list(csms.peers.values()):
            peer._connection.transport.abort()
    report = await running
    assert report.failures() == []
    assert sum(ledger.reconnects for ledger in report.ledgers) >= 8
    assert len(csms.of("BootNotification")) <= 8 + 8  # one each, and again where the cut came before its answer
    received = {
        (message.identity, value["timestamp"])
        for message in csms.received
        for value in message.payload.get("meterValue", []) + message.payload.get("transactionData", [])
    }
    confirmed = [
        (ledger.identity, sample.timestamp, sample.context) for ledger in report.ledgers for sample in ledger.samples
    ]
    assert len(confirmed) == len(set(confirmed))
    assert {(identity, stamp) for identity, stamp, _ in confirmed} == received


async def test_what_the_server_never_confirmed_is_reported_as_lost(csms):
    csms.fates["StopTransaction"].extend(["silence"] * 100)
    fleet = Fleet(plan(csms, count=1, pause_s=0.0, grace_s=0.3))
    running = asyncio.create_task(fleet.run())
    await csms.until(lambda: csms.of("StopTransaction"))
    fleet.stop()
    report = await running
    assert any("not confirmed at both ends" in failure for failure in report.failures())


async def test_a_fleet_that_reaches_nobody_has_failed(csms):
    fleet = Fleet(plan(csms, count=2, seconds=0.2, grace_s=0.1, link=LinkSettings(url="ws://127.0.0.1:1/ocpp")))
    report = await fleet.run()
    assert report.failures() == ["2 charge points whose boot was never answered"]
    refused = fleet.metrics.registry.get_sample_value("ocpp_sim_connect_failures_total", {"reason": "unreachable"})
    assert refused == sum(ledger.connect_failures["unreachable"] for ledger in report.ledgers) >= 2


async def test_a_crash_of_one_charge_point_is_reported_and_the_others_go_on(csms, monkeypatch):
    crashes: list[str] = []
    fleet = Fleet(plan(csms, count=2, until_transactions=3), lambda identity, _: crashes.append(identity))

    async def broken(*_args, **_options):
        raise RuntimeError("defect")

    monkeypatch.setattr(fleet.charge_points[0], "charge", broken)
    report = await fleet.run()
    assert crashes == ["SIM-00001"]
    assert "1 charge points that crashed" in report.failures()
    assert report.completed >= 3


async def test_the_metrics_count_what_the_ledgers_hold(csms):
    fleet = Fleet(plan(csms, count=2, until_transactions=4, behaviour=Behaviour(fault_probability=0.5)))
    server, port = fleet.metrics.serve(0)
    try:
        report = await fleet.run()
        text = await asyncio.to_thread(lambda: urlopen(f"http://127.0.0.1:{port}/metrics").read().decode())
    finally:
        server.shutdown()
        server.server_close()
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    energy_wh = sum(ledger.energy_wh for ledger in report.ledgers)
    calls = sum(ledger.results.total() for ledger in report.ledgers)
    assert float(lines['ocpp_sim_transactions_total{result="completed"}']) == report.completed
    assert float(lines["ocpp_sim_energy_wh_total"]) == energy_wh
    assert float(lines['ocpp_sim_frames_total{direction="out"}']) >= calls
    counted = sum(float(value) for name, value in lines.items() if name.startswith("ocpp_sim_roundtrip_seconds_count"))
    assert counted == calls
    for state in ("offline", "available", "charging"):
        assert float(lines[f'ocpp_sim_charge_points{{state="{state}"}}']) == 0
    for name in ("reconnects", "call_timeouts", "protocol_errors"):
        assert float(lines[f"ocpp_sim_{name}_total"]) == 0


@settings(deadline=None)
@given(st.integers(1, 50), st.integers(1, 50))
def test_connectors_share_a_tag_only_when_there_are_too_few(slots, count):
    tags = tuple(f"T{number}" for number in range(count))
    used = [tag for slot in range(slots) for tag in tags_of(slot, slots, tags)]
    assert set(used) == set(tags[: max(slots, count)])
    assert count < slots or len(used) == len(set(used))


def test_a_range_of_tags_keeps_its_digits():
    assert tag_list("A, DEMO-0008..0011") == ("A", "DEMO-0008", "DEMO-0009", "DEMO-0010", "DEMO-0011")


async def command(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "loadtest", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_the_command_one_prints_every_frame_of_one_transaction(csms, tmp_path, version):
    ledger = tmp_path / "ledger.json"
    process = await command(
        "one", "--url", csms.url, "--version", version, "--speed", "5000", "--json", str(ledger), "--id-tags", "TAG-9"
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, err) == (0, b"")
    text = out.decode()
    assert "nothing lost" in text
    calls, answers = (sum(line.startswith(mark) for line in text.splitlines()) for mark in ("-> [2,", "<- [3,"))
    assert calls == answers == len(csms.received)
    assert f"frames           in {answers}, out {calls}\n" in text
    (point,) = json.loads(ledger.read_text())["charge_points"]
    assert (point["identity"], point["completed"], point["lost"]) == ("SIM-ONE", 1, 0)
    assert point["transactions"][0]["id_tag"] == "TAG-9"
    assert point["samples"][0]["readings"]


async def test_the_command_one_leaves_after_its_boot_when_no_more_is_asked_for(csms):
    process = await command("one", "--url", csms.url, "--boot-only")
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, err) == (0, b""), out
    assert csms.actions()[0] == "BootNotification"
    assert not csms.of("StartTransaction")
    csms.boots.append(("Rejected", 3600))
    process = await command("one", "--url", csms.url, "--boot-only", "--seconds", "1")
    _, err = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, err) == (1, b"no BootNotification was accepted\n")


async def test_the_command_one_says_why_it_cannot_connect_and_when_it_tries_again(csms):
    async with serve(csms.handler, "127.0.0.1", 0, process_request=lambda c, _: c.respond(404, "")) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        process = await command("one", "--url", url, "--grace-seconds", "0")
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 30)
        process.send_signal(signal.SIGTERM)
        out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert re.fullmatch(rb"!! cannot connect: HTTP 404; again in \d+\.\d s\n", line)
    assert b"failed HTTP 404" in out


async def test_the_command_fleet_ends_cleanly_on_sigterm(csms):
    process = await command(
        "fleet", "--url", csms.url, "--count", "5", "--ramp", "1000", "--speed", "1000", "--metrics-port", "0",
        "--session-seconds", "100000", "--pause-seconds", "0", "--grace-seconds", "20",
    )  # fmt: skip
    await csms.until(lambda: len(csms.of("StartTransaction")) == 5)
    process.send_signal(signal.SIGTERM)
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0
    assert out.decode().startswith("metrics: http://127.0.0.1:")
    assert len(csms.of("StopTransaction")) == 5


async def test_the_command_says_1_when_a_tag_was_refused_and_no_transaction_came(csms):
    csms.blocked.add("BAD")
    process = await command("one", "--url", csms.url, "--speed", "5000", "--id-tags", "BAD")
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 1
    assert b"FAILED           1 transactions missing" in out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["fleet"], "--url"),
        (["fleet", "--url", "http://x"], "ws://"),
        (["fleet", "--url", "ws://x", "--count", "0"], "not from 1"),
        (["fleet", "--url", "ws://x", "--count", "many"], "not a number"),
        (["fleet", "--url", "ws://x", "--share-201", "2"], "not from 0 to 1"),
        (["one", "--url", "ws://x", "--id-tags", "x" * 21], "at most 20"),
        (["one", "--url", "ws://x", "--json", "/nonexistent/x"], "a folder that exists"),
        (["one", "--url", "ws://x", "--json", "/"], "a folder that exists"),
        (["two"], "invalid choice"),
    ],
)
def test_bad_arguments_are_named_and_end_with_2(capsys, arguments, complaint):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err
