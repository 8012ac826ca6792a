"""The whole system as processes: gateway, workers and fleets of simulated charge points."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from loadtest import scraping
from tests.support.preparing import prepare
from tools.nodes.guarded import GuardedProcess, end_of
from tools.nodes.ports import free_ports
from tools.stack import ROOT, Stack

POLL_S = 0.2
"""Between two looks at another process, which tells nobody when it changes."""


@contextmanager
def running_stack(
    amqp_url: str,
    database_url: str,
    logs: Path,
    *,
    gateways: int = 1,
    replicas: Mapping[str, int] | None = None,
    **settings: str,
) -> Iterator[Stack]:
    """A migrated, provisioned, ready system; it and all it started is gone afterwards."""
    stack = Stack(
        amqp_url=amqp_url,
        database_url=database_url,
        logs=logs,
        gateways=gateways,
        replicas=replicas,
        settings=settings,
    )
    try:
        prepare(database_url, ROOT / "tools" / "demo.toml")
        stack.start()
        yield stack
    finally:
        stack.stop(timeout_s=10)


async def until(condition: Callable[[], bool], what: str, timeout_s: float = 60) -> None:
    """Look again and again until the condition holds; AssertionError naming what did not come about."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while not await asyncio.to_thread(condition):
        assert loop.time() < deadline, f"did not happen in {timeout_s:.0f} s: {what}"
        await asyncio.sleep(POLL_S)


class FleetProcess:
    """`ocpp-loadtest fleet` in a process of its own; its ledger is in `ledger_file` once it has ended."""

    def __init__(self, url: str, folder: Path, *, count: int, **options: str | float) -> None:
        (self._port,) = free_ports(1)
        self.ledger_file = folder / "ledger.json"
        self._log = folder / "fleet.log"
        words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
        command = [
            sys.executable, "-m", "loadtest.cli", "fleet", "--url", url, "--count", str(count), "--ramp", "200",
            "--json", str(self.ledger_file), "--metrics-port", str(self._port), "--progress-seconds", "0", *words,
        ]  # fmt: skip
        self._process = GuardedProcess(command, env=dict(os.environ), log=self._log, cwd=ROOT)

    def figure(self, name: str, **labels: str) -> float:
        return scraping.read(f"http://127.0.0.1:{self._port}/metrics").total(name, **labels)

    def charging(self) -> int:
        return int(self.figure("ocpp_sim_charge_points", state="charging"))

    def finish(self) -> None:
        """Ask it to finish its sessions and end."""
        self._process.signal_leader(signal.SIGTERM)

    async def ended(self, timeout_s: float = 120) -> str:
        """Wait for its end; what it printed. AssertionError when it does not end in time."""
        ended = await asyncio.to_thread(self._process.wait, timeout_s)
        assert ended, f"the fleet did not end:\n{end_of(self._log)}"
        return self._log.read_text()

    def release(self) -> None:
        self._process.release()
