"""What a Call costs the workers, the database and the broker: `python -m tools.bench.worker_cost`.

Real worker processes on a broker and a database of their own; a publisher puts Calls straight onto `ocpp.calls` and
counts the replies, so no gateway is needed. Each charge point has one Call under way. CPU time is that of the
processes, so other load on the machine disturbs it less than the wall clock.
"""

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import orjson
import psutil
import uvloop

from contracts import topology
from contracts.broker import BrokerLink, Delivery, PrivateQueue, Returned
from contracts.envelope import CallEnvelope, ReplyEnvelope
from contracts.versions import Version
from tools.bench.call_mix import Station, heartbeat, meter_values, mixed, transaction_events
from tools.nodes import own_broker_for, own_database_for
from tools.stack import ROOT, Stack

CASES = {
    "heartbeat": (heartbeat, (Version.V16,)),
    "meter": (meter_values, (Version.V16,)),
    "events": (transaction_events, (Version.V201,)),
    "mix": (mixed, (Version.V16, Version.V201)),
}
WARM_UP_S = 3.0
SERVICES = ("authorization", "metering", "diagnostics", "commands")
_DURABLE = frozenset({"StartTransaction", "StopTransaction", "MeterValues", "TransactionEvent"})


class Publisher:
    """Publishes the next Call of a charge point once the last one is answered; the link's listener."""

    def __init__(self, amqp_url: str, stations: Sequence[Station]) -> None:
        self._stations = stations
        self._began = [0.0] * len(stations)
        self._numbers = itertools.count(1)
        self.up = asyncio.Event()
        self.going = False
        self.answered = 0
        self.errors = 0
        self.seconds: list[float] = []
        self.link = BrokerLink(amqp_url, self, name="bench", private_queue=PrivateQueue("bench.replies"))

    def start(self) -> None:
        """Have every charge point send its first Call."""
        self.going = True
        for index in range(len(self._stations)):
            self._send(index)

    def _send(self, index: int) -> None:
        station = self._stations[index]
        action, payload = station.step()
        number = next(self._numbers)
        version = station.version
        call = CallEnvelope(
            identity=station.identity,
            version=version,
            gateway="bench",
            session="s",
            epoch=1,
            unique_id=f"{number}",
            action=action,
            frame=orjson.dumps([2, f"{number}", action, payload]),
            received_ms=int(time.time() * 1000),
        )
        self._began[index] = time.perf_counter()
        self.link.publish(
            topology.CALLS,
            topology.call_key(version, action) or "",
            call.encode(),
            mandatory=True,
            persistent=action in _DURABLE,
            correlation_id=f"{index}",
            reply_to=self.link.reply_queue,
        )

    def link_up(self) -> None:
        self.up.set()

    def link_down(self) -> None:
        self.up.clear()

    def delivered(self, delivery: Delivery) -> None:
        index = int(delivery.correlation_id)
        reply = ReplyEnvelope.decode(delivery.body)
        self.answered += 1
        self.seconds.append(time.perf_counter() - self._began[index])
        if reply.error_kind is None:
            self._stations[index].answered(reply.payload)
        else:
            self.errors += 1
        if self.going:
            self._send(index)

    def returned(self, message: Returned) -> None:
        raise SystemExit(f"nobody serves {message.routing_key}")

    def confirmed(self, token: object) -> None:
        """The answer tells more."""

    def refused(self, token: object) -> None:
        """The answer would be missed."""

    def flow_changed(self) -> None:
        """The number of charge points bounds what is under way."""


def cpu_s(pid: int, *, family: bool = False) -> float:
    """CPU seconds of a process so far; of a `family` those of its children, living and dead, too."""
    process = psutil.Process(pid)
    times = process.cpu_times()
    total: float = times.user + times.system
    if not family:
        return total
    total += times.children_user + times.children_system
    for child in process.children(recursive=True):
        try:
            spent = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += spent.user + spent.system
    return total


