"""What one of everything costs each part of the system: `make bench-costs`; the report is for `ocpp-loadtest size`.

A few hundred sockets open, then send one action after the other, each when the last is answered. What the parts use up
meanwhile, less what they use up at rest, is divided by the count. CPU time is little disturbed by others on the
machine; rates and latencies, which are, are not measured here.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import orjson
import psutil
import uvloop

from loadtest.crowd.socket import Endpoint, Socket, connect, tls_context
from loadtest.crowd.speech import Charging, Said, Speech16, Speech201
from loadtest.crowd.timeline import Step
from loadtest.report.model import Figure, Report
from loadtest.scenarios.machine import machine
from tools.load.local import ID_TAGS, STORE, LocalSystem, Plan
from tools.stack import ROOT

SCENARIO = "costs"
REST_S = 2.0
BROKER_PROCESS = "beam.smp"
CONNECTING_AT_ONCE = 50
_QUIET_ROUNDS = 3
_LOOK_S = 0.1
_WAL = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"
_OUTBOX = "SELECT count(*) FROM outbox"
_SIZES = {
    "sample": "SELECT sum(pg_total_relation_size(inhrelid)), (SELECT count(*) FROM meter_samples) FROM pg_inherits "
    "WHERE inhparent = 'meter_samples'::regclass",
    **{
        name: f"SELECT pg_total_relation_size('{table}'), (SELECT count(*) FROM {table})"  # noqa: S608 - our own names
        for name, table in (
            ("transaction", "transactions"),
            ("transaction_event", "transaction_events"),
            ("authorization", "authorizations"),
        )
    },
}


@dataclass(frozen=True, slots=True)
class Spent:
    """What all parts have used up until a time."""

    at: float
    cpu_s: Mapping[str, float]
    rss: Mapping[str, float]
    wal_bytes: float
    broker_written: float | None
    """None where the broker is not ours."""

    def since(self, before: "Spent", rest: Mapping[str, float]) -> dict[str, float]:
        """CPU seconds by part, less what they use up at rest a second."""
        seconds = self.at - before.at
        return {
            name: max(0.0, value - before.cpu_s.get(name, 0.0) - rest.get(name, 0.0) * seconds)
            for name, value in self.cpu_s.items()
        }


class Point:
    """One charge point, which sends when asked to."""

    def __init__(self, identity: str, number: int, speech: Speech16 | Speech201) -> None:
        self.identity = identity
        self.speech = speech
        self.tag = ID_TAGS[number % len(ID_TAGS)]
        self.charging = Charging(self.tag, 0)
        self.socket: Socket | None = None
        self._number = 0
        self._answer: asyncio.Future[list[object]] | None = None

    def opened(self, socket: Socket) -> None:
        """It may send."""
        self.socket = socket

    def text(self, payload: bytes) -> None:
        """An answer, as nobody sends commands here but for the first configuration."""
        message = orjson.loads(payload)
        if message[0] == 2 and self.socket is not None:
            self.socket.send(orjson.dumps([4, message[1], "NotImplemented", "", {}]))
        elif self._answer is not None and not self._answer.done():
            self._answer.set_result(message)

    def ended(self, code: int) -> None:
        """It should have stayed."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError(f"{self.identity} was closed with {code}"))

    async def call(self, said: Said) -> dict[str, object]:
        """Send a Call; its answer. SystemExit for an error."""
        if self.socket is None:
            raise SystemExit(f"{self.identity} is not connected")
        action, payload = said
        self._number += 1
        self._answer = asyncio.get_running_loop().create_future()
        self.socket.send(b'[2,"%d","%b",%b]' % (self._number, action.encode(), payload))
        answer = await asyncio.wait_for(self._answer, 60)
        if answer[0] != 3 or not isinstance(answer[2], dict):
            raise SystemExit(f"{action} of {self.identity} met {answer!r}")
        return answer[2]


