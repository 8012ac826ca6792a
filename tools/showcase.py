"""`make run`: the whole system on this machine with simulated charge points, shown live until Ctrl-C."""

import argparse
import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.constrain import Constrain
from rich.live import Live

from loadtest import scraping
from loadtest.scraping import Reading
from tools.nodes import KillableBroker, NodeFailed, NodeUnavailable, broker_for
from tools.nodes.given import GivenBroker
from tools.nodes.guarded import GuardedProcess, end_of
from tools.nodes.management import ManagementApi
from tools.nodes.ports import free_ports
from tools.showcase_page import Figures, Places, WorkerLine, announce, line, render
from tools.stack import ROOT, SERVICES, Stack
from tools.supervisor import Supervisor
from workers.errors import StoreUnavailableError
from workers.store.engine import Store
from workers.store.totals import Totals, totals

STATE = ROOT / ".dev" / "run"
LOCK = ROOT / ".dev" / "run.lock"
DEMO = Path(__file__).with_name("demo.toml")
REFRESH_S = 1.0
PLAIN_REFRESH_S = 5.0
MOST_CHARGE_POINTS = 200_000
ECHO_WIDTH = len("^C")
"""Room for what the terminal writes when Ctrl-C is pressed; on a line of its own it would push the page up."""
SPEED = 60
TIME_LAPSE = f"time-lapse: cars charge {SPEED} times faster, on clocks hours in the past"


