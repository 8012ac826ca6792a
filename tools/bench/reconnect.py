"""A gateway dies and all its charge points come back at once, elsewhere: `make bench-reconnect`.

Says when the last of them could be commanded again, what the announcements were, and how many objects the broker held.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import uvloop

from contracts import announcements, topology
from contracts.announcements import Announcement
from contracts.broker import BrokerLink, Delivery, PrivateQueue, Returned
from contracts.client import CommandClient
from tools.bench.sockets import Crowd
from tools.nodes import Broker, broker_for
from tools.nodes.management import ManagementApi
from tools.stack import ROOT, Stack

COMMANDED_AT_ONCE = 200
RETRY_S = 0.1
FAREWELL_S = 60


@dataclass(slots=True)
class Figures:
    """What was seen; seconds since the gateway was killed."""

    sessions: int
    objects_before: int
    objects_after: int
    first_open: float = 0.0
    last_open: float = 0.0
    last_commandable: float = 0.0
    announcements: int = 0
    entries: int = 0


class Listening:
    """Counts what gateways announce."""

    def __init__(self, amqp_url: str) -> None:
        self.up = asyncio.Event()
        self.announcements = self.entries = 0
        self.link = BrokerLink(
            amqp_url,
            self,
            name="bench listener",
            private_queue=PrivateQueue("bench.sessions", ((topology.SESSIONS, ""),)),
        )

    def link_up(self) -> None:
        self.up.set()

    def link_down(self) -> None:
        self.up.clear()

    def delivered(self, delivery: Delivery) -> None:
        said = announcements.read(delivery.body)
        if isinstance(said, Announcement):
            self.announcements += 1
            self.entries += len(said.opened) + len(said.closed)

    def returned(self, message: Returned) -> None:
        """Nothing is published."""

    def confirmed(self, token: object) -> None:
        """Nothing is published."""

    def refused(self, token: object) -> None:
        """Nothing is published."""

    def flow_changed(self) -> None:
        """Nothing is published."""


def broker_objects(broker: Broker) -> int:
    """Exchanges, queues and bindings of the default vhost."""
    if broker.management_url is None:
        raise SystemExit("AMQP_MANAGEMENT_URL is needed to count the broker's objects")
    api = ManagementApi(broker.management_url)
    return sum(len(api.request("GET", f"/api/{kind}/%2F")) for kind in ("exchanges", "queues", "bindings"))


async def measure(stack: Stack, broker: Broker, count: int) -> Figures:
    """Ten sessions, then all of them; kill the gateway; command each until it answers."""
    identities = [f"BENCH-{number:05}" for number in range(count)]
    few, crowd = Crowd(identities[:10], stack.urls[0]), Crowd(identities, stack.urls[0])
    listening = Listening(broker.amqp_url)
    running = asyncio.create_task(listening.link.run())
    try:
        await asyncio.wait_for(listening.up.wait(), 30)
        async with CommandClient(broker.amqp_url) as client:
            few.start()
            await asyncio.wait_for(few.all_open(), 60)
            await _command_all(client, identities[:10])
            objects_before = await asyncio.to_thread(broker_objects, broker)
            await few.close()
            crowd.start()
            await asyncio.wait_for(crowd.all_open(), 120)
            await _command_all(client, identities)
            figures = Figures(count, objects_before, await asyncio.to_thread(broker_objects, broker))
            listening.announcements = listening.entries = 0
            crowd.url = stack.urls[1]
            began = perf_counter()
            stack.gateways[0].kill()
            opening = asyncio.create_task(_opened(crowd, began, figures))
            await _command_all(client, identities)
            figures.last_commandable = perf_counter() - began
            await opening
            figures.announcements, figures.entries = listening.announcements, listening.entries
            return figures
    finally:
        await few.close()
        await crowd.close()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _opened(crowd: Crowd, began: float, figures: Figures) -> None:
    while crowd.open:  # noqa: ASYNC110 - until the kill is felt
        await asyncio.sleep(0.001)
    crowd.changed.clear()
    await crowd.changed.wait()
    figures.first_open = perf_counter() - began
    await crowd.all_open()
    figures.last_open = perf_counter() - began


async def _command_all(client: CommandClient, identities: Sequence[str]) -> None:
    room = asyncio.Semaphore(COMMANDED_AT_ONCE)

    async def until_it_answers(identity: str) -> None:
        while True:
            async with room:
                outcome = await client.call(
                    identity, "TriggerMessage", {"requestedMessage": "Heartbeat"}, timeout_s=FAREWELL_S
                )
            if outcome.ok:
                return
            await asyncio.sleep(RETRY_S)

    async with asyncio.timeout(300):
        await asyncio.gather(*(until_it_answers(identity) for identity in identities))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures; 1 when the broker holds more objects for many sessions than for ten."""
    parser = argparse.ArgumentParser(prog="make bench-reconnect", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="sessions on the gateway that is killed")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=ROOT / ".dev") as folder:
        broker = broker_for(Path(folder) / "rabbit")
        try:
            broker.start()
            figures = run_on(broker, Path(folder), options.count)
        finally:
            broker.discard()
    print(f"{figures.sessions} sessions of a killed gateway came back to another one; seconds since the kill:")
    print(f"  first reconnected {figures.first_open:.2f}, last reconnected {figures.last_open:.2f}")
    print(f"  last commandable again {figures.last_commandable:.2f} (each was commanded until it answered)")
    print(f"  announcements {figures.announcements} with {figures.entries} entries")
    print(f"broker objects: {figures.objects_before} with 10 sessions, {figures.objects_after} with {figures.sessions}")
    return 0 if figures.objects_after == figures.objects_before else 1


def run_on(broker: Broker, folder: Path, count: int) -> Figures:
    """Start two gateways and the workers on this broker, measure, and end them."""
    stack = Stack(
        amqp_url=broker.amqp_url,
        database_url=f"sqlite+aiosqlite:///{folder}/ocpp.db",
        logs=folder / "logs",
        gateways=2,
    )
    try:
        stack.migrate()
        stack.start()
        return uvloop.run(measure(stack, broker, count))
    finally:
        stack.stop()


if __name__ == "__main__":
    sys.exit(main())