@dataclass(slots=True)
class Costs:
    """One run."""

    system: LocalSystem
    sockets: int
    rounds: int
    figures: dict[str, tuple[float, str]] = field(default_factory=dict)
    rest: dict[str, float] = field(default_factory=dict)
    _rounds: int = 1

    async def run(self) -> None:
        """Measure everything."""
        rested = await self._spent()
        self._note("gateway_start_mb", rested.rss["gateway-0"] / 1024**2, "MB")
        self._note("worker_start_mb", rested.rss["authorization"] / 1024**2, "MB")
        await asyncio.sleep(REST_S)
        after = await self._spent()
        self.rest = {name: spent / (after.at - rested.at) for name, spent in after.since(rested, {}).items()}
        await self._all("WARM", 1)  # what is compiled and cached at first is no cost of each
        await self._all("COST", self.rounds)
        await self._sizes()

    async def _all(self, prefix: str, rounds: int) -> None:
        self._rounds = rounds
        plain = Endpoint.of(self.system.urls[0])
        secure = Endpoint.of(self.system.secure_urls[0], tls_context(self.system.ca_file))
        opened = await self._opening("handshake", plain, prefix, Speech16())
        others = await self._opening("handshake_tls", secure, f"{prefix}-TLS", Speech201())
        await self._ordinary(opened)
        await self._charge(opened)
        await self._charge_2x(others)
        for point in (*opened, *others):
            if point.socket is not None:
                point.socket.drop()

    async def _opening(self, name: str, endpoint: Endpoint, prefix: str, speech: Speech16 | Speech201) -> list[Point]:
        points = [Point(f"{prefix}-{number}", number, speech) for number in range(self.sockets)]
        room = asyncio.Semaphore(CONNECTING_AT_ONCE)

        async def come(point: Point) -> None:
            async with room:
                await connect(endpoint, point.identity, point, subprotocol=speech.subprotocol)

        async def all_come() -> None:
            await asyncio.gather(*map(come, points))

        spent = await self._during(all_come)
        self._per(f"gateway_cpu_us_per_{name}", spent["gateway-0"], len(points))
        if name == "handshake":
            self._per("worker_cpu_us_admission", spent["authorization"], len(points))
            self._per("worker_cpu_us_presence", spent["commands"], len(points))
        return points

    async def _ordinary(self, points: Sequence[Point]) -> None:
        await self._action("boot", points, lambda point: point.speech.boot(point.identity), rounds=1)
        await self._action("heartbeat", points, lambda _: ("Heartbeat", b"{}"), store="heartbeat")
        await self._action("authorize", points, lambda point: point.speech.authorize(point.tag))
        steps = (Step.PREPARING, Step.AVAILABLE)
        turn = {point.identity: 0 for point in points}

        def status(point: Point) -> Said:
            turn[point.identity] += 1
            return point.speech.status(steps[turn[point.identity] % 2], 1, self._stamp(point))

        await self._action("status", points, status, store="call")

    async def _charge(self, points: Sequence[Point]) -> None:
        def start(point: Point) -> Said:
            return point.speech.start(point.charging, self._stamp(point))

        def began(point: Point, reply: dict[str, object]) -> None:
            number = reply.get("transactionId")
            point.charging.number = number if isinstance(number, int) else -1

        def meter(point: Point) -> Said:
            point.charging.advance()
            action, payload = point.speech.meter(point.charging, self._stamp(point))
            return action, payload % point.charging.number

        def stop(point: Point) -> Said:
            action, payload = point.speech.stop(point.charging, self._stamp(point), "Local")
            return action, payload % point.charging.number

        await self._action("start", points, start, rounds=1, took=began)
        await self._action("meter_values", points, meter, store="meter_values")
        await self._action("stop", points, stop, rounds=1)

    async def _charge_2x(self, points: Sequence[Point]) -> None:
        for point in points:
            await point.call(point.speech.boot(point.identity))
            await point.call(point.speech.start(point.charging, self._stamp(point)))

        def event(point: Point) -> Said:
            point.charging.advance()
            return point.speech.meter(point.charging, self._stamp(point))

        await self._action("transaction_event", points, event)

    async def _action(
        self,
        name: str,
        points: Sequence[Point],
        said: Callable[[Point], Said],
        *,
        rounds: int | None = None,
        store: str = "",
        took: Callable[[Point, dict[str, object]], None] | None = None,
    ) -> None:
        """Have all send it in so many rounds; notes the cost of its workers, and of the database where `store`."""
        count = rounds or self._rounds

        async def send(point: Point) -> None:
            for _ in range(count):
                reply = await point.call(said(point))
                if took is not None:
                    took(point, reply)

        async def all_send() -> None:
            await asyncio.gather(*map(send, points))

        before = await self._spent()
        spent = await self._during(all_send)
        after = await self._spent()
        calls = count * len(points)
        workers = sum(value for part, value in spent.items() if part in {"authorization", "metering", "diagnostics"})
        self._per(f"worker_cpu_us_{name}", workers, calls)
        if store:
            if STORE in spent:  # else the database is not ours
                self._per(f"store_cpu_us_{store}", spent[STORE], calls)
            self._note(f"store_wal_bytes_{store}", (after.wal_bytes - before.wal_bytes) / calls, "bytes")
        if store == "meter_values":  # one event each
            self._per("worker_cpu_us_event", spent["commands"], calls)
            if after.broker_written is not None and before.broker_written is not None:
                written = (after.broker_written - before.broker_written) / calls
                self._note("broker_disk_bytes_per_call", written, "bytes")

    async def _sizes(self) -> None:
        connection = await asyncpg.connect(self.system.database_url.replace("+asyncpg", ""))
        try:
            for name, statement in _SIZES.items():
                size, count = await connection.fetchrow(statement)
                if count:
                    self._note(f"store_row_bytes_{name}", float(size) / count, "bytes")
        finally:
            await connection.close()

    async def _during(self, work: Callable[[], Awaitable[None]]) -> dict[str, float]:
        before = await self._spent()
        await work()
        await self._settled()
        return (await self._spent()).since(before, self.rest)

    async def _settled(self) -> None:
        """Return when all events are relayed: they belong to what was done."""
        connection = await asyncpg.connect(self.system.database_url.replace("+asyncpg", ""))
        try:
            quiet = 0
            while quiet < _QUIET_ROUNDS:
                quiet = quiet + 1 if await connection.fetchval(_OUTBOX) == 0 else 0
                await asyncio.sleep(_LOOK_S)
        finally:
            await connection.close()

    async def _spent(self) -> Spent:
        connection = await asyncpg.connect(self.system.database_url.replace("+asyncpg", ""))
        try:
            wal = float(await connection.fetchval(_WAL))
        finally:
            await connection.close()
        usage = await asyncio.to_thread(self.system.usage)
        return Spent(
            at=time.monotonic(),
            cpu_s={name: part.cpu_s for name, part in usage.items()},
            rss={name: part.rss_bytes for name, part in usage.items()},
            wal_bytes=wal,
            broker_written=_written(BROKER_PROCESS),
        )

    def _stamp(self, point: Point) -> bytes:
        now_ms = int(time.time() * 1000)
        moment = datetime.fromtimestamp(point.charging.moment(now_ms) / 1000, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()

    def _per(self, name: str, seconds: float, count: int) -> None:
        self._note(name, seconds * 1e6 / count, "µs")

    def _note(self, name: str, value: float, unit: str) -> None:
        self.figures[name] = (value, unit)


def _written(name: str) -> float | None:
    """Bytes that our children of that name have handed to the disk; None when there are none."""
    children = [child for child in psutil.Process().children(recursive=True) if child.name() == name]
    return float(sum(child.io_counters().write_bytes for child in children)) if children else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures and write them as a report."""
    parser = argparse.ArgumentParser(prog="make bench-costs", description=__doc__)
    parser.add_argument("--sockets", type=int, default=300, help="of each kind (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=20, help="Calls of each socket and action (default %(default)s)")
    parser.add_argument("--report", type=Path, default=ROOT / ".dev" / "costs.json", metavar="FILE")
    options = parser.parse_args(arguments)
    if min(options.sockets, options.rounds) < 1:
        parser.error("there is nothing to measure without sockets and rounds")
    began = datetime.now(UTC)
    with (
        tempfile.TemporaryDirectory(prefix="bench-", dir=ROOT / ".dev") as folder,
        LocalSystem(Plan(tls=True), Path(folder)) as system,
    ):
        costs = Costs(system, options.sockets, options.rounds)
        uvloop.run(costs.run())
    report = Report(
        scenario=SCENARIO,
        command=f"make bench-costs ARGS='--sockets {options.sockets} --rounds {options.rounds}'",
        began=began.isoformat(timespec="seconds"),
        seconds=(datetime.now(UTC) - began).total_seconds(),
        machine=machine(),
        settings={"sockets": options.sockets, "rounds": options.rounds},
        figures=[Figure(name=name, value=value, unit=unit) for name, (value, unit) in costs.figures.items()],
    )
    options.report.write_bytes(report.encode())
    for figure in report.figures:
        print(f"{figure.name:36} {figure.value:12.1f} {figure.unit}")
    print(f"report: {options.report}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