class Showcase:
    """Everything that runs, and how to look at it. What `start` starts ends with the ExitStack it was given."""

    broker: GivenBroker | KillableBroker
    stack: Stack
    supervisor: Supervisor
    fleet: GuardedProcess

    def __init__(self, charge_points: int, console: Console) -> None:
        self.database_url = os.environ.get("DATABASE_URL") or f"sqlite+aiosqlite:///{STATE}/ocpp.db"
        self._charge_points = charge_points
        self._console = console
        self._began = time.monotonic()
        self._fleet_log = STATE / "logs" / "charge-points.log"
        (self._fleet_port,) = free_ports(1)
        self._before: dict[str, Reading] = {}
        self._at_start: Totals | None = None

    def tell(self, text: str) -> None:
        self._console.print(f"[dim]{time.monotonic() - self._began:5.1f} s[/dim]  {text}", highlight=False)

    def start(self, undo: contextlib.ExitStack) -> None:
        """Start everything, telling each step; raises NodeFailed or NodeUnavailable, in words for the user."""
        self.broker = broker_for(STATE / "rabbit")
        self.tell("using the broker of AMQP_URL" if os.environ.get("AMQP_URL") else "starting a private RabbitMQ node")
        undo.callback(self.broker.discard)
        self.broker.start()
        self.stack = Stack(
            amqp_url=self.broker.amqp_url,
            database_url=self.database_url,
            logs=STATE / "logs",
            settings={"OCPP_WORKER_HEARTBEAT_INTERVAL_SECONDS": "30"},
        )
        undo.callback(self.stack.stop)
        self.stack.migrate()
        self.stack.run_worker_command("provision", str(DEMO))
        self.tell("starting five workers and the gateway")
        self.stack.start()
        own = None if isinstance(self.broker, GivenBroker) else self.broker
        self.supervisor = Supervisor(self.stack.processes, own, self.tell)
        undo.callback(self.supervisor.close)
        self.tell(f"starting {self._charge_points} simulated charge points")
        self.fleet = GuardedProcess(
            [
                sys.executable, "-m", "loadtest.cli", "fleet", "--url", self.stack.urls[0], "--prefix", "DEMO",
                "--count", str(self._charge_points), "--share-201", "0.3", "--ramp", "5",
                "--speed", str(SPEED), "--session-seconds", "1200", "--pause-seconds", "300", "--sample-seconds", "60",
                "--fault-probability", "0.05", "--metrics-port", str(self._fleet_port), "--grace-seconds", "3",
                "--seed", str(time.time_ns() % 2**31),
            ],
            env=dict(os.environ), log=self._fleet_log, cwd=ROOT,
        )  # fmt: skip
        undo.callback(self._stop_fleet)

    def _stop_fleet(self) -> None:
        self.fleet.signal_leader(signal.SIGTERM)
        self.fleet.wait(10)
        self.fleet.release()

    def places(self) -> Places:
        """Where the store, the logs and the metrics are, and the next three things to try."""
        url = self.stack.urls[0]
        metrics = [self.stack.gateways[0].monitor_url, *(w.monitor_url for w in self.stack.workers.values())]
        worker = ".dev/venv/bin/ocpp-worker show transactions"
        if not os.environ.get("DATABASE_URL"):  # whoever set it has it set, and a password is not for the screen
            worker = f"DATABASE_URL={self._shown_database()} {worker}"
        pid_file = self.stack.workers["metering"].pid_file.relative_to(ROOT)
        found = [
            ("gateway", url + "/<identity>"),
            ("store", self._shown_database()),
            ("logs", str((STATE / "logs").relative_to(ROOT)) + "/"),
            ("metrics", " ".join(f"{address}/metrics" for address in metrics)),
        ]
        if self.broker.management_url is not None and not os.environ.get("AMQP_URL"):
            found.append(
                ("RabbitMQ's pages", self.broker.management_url.replace("guest:guest@", "") + "  (guest, guest)")
            )
        to_try = [
            (
                "watch one charge point charge, every frame printed:",
                f".dev/venv/bin/ocpp-loadtest one --url {url} --identity ME",
            ),
            ("look at what is in the store:", worker),
            ("crash the metering worker; it is started again, and no Call is lost:", f"kill -9 $(cat {pid_file})"),
        ]
        return Places(found, to_try)

    def _shown_database(self) -> str:
        head, at, tail = self.database_url.rpartition("@")
        if at:
            return f"{head.split('://')[0]}://…@{tail}"
        return self.database_url.replace(f"{ROOT}/", "")

    async def look(self, store: Store) -> Figures:
        """Measure everything once."""
        urls = {name: worker.monitor_url for name, worker in self.stack.workers.items()}
        urls |= {"gateway": self.stack.gateways[0].monitor_url, "fleet": f"http://127.0.0.1:{self._fleet_port}"}
        now = {name: await asyncio.to_thread(scraping.read, f"{url}/metrics") for name, url in urls.items()}
        before = {name: self._before.get(name, Reading()) for name in now}
        self._before = now
        depths = await asyncio.to_thread(self._depths)
        stored = await self._stored_since_start(store)
        p50, p99 = (
            scraping.quantile(before["fleet"], now["fleet"], "ocpp_sim_roundtrip_seconds", share)
            for share in (0.5, 0.99)
        )
        return Figures(
            seconds=time.monotonic() - self._began,
            charge_points={state: int(n) for state, n in now["fleet"].by("ocpp_sim_charge_points", "state").items()},
            sessions=int(now["gateway"].total("ocpp_ws_active_connections")),
            frames_in_per_s=scraping.rate(before["gateway"], now["gateway"], "ocpp_message_received_total"),
            frames_out_per_s=scraping.rate(before["gateway"], now["gateway"], "ocpp_message_sent_total"),
            roundtrip_p50_ms=None if p50 is None else p50 * 1000,
            roundtrip_p99_ms=None if p99 is None else p99 * 1000,
            active=stored.active,
            ended=stored.ended,
            kwh=stored.energy_wh / 1000,
            samples=stored.samples,
            workers=[self._worker_line(name, before[name], now[name], depths.get(name)) for name in SERVICES],
        )

    def _worker_line(self, name: str, before: Reading, now: Reading, depth: int | None) -> WorkerLine:
        handled = now.by("ocpp_worker_calls_handled_total", "outcome")
        total = int(sum(handled.values()))
        return WorkerLine(
            name, scraping.rate(before, now, "ocpp_worker_calls_handled_total"), total, depth,
            total - int(handled.get("answered", 0)),
        )  # fmt: skip

    def _depths(self) -> dict[str, int]:
        if self.broker.management_url is None:
            return {}
        with contextlib.suppress(NodeFailed, KeyError):
            api = ManagementApi(self.broker.management_url)
            queues = api.request("GET", "/api/queues?disable_stats=false", timeout_s=2)
            names = {f"ocpp.calls.{service}": service for service in SERVICES}
            return {names[queue["name"]]: queue.get("messages", 0) for queue in queues if queue["name"] in names}
        return {}

    async def _stored_since_start(self, store: Store) -> Totals:
        """What has come into the store since the first look; a given one has a history."""
        with contextlib.suppress(StoreUnavailableError):
            async with store.transaction(read_only=True) as transaction:
                now = await totals(transaction)
            start = self._at_start = self._at_start or now
            return Totals(
                max(0, now.active - start.active), now.ended - start.ended,
                now.energy_wh - start.energy_wh, now.samples - start.samples,
            )  # fmt: skip
        return Totals()

    def revive(self) -> str | None:
        """Start again what has died, as a platform would; why that is hopeless, or None."""
        if not self.fleet.alive:
            return f"the charge points have ended:\n{end_of(self._fleet_log)}"
        return self.supervisor.look()


