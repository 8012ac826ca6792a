"""Measures the anchors that listen: CPU of the server for each message, messages and connects a second, memory."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from loadtest.anchors.bodies import BOOT, HEARTBEAT, METER_VALUES
from loadtest.anchors.child import AnchorFailed, Child, Echo, Task, running
from loadtest.anchors.lockstep import Lockstep, Talk
from loadtest.crowd.process import too_few_files
from loadtest.report.model import Anchor

_WARM_UP_SHARE = 0.2
_LIMITED_CPU_SHARE = 0.95
_KB = 1024

ECHOES: dict[Echo, str] = {
    "websockets_echo": "bare echo by serve() of websockets, on uvloop, without compression and keepalive",
    "sans_io_echo": "bare echo by the Sans-I/O core of websockets in a uvloop protocol",
}
CSMS = "CSMS of the ocpp package in one process, no broker, no store"


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many sockets; the fewer are there first and talk, the more come then and are silent (echo) or talk too."""

    few: int = 100
    many: int = 5000


async def echo(name: Echo, seconds: float, counts: Counts) -> list[Anchor]:
    """What an echo of Heartbeats costs with the few, and a silent connection of the many. Raises AnchorFailed."""
    what = ECHOES[name]
    async with running(Task(kind=name)) as child:
        crowd = _crowd(child, counts)
        try:
            await crowd.connect(counts.few)
            talk = Talk(lambda number: HEARTBEAT % number, lambda number, payload: payload == HEARTBEAT % number)
            found = await _talking(name, child, crowd, talk, seconds, f"{what}; {counts.few} sockets")
            found += await _growing(name, child, crowd, None, counts, what)
        finally:
            crowd.close()
    return found


async def csms(seconds: float, counts: Counts) -> list[Anchor]:
    """What Calls cost with the few and with the many, and a booted connection. Raises AnchorFailed."""
    async with running(Task(kind="ocpp_csms")) as child:
        crowd = _crowd(child, counts)
        boot, heartbeat, meter = (_calling(message) for message in (BOOT, HEARTBEAT, METER_VALUES))
        try:
            await crowd.connect(counts.few)
            await crowd.once(boot)
            few, many = f"{CSMS}; {counts.few} charge points", f"{CSMS}; {counts.many} charge points"
            found = await _talking(f"ocpp_csms_{counts.few}_heartbeat", child, crowd, heartbeat, seconds, few)
            found += await _talking(f"ocpp_csms_{counts.few}_meter_values", child, crowd, meter, seconds, few)
            found += await _growing("ocpp_csms", child, crowd, boot, counts, CSMS)
            found += await _talking(f"ocpp_csms_{counts.many}_heartbeat", child, crowd, heartbeat, seconds, many)
        finally:
            crowd.close()
    return found


def _crowd(child: Child, counts: Counts) -> Lockstep:
    lack = too_few_files(counts.many)
    if lack is not None:
        raise AnchorFailed(lack)
    return Lockstep(child.url)


async def _talking(name: str, child: Child, crowd: Lockstep, talk: Talk, seconds: float, what: str) -> list[Anchor]:
    """Everybody talks for so long, and a little before, which does not count."""
    crowd.begin(talk)
    await crowd.last(seconds * _WARM_UP_SHARE)
    before, counted, own_cpu_s = await child.usage(), crowd.counted, time.process_time()
    crowd.restart()
    await crowd.last(seconds)
    after, calls = await child.usage(), crowd.counted - counted
    own_share = (time.process_time() - own_cpu_s) / (after.at - before.at)
    trips = crowd.trips
    await crowd.calm()
    if not calls:
        raise AnchorFailed(f"{name}: nothing was answered in {seconds:g} s")
    cpu_s = after.cpu_s - before.cpu_s
    if own_share > _LIMITED_CPU_SHARE and cpu_s < after.at - before.at:
        what += "; the client was the bottleneck"
    return [
        Anchor(name=f"{name}_cpu_us_per_call", unit="µs", value=cpu_s / calls * 1e6, what=what),
        Anchor(name=f"{name}_calls_per_second", unit="Calls/s", value=calls / (after.at - before.at), what=what),
        Anchor(name=f"{name}_p50_ms", unit="ms", value=trips.quantile(0.5) * 1e3, what=what),
        Anchor(name=f"{name}_p99_ms", unit="ms", value=trips.quantile(0.99) * 1e3, what=what),
    ]


async def _growing(
    name: str, child: Child, crowd: Lockstep, greeting: Talk | None, counts: Counts, what: str
) -> Sequence[Anchor]:
    """The few become many: connects a second, and what one more connection keeps once it has said its greeting."""
    more = counts.many - counts.few
    before = await child.usage()
    per_second = await crowd.connect(more)
    connected = await child.usage()
    if greeting is not None:
        await crowd.once(greeting)
    after = await child.usage()
    what = f"{what}; from {counts.few} to {counts.many} sockets"
    return [
        Anchor(name=f"{name}_connects_per_second", unit="connects/s", value=per_second, what=what),
        Anchor(
            name=f"{name}_cpu_us_per_connect", unit="µs", value=(connected.cpu_s - before.cpu_s) / more * 1e6, what=what
        ),
        Anchor(
            name=f"{name}_kb_per_connection", unit="KB", value=(after.rss_bytes - before.rss_bytes) / more / _KB,
            what=what,
        ),
    ]  # fmt: skip


def _calling(message: bytes) -> Talk:
    return Talk(lambda number: message % number, _is_result)


def _is_result(number: int, payload: bytes) -> bool:
    said = orjson.loads(payload)
    return bool(said[0] == 3 and said[1] == str(number))
