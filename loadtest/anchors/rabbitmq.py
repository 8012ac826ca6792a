"""Measures RabbitMQ's own ceiling for the bodies that a Call has on its way: what no code of ours can go beyond.

A quorum queue of its own, confirms, manual acks (all of a turn at once), by our own broker link in two processes that
do nothing with what they carry. The queue deletes itself a minute later.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import uuid4

from loadtest.anchors.child import AnchorFailed, Child, Task, Usage, running
from loadtest.report.model import Anchor

_WARM_UP_SHARE = 0.2
_RARELY = 100

BrokerCpu = Callable[[], float | None]
"""CPU seconds that the broker has used so far, if they can be known; may block."""

ACTIONS = {"heartbeat": "Heartbeat", "meter_values": "MeterValues"}
WAYS = {
    "hop": (_RARELY, "publish with confirm to a quorum queue, consume and ack"),
    "round_trip": (1, "the same and the answer through an exclusive queue"),
}


@dataclass(frozen=True, slots=True)
class _Reading:
    """Both ends and the broker at one time."""

    sender: Usage
    answerer: Usage
    broker_cpu_s: float | None


async def ceiling(amqp_url: str, seconds: float, broker_cpu_s: BrokerCpu | None = None) -> list[Anchor]:
    """Calls a second and CPU of each end, and of the broker if it can be known. Raises AnchorFailed."""
    found: list[Anchor] = []
    for action in ACTIONS:
        for way in WAYS:
            found += await _one(amqp_url, action, way, seconds, broker_cpu_s)
    return found


async def _one(amqp_url: str, action: str, way: str, seconds: float, broker_cpu_s: BrokerCpu | None) -> list[Anchor]:
    reply_every, what = WAYS[way]
    queue = f"anchors.{uuid4().hex[:12]}"
    sending = Task(
        kind="broker_sender", amqp_url=amqp_url, queue=queue, action=ACTIONS[action], reply_every=reply_every
    )
    answering = replace(sending, kind="broker_answerer")
    async with running(answering) as answerer, running(sending) as sender:
        await asyncio.sleep(seconds * _WARM_UP_SHARE)
        before = await _reading(sender, answerer, broker_cpu_s)
        await asyncio.sleep(seconds)
        after = await _reading(sender, answerer, broker_cpu_s)
    return _anchors(f"rabbitmq_{action}_{way}", f"{ACTIONS[action]}: {what}", before, after)


async def _reading(sender: Child, answerer: Child, broker_cpu_s: BrokerCpu | None) -> _Reading:
    cpu_s = None if broker_cpu_s is None else await asyncio.to_thread(broker_cpu_s)
    return _Reading(*await asyncio.gather(sender.usage(), answerer.usage()), cpu_s)


def _anchors(name: str, what: str, before: _Reading, after: _Reading) -> list[Anchor]:
    seconds = after.sender.at - before.sender.at
    calls = after.sender.count - before.sender.count
    if calls <= 0:
        raise AnchorFailed(f"{name}: nothing came back in {seconds:.1f} s")
    spent = {
        "sender": after.sender.cpu_s - before.sender.cpu_s,
        "answerer": after.answerer.cpu_s - before.answerer.cpu_s,
    }
    if before.broker_cpu_s is not None and after.broker_cpu_s is not None:
        spent["broker"] = after.broker_cpu_s - before.broker_cpu_s
    return [
        Anchor(name=f"{name}_calls_per_second", unit="Calls/s", value=calls / seconds, what=what),
        *(
            Anchor(name=f"{name}_{part}_cpu_us_per_call", unit="µs", value=cpu_s / calls * 1e6, what=what)
            for part, cpu_s in spent.items()
        ),
    ]
