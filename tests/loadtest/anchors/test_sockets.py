"""Each anchor that listens, in its own process, with a handful of sockets."""

import os
import signal

import orjson
import pytest

from loadtest.anchors.bodies import HEARTBEAT
from loadtest.anchors.child import AnchorFailed, Task, running
from loadtest.anchors.lockstep import Lockstep, Talk
from loadtest.anchors.sockets import ECHOES, Counts, csms, echo

COUNTS = Counts(few=2, many=12)
SAME = Talk(lambda number: HEARTBEAT % number, lambda number, payload: payload == HEARTBEAT % number)
MOMENT = b'"timestamp":"2026-01-05T08:00:00.000Z"'


@pytest.mark.parametrize("name", ECHOES)
async def test_an_echo_tells_its_cpu_rate_times_and_memory(name):
    found = {anchor.name.removeprefix(f"{name}_"): anchor for anchor in await echo(name, 0.2, COUNTS)}
    assert {name: anchor.unit for name, anchor in found.items()} == {
        "cpu_us_per_call": "µs",
        "calls_per_second": "Calls/s",
        "p50_ms": "ms",
        "p99_ms": "ms",
        "connects_per_second": "connects/s",
        "cpu_us_per_connect": "µs",
        "kb_per_connection": "KB",
    }
    assert all(anchor.value > 0 for key, anchor in found.items() if key != "kb_per_connection")
    assert found["cpu_us_per_call"].what.endswith("2 sockets")


async def test_the_csms_is_measured_with_few_and_with_many_charge_points():
    found = {anchor.name: anchor.value for anchor in await csms(0.2, COUNTS)}
    for name in ("ocpp_csms_2_heartbeat", "ocpp_csms_2_meter_values", "ocpp_csms_12_heartbeat"):
        assert found[f"{name}_cpu_us_per_call"] > 0
        assert found[f"{name}_calls_per_second"] > 0
    assert {"ocpp_csms_connects_per_second", "ocpp_csms_kb_per_connection"} <= set(found)


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("BootNotification", b'{"chargePointVendor":"A","chargePointModel":"B"}'),
        ("StatusNotification", b'{"connectorId":1,"errorCode":"NoError","status":"Available"}'),
        ("Authorize", b'{"idTag":"A"}'),
        ("StartTransaction", b'{"connectorId":1,"idTag":"A","meterStart":0,%b}' % MOMENT),
        ("MeterValues", b'{"connectorId":1,"meterValue":[{%b,"sampledValue":[{"value":"1"}]}]}' % MOMENT),
        ("StopTransaction", b'{"transactionId":1,"meterStop":9,%b}' % MOMENT),
    ],
)
async def test_the_csms_takes_every_action_of_a_charging_session(action, payload):
    message = b'[2,"%%d","%b",%b]' % (action.encode(), payload)
    async with running(Task(kind="ocpp_csms")) as child:
        crowd = Lockstep(child.url)
        await crowd.connect(1)
        await crowd.once(Talk(lambda number: message % number, lambda _, answer: orjson.loads(answer)[0] == 3))
        crowd.close()
    assert crowd.counted == 1


async def test_a_wrong_answer_fails_the_measurement():
    async with running(Task(kind="sans_io_echo")) as child:
        crowd = Lockstep(child.url)
        await crowd.connect(2)
        with pytest.raises(AnchorFailed, match=r"a wrong answer came: b'.*Heartbeat"):
            await crowd.once(Talk(SAME.message, lambda _, __: False))
        crowd.close()


async def test_a_server_that_dies_fails_the_measurement_and_is_named():
    async with running(Task(kind="sans_io_echo")) as child:
        crowd = Lockstep(child.url)
        await crowd.connect(2)
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(AnchorFailed, match="sans_io_echo ended before its time"):
            await child.usage()
        crowd.begin(SAME)
        with pytest.raises(AnchorFailed, match="a socket was closed with 1006"):
            await crowd.calm()
        with pytest.raises(AnchorFailed, match="refused: tcp"):
            await crowd.connect(1)


async def test_messages_come_one_at_a_time_from_each_socket():
    async with running(Task(kind="websockets_echo")) as child:
        crowd = Lockstep(child.url)
        await crowd.connect(3)
        await crowd.once(SAME)
        assert crowd.counted == 3
        crowd.begin(SAME)
        await crowd.calm()
        crowd.close()
    assert crowd.trips.count == crowd.counted == 6
