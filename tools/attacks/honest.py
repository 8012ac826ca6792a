"""Honest charge points at work, in a process of their own: `python -m tools.attacks.honest`, ended by SIGTERM.

Each sends a Heartbeat or MeterValues at its turn, one at a time, and notes how long after its turn the answer came:
waiting for the answer before counts, so a stall is not hidden by Calls that were never sent.
"""

import argparse
import asyncio
import json
import signal
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson
import uvloop

from loadtest.crowd.socket import Endpoint, Refused, Socket, basic, connect
from tools.attacks.target import HONEST_ADDRESSES, password_of

RAMP_PER_S = 200
RETRY_S = 1.0
COME_IN_S = 60.0
LAST_ANSWERS_S = 30.0
_METER_VALUES = {
    "connectorId": 1,
    "meterValue": [
        {"timestamp": "2026-05-01T12:00:00Z", "sampledValue": [{"value": "12.5", "measurand": "Voltage", "unit": "V"}]}
    ],
}
_BODIES: tuple[tuple[str, dict[str, Any]], ...] = (("Heartbeat", {}), ("MeterValues", _METER_VALUES))


@dataclass(slots=True)
class Log:
    """What the crowd went through; times are of the monotonic clock, which all processes of a machine share."""

    round_trips: list[tuple[float, float]] = field(default_factory=list)
    """When it was a Call's turn, and the seconds from then to its answer."""
    errors: list[tuple[float, str]] = field(default_factory=list)
    dropped: list[tuple[float, str]] = field(default_factory=list)
    unanswered: int = 0


class ChargePoint:
    """One honest charge point."""

    def __init__(self, identity: str, log: Log, every_s: float) -> None:
        self.identity = identity
        self.leaving = False
        self._log = log
        self._every_s = every_s
        self._socket: Socket | None = None
        self._number = 0
        self._due = 0.0
        self._waiting: str | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    async def work(self, begin_at: float) -> None:
        """Call after Call, each at its turn."""
        self._due = begin_at
        while not self.leaving:
            await asyncio.sleep(max(0.0, self._due - time.monotonic()))
            if self.leaving or self._socket is None:
                return
            self._number += 1
            self._waiting = f"{self.identity}-{self._number}"
            action, body = _BODIES[self._number % 2]
            self._idle.clear()
            self._socket.send(orjson.dumps([2, self._waiting, action, body]))
            await self._idle.wait()
            self._due += self._every_s

    async def finished(self) -> None:
        """Return once nothing is unanswered."""
        await self._idle.wait()

    @property
    def waits(self) -> bool:
        return self._waiting is not None

    def leave(self) -> None:
        """Be gone at once."""
        if self._socket is not None:
            self._socket.drop()

    def opened(self, socket: Socket) -> None:
        self._socket = socket

    def text(self, payload: bytes) -> None:
        message = orjson.loads(payload)
        if message[0] == 2 and self._socket is not None:
            self._socket.send(orjson.dumps([3, message[1], {"status": "Accepted"}]))
        elif message[1] == self._waiting:
            now = time.monotonic()
            self._log.round_trips.append((self._due, now - self._due))
            if message[0] == 4:
                self._log.errors.append((now, str(message[2])))
            self._waiting = None
            self._idle.set()

    def ended(self, code: int) -> None:
        del code
        self._socket = None
        if not self.leaving:
            self._log.dropped.append((time.monotonic(), self.identity))
        self._idle.set()


async def live(url: str, identities: list[str], every_s: float, folder: Path) -> None:
    """Connect all, work until told to end, wait for the last answers, and write down what happened."""
    loop = asyncio.get_running_loop()
    ending = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ending.set)
    log = Log()
    coming = []
    for number, identity in enumerate(identities):
        source = HONEST_ADDRESSES[number % (len(HONEST_ADDRESSES) - 1)]
        coming.append(loop.create_task(_come_in(url, identity, source, log, every_s)))
        await asyncio.sleep(1 / RAMP_PER_S)
    points = [point for point in await asyncio.gather(*coming) if point is not None]
    if len(points) < len(identities):
        raise SystemExit(f"{len(identities) - len(points)} honest charge points were refused for {COME_IN_S:.0f} s")
    began = time.monotonic() + 0.1
    working = [
        asyncio.create_task(point.work(began + every_s * number / len(points))) for number, point in enumerate(points)
    ]
    (folder / "ready").touch()
    await ending.wait()
    for point in points:
        point.leaving = True
    try:
        async with asyncio.timeout(LAST_ANSWERS_S):
            await asyncio.gather(*(point.finished() for point in points))
    except TimeoutError:
        pass
    log.unanswered = sum(point.waits for point in points)
    for task in working:
        task.cancel()
    await asyncio.gather(*working, return_exceptions=True)
    for point in points:
        point.leave()
    (folder / "log.json").write_text(json.dumps(asdict(log)))


async def _come_in(url: str, identity: str, source: str, log: Log, every_s: float) -> ChargePoint | None:
    """Connect, again where the gateway says that it is busy; None when it does so for a minute."""
    until = time.monotonic() + COME_IN_S
    while time.monotonic() < until:
        point = ChargePoint(identity, log, every_s)
        try:
            await connect(
                Endpoint.of(url), identity, point,
                authorization=basic(identity, password_of(identity)), source_address=source,
            )  # fmt: skip
        except Refused:
            await asyncio.sleep(RETRY_S)
        else:
            return point
    return None


def main() -> int:
    """Run one crowd."""
    parser = argparse.ArgumentParser(prog="python -m tools.attacks.honest", description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--every", type=float, required=True, help="seconds between two Calls of one charge point")
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    uvloop.run(live(options.url, honest_identities(options.count), options.every, options.folder))
    return 0


def honest_identities(count: int) -> list[str]:
    """Their names."""
    return [f"HONEST-{number:05}" for number in range(count)]


if __name__ == "__main__":
    sys.exit(main())