class Bench:
    """Broker, database and workers, started once for all cases."""

    def __init__(self, folder: Path, *, sqlite: bool) -> None:
        self.folder = folder
        self.broker = own_broker_for(folder / "rabbit", for_load=True)
        self.database = None if sqlite else own_database_for(folder / "postgres")
        self.stack: Stack | None = None
        self._known: dict[str, int] = {}

    def start(self) -> None:
        """Start what is measured; `stop` must follow."""
        self.broker.start()
        if self.database is not None:
            self.database.start()
        url = f"sqlite+aiosqlite:///{self.folder}/ocpp.db" if self.database is None else self.database.url
        stack = Stack(amqp_url=self.broker.amqp_url, database_url=url, logs=self.folder / "logs")
        self.stack = stack
        stack.migrate()
        for name in SERVICES:
            stack.workers[name].start()
        for name in SERVICES:
            stack.workers[name].await_ready()
        pids = {name: stack.workers[name].pid for name in SERVICES}
        pids["broker"] = _pid_of("beam.smp", str(self.folder))
        if self.database is not None:
            pids["database"] = _pid_of("postgres", str(_port(self.database.url)))
        self._known = pids

    def stop(self) -> None:
        """End everything, and delete its data."""
        if self.stack is not None:
            self.stack.stop()
        if self.database is not None:
            self.database.discard()
        self.broker.discard()

    def spent(self) -> dict[str, float]:
        """CPU seconds so far, by who spent them."""
        return {name: cpu_s(pid, family=name == "database") for name, pid in self._known.items()}

    async def run(self, case: str, outstanding: int, seconds: float) -> str:
        """One case; its line of figures."""
        chooser, versions = CASES[case]
        stations = [Station(number, chooser, versions[number % len(versions)]) for number in range(outstanding)]
        publisher = Publisher(self.broker.amqp_url, stations)
        linking = asyncio.create_task(publisher.link.run())
        try:
            await asyncio.wait_for(publisher.up.wait(), 30)
            publisher.start()
            await asyncio.sleep(WARM_UP_S)
            before, answered, began = self.spent(), publisher.answered, time.perf_counter()
            publisher.seconds.clear()
            await asyncio.sleep(seconds)
            wall_s, count = time.perf_counter() - began, publisher.answered - answered
            spent = {name: total - before[name] for name, total in self.spent().items()}
            publisher.going = False
            await asyncio.sleep(0.5)  # what is under way
        finally:
            linking.cancel()
            await asyncio.gather(linking, return_exceptions=True)
        if not count:
            raise SystemExit(f"{case}: no answer in {seconds} s")
        each = "  ".join(f"{name} {total / count * 1e6:6.1f}" for name, total in spent.items())
        delays = sorted(publisher.seconds)
        p99_ms = delays[len(delays) * 99 // 100] * 1000
        errors = f"  ERRORS {publisher.errors}" if publisher.errors else ""
        return f"{case:10} {outstanding:5}  {count / wall_s:7.0f}/s  p99 {p99_ms:6.1f} ms  us: {each}{errors}"


def _port(url: str) -> int:
    return int(url.rsplit(":", 1)[1].split("/", 1)[0])


def _pid_of(program: str, word: str) -> int:
    for process in psutil.process_iter(["name", "cmdline"]):
        line = process.info["cmdline"] or []
        if process.info["name"] == program and any(word in part for part in line):
            return int(process.pid)
    raise SystemExit(f"no {program} of ours is running")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures: microseconds of CPU per Call."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.worker_cost", description=__doc__)
    parser.add_argument("--cases", default="heartbeat,meter,mix", help=f"of {', '.join(CASES)}")
    parser.add_argument("--outstanding", default="100,2000", help="charge points, each with one Call under way")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each case is measured")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--sqlite", action="store_true", help="SQLite instead of PostgreSQL")
    options = parser.parse_args(arguments)
    cases = options.cases.split(",")
    if unknown := sorted(set(cases) - CASES.keys()):
        parser.error(f"no such case: {', '.join(unknown)}")
    with tempfile.TemporaryDirectory(prefix="bench-", dir=ROOT / ".dev") as folder:
        bench = Bench(Path(folder), sqlite=options.sqlite)
        try:
            bench.start()
            for _ in range(options.rounds):
                for case in cases:
                    for outstanding in options.outstanding.split(","):
                        print(uvloop.run(bench.run(case, int(outstanding), options.seconds)), flush=True)
        finally:
            bench.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