async def _show(showcase: Showcase, until_transactions: int, console: Console, stop: asyncio.Event) -> str | None:
    """Show figures until stopped or until enough transactions; why there is no going on, or None."""
    store = Store(showcase.database_url)
    first: float | None = None
    announce(console, showcase.places())
    live = Live(console=console, auto_refresh=False) if console.is_terminal else None
    if live is None:
        console.print(TIME_LAPSE)
    try:
        with live or contextlib.nullcontext():
            while not stop.is_set():
                figures = await showcase.look(store)
                if live is not None:
                    live.update(Constrain(render(figures, TIME_LAPSE), console.width - ECHO_WIDTH), refresh=True)
                else:
                    console.print(line(figures), highlight=False, soft_wrap=True)
                if first is None and figures.ended:
                    first = figures.seconds
                    console.print(f"first completed transaction after {first:.1f} s", highlight=False)
                if until_transactions and figures.ended >= until_transactions:
                    return None
                hopeless = await asyncio.to_thread(showcase.revive)
                if hopeless is not None and not stop.is_set():
                    return hopeless
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), REFRESH_S if live else PLAIN_REFRESH_S)
        return None
    finally:
        await store.close()


async def _until_stopped(showcase: Showcase, until_transactions: int, console: Console) -> str | None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return await _show(showcase, until_transactions, console, stop)


def _run(charge_points: int, until_transactions: int) -> int:
    console = Console()
    shutil.rmtree(STATE, ignore_errors=True)
    Path(STATE / "logs").mkdir(parents=True)
    showcase = Showcase(charge_points, console)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupted)
    undo = contextlib.ExitStack()
    code, reason = 0, None
    try:
        showcase.start(undo)
        reason = asyncio.run(_until_stopped(showcase, until_transactions, console))
        code = 0 if reason is None else 1
    except KeyboardInterrupt:
        pass
    except (NodeUnavailable, NodeFailed) as error:
        code, reason = 2, str(error)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # the way down is short: let it finish
        showcase.tell("stopping")
        undo.close()
    showcase.tell(f"stopped; the store and the logs are in {STATE.relative_to(ROOT)}/")
    if reason is not None:  # last, where it is seen
        console.print(reason, highlight=False, markup=False, soft_wrap=True)
    return code


def _count(least: int, most: int) -> Callable[[str], int]:
    def count(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text} is not a number from {least} to {most}")
        return int(text)

    return count


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until Ctrl-C (exit 0), until enough transactions, or until something broke (exit 1)."""
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("--charge-points", type=_count(1, MOST_CHARGE_POINTS), default=20)
    parser.add_argument(
        "--until-transactions", type=_count(0, 10**9), default=0, help="end by itself after so many; 0: never"
    )
    options = parser.parse_args(arguments)
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another make run is at work in this folder", file=sys.stderr)
            return 2
        return _run(options.charge_points, options.until_transactions)


if __name__ == "__main__":
    sys.exit(main())
