"""The broker's ceiling at a real broker."""

import os

from contracts.envelope import CallEnvelope, ReplyEnvelope
from loadtest.anchors.bodies import relayed
from loadtest.anchors.measuring import cpu_of
from loadtest.anchors.rabbitmq import ceiling


async def test_the_ceiling_tells_the_rate_and_the_cpu_of_both_ends_and_of_the_broker(amqp_url):
    found = {anchor.name: anchor for anchor in await ceiling(amqp_url, 0.3, lambda: 1.5)}
    for action in ("heartbeat", "meter_values"):
        for way in ("hop", "round_trip"):
            name = f"rabbitmq_{action}_{way}"
            assert found.pop(f"{name}_calls_per_second").value > 0
            assert found.pop(f"{name}_sender_cpu_us_per_call").value > 0
            assert found.pop(f"{name}_answerer_cpu_us_per_call").value > 0
            assert found.pop(f"{name}_broker_cpu_us_per_call").value == 0  # as it was told
    assert found == {}


def test_the_bodies_are_what_gateways_and_workers_exchange():
    heartbeat, meter = relayed("Heartbeat"), relayed("MeterValues")
    assert CallEnvelope.decode(heartbeat.call).payload() == {}
    assert len(CallEnvelope.decode(meter.call).payload()["meterValue"][0]["sampledValue"]) == 3
    assert (heartbeat.persistent, meter.persistent) == (False, True)
    assert ReplyEnvelope.decode(heartbeat.reply).error is None


def test_the_cpu_of_a_process_is_read_until_it_is_gone():
    own = cpu_of(os.getpid())()
    assert own is not None
    assert own > 0
    assert cpu_of(2**22 + 1)() is None  # above the largest process id that Linux gives
