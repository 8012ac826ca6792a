"""`make run`: the whole system on this machine with simulated charge points, shown live until Ctrl-C."""

import argparse
import asyncio
import contextlib
import os
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.live import Live

from tools import scrape
from tools.nodes import NodeUnavailable, broker_for
from tools.nodes.faces import Broker, NodeFailed
from tools.nodes.guarded import GuardedProcess, end_of
from tools.nodes.management import ManagementApi
from tools.nodes.ports import free_ports
from tools.scrape import Reading
from tools.showcase_page import Figures, Places, WorkerLine, line, render
from tools.stack import ROOT, SERVICES, Stack
from workers.errors import StoreUnavailableError
from workers.store.engine import Store
from workers.store.totals import Totals, totals

STATE = ROOT / ".dev" / "run"
REFRESH_S = 1.0
PLAIN_REFRESH_S = 5.0
MOST_DEATHS = 5


class Showcase:
    """Everything that runs, and how to look at it. What `start` starts ends with the ExitStack it was given."""

    broker: Broker
    stack: Stack
    fleet: GuardedProcess

    def __init__(self, charge_points: int, console: Console) -> None:
        self.database_url = os.environ.get("DATABASE_URL") or f"sqlite+aiosqlite:///{STATE}/ocpp.db"
        self._charge_points = charge_points
        self._console = console
        self._began = time.monotonic()
        self._fleet_log = STATE / "logs" / "charge-points.log"
        (self._fleet_port,) = free_ports(1)
        self._before: dict[str, Reading] = {}
        self._deaths: Counter[str] = Counter()

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
        self.stack.run_worker_command("provision", str(ROOT / "tools" / "demo.toml"))
        self.tell("starting four workers and the gateway")
        self.stack.start()
        self.tell(f"starting {self._charge_points} simulated charge points")
        self.fleet = GuardedProcess(
            [
                sys.executable, "-m", "loadtest.cli", "fleet", "--url", self.stack.urls[0], "--prefix", "DEMO",
                "--count", str(self._charge_points), "--share-201", "0.3", "--ramp", "5",
                "--speed", "60", "--session-seconds", "1200", "--pause-seconds", "300", "--sample-seconds", "60",
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
        loadtest, worker = (
            "  .dev/venv/bin/ocpp-loadtest",
            f"  DATABASE_URL={self._shown_database()} .dev/venv/bin/ocpp-worker",
        )
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
            ("watch one charge point charge, every frame printed:", f"{loadtest} one --url {url} --identity MINE"),
            ("look at what is in the store:", f"{worker} show transactions"),
            (
                "crash the metering worker; it is started again, and no Call is lost:",
                "  pkill -9 -f 'workers metering'",
            ),
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
        now = {name: await asyncio.to_thread(scrape.read, f"{url}/metrics") for name, url in urls.items()}
        before = {name: self._before.get(name, Reading()) for name in now}
        self._before = now
        depths = await asyncio.to_thread(self._depths)
        stored = await _in_store(store)
        p50, p99 = (
            scrape.quantile(before["fleet"], now["fleet"], "ocpp_sim_roundtrip_seconds", share) for share in (0.5, 0.99)
        )
        return Figures(
            seconds=time.monotonic() - self._began,
            charge_points={state: int(n) for state, n in now["fleet"].by("ocpp_sim_charge_points", "state").items()},
            sessions=int(now["gateway"].total("ocpp_ws_active_connections")),
            frames_in_per_s=scrape.rate(before["gateway"], now["gateway"], "ocpp_message_received_total"),
            frames_out_per_s=scrape.rate(before["gateway"], now["gateway"], "ocpp_message_sent_total"),
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
            name, scrape.rate(before, now, "ocpp_worker_calls_handled_total"), total, depth,
            total - int(handled.get("answered", 0)),
        )  # fmt: skip

    def _depths(self) -> dict[str, int]:
        if self.broker.management_url is None:
            return {}
        with contextlib.suppress(NodeFailed, KeyError):
            queues = ManagementApi(self.broker.management_url).request("GET", "/api/queues?disable_stats=false")
            names = {f"ocpp.calls.{service}": service for service in SERVICES}
            return {names[queue["name"]]: queue.get("messages", 0) for queue in queues if queue["name"] in names}
        return {}

    def revive(self) -> str | None:
        """Start again what has died, as a platform would; why that is hopeless, or None."""
        for process in self.stack.processes:
            if process.alive:
                continue
            self._deaths[process.name] += 1
            if self._deaths[process.name] > MOST_DEATHS:
                return f"{process.name} keeps dying; the end of {process.log.relative_to(ROOT)}:\n{end_of(process.log)}"
            self.tell(f"{process.name} has died and is started again; its queue keeps the Calls meanwhile")
            process.release()
            process.start()
        return None if self.fleet.alive else f"the charge points have ended:\n{end_of(self._fleet_log)}"


async def _in_store(store: Store) -> Totals:
    with contextlib.suppress(StoreUnavailableError):
        async with store.transaction(read_only=True) as transaction:
            return await totals(transaction)
    return Totals()


async def _show(showcase: Showcase, options: argparse.Namespace, console: Console, stop: asyncio.Event) -> int:
    store = Store(showcase.database_url)
    places = showcase.places()
    first: float | None = None
    live = Live(console=console, screen=False, auto_refresh=False) if console.is_terminal else None
    if live is None:
        for name, place in (*places.found, *places.to_try):
            console.print(f"{name}  {place}", highlight=False, soft_wrap=True)
    try:
        with live or contextlib.nullcontext():
            while not stop.is_set():
                figures = await showcase.look(store)
                if live is not None:
                    live.update(render(figures, places), refresh=True)
                else:
                    console.print(line(figures), highlight=False, soft_wrap=True)
                if first is None and figures.ended:
                    first = figures.seconds
                    console.print(f"first completed transaction after {first:.1f} s", highlight=False)
                if options.until_transactions and figures.ended >= options.until_transactions:
                    return 0
                if (hopeless := await asyncio.to_thread(showcase.revive)) is not None and not stop.is_set():
                    console.print(hopeless, highlight=False, markup=False)
                    return 1
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), REFRESH_S if live else PLAIN_REFRESH_S)
        return 0
    finally:
        await store.close()


async def _until_stopped(showcase: Showcase, options: argparse.Namespace, console: Console) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return await _show(showcase, options, console, stop)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until Ctrl-C (exit 0), until enough transactions, or until something broke (exit 1)."""
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("--charge-points", type=int, default=20)
    parser.add_argument("--until-transactions", type=int, default=0, help="end by itself after so many; 0: never")
    options = parser.parse_args(arguments)
    console = Console()
    shutil.rmtree(STATE, ignore_errors=True)
    Path(STATE / "logs").mkdir(parents=True)
    showcase = Showcase(options.charge_points, console)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupted)
    undo = contextlib.ExitStack()
    try:
        showcase.start(undo)
        code = asyncio.run(_until_stopped(showcase, options, console))
    except KeyboardInterrupt:
        code = 0
    except (NodeUnavailable, NodeFailed) as error:
        console.print(str(error), highlight=False, markup=False)
        code = 2
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # the way down is short: let it finish
        showcase.tell("stopping")
        undo.close()
    showcase.tell(f"stopped; the store and the logs are in {STATE.relative_to(ROOT)}/")
    return code


if __name__ == "__main__":
    sys.exit(main())
