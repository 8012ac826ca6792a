"""Our own processes as an operator runs them: gateways and workers, each with its environment, log and probes."""

import json
import os
import signal
import sys
import time
import urllib.error
from collections.abc import Mapping
from pathlib import Path

from tools.nodes.faces import NodeFailed
from tools.nodes.guarded import GuardedProcess, end_of
from tools.nodes.loopback import open_url
from tools.nodes.ports import free_ports

ROOT = Path(__file__).parents[1]
SERVICES = ("authorization", "metering", "firmware", "diagnostics", "commands")
START_TIMEOUT_S = 60.0


def _surroundings() -> dict[str, str]:
    """Our own environment without settings, which are meant for somebody else where a stack is given its own."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("OCPP_", "AMQP_", "DATABASE_"))}


class OwnProcess:
    """One of our commands in a process of its own; it never outlives this one."""

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self.pid_file = log.with_suffix(".pid")
        """Holds the process id while there is one, for whoever wants to end exactly this process."""
        (self.monitor_port,) = free_ports(1)
        self._command = [sys.executable, "-m", *command]
        self._environment = {
            **_surroundings(),
            **environment,
            "OCPP_MONITOR_HOST": "127.0.0.1",
            "OCPP_MONITOR_PORT": str(self.monitor_port),
            "PYTHONSAFEPATH": "1",
        }
        self._process: GuardedProcess | None = None

    @property
    def monitor_url(self) -> str:
        return f"http://127.0.0.1:{self.monitor_port}"

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.alive

    def start(self) -> None:
        """Start it; `await_ready` tells when it serves."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._process = GuardedProcess(self._command, env=self._environment, log=self.log, cwd=ROOT)
        self.pid_file.write_text(f"{self._process.pid}\n")

    def readiness(self) -> tuple[int, dict[str, str]]:
        """HTTP status and checks of /readyz; status 0 when nobody answers."""
        try:
            with open_url(f"{self.monitor_url}/readyz", timeout=2) as answer:
                return answer.status, json.load(answer)["checks"]
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)["checks"]
        except (OSError, ValueError):
            return 0, {}

    def await_ready(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Return once /readyz is 200; raises NodeFailed with the end of the log when it ends or takes too long."""
        deadline = time.monotonic() + timeout_s
        while self.readiness()[0] != 200:
            if not self.alive:
                raise NodeFailed(f"{self.name} ended while starting:\n{end_of(self.log)}")
            if time.monotonic() > deadline:
                raise NodeFailed(f"{self.name} is not ready: {self.readiness()[1]}\n{end_of(self.log)}")
            time.sleep(0.05)

    def terminate(self) -> None:
        """Ask it to end, as a platform does."""
        self.signal(signal.SIGTERM)

    def signal(self, number: signal.Signals) -> None:
        """Send it this signal."""
        self._running().signal_leader(number)

    def kill(self) -> None:
        """End it as a crash does."""
        if self._process is not None:
            self._process.kill()

    def wait(self, timeout_s: float) -> int | None:
        """Wait for its end; the exit code, or None when it has not ended in time."""
        process = self._running()
        return process.exit_code if process.wait(timeout_s) else None

    def release(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None
            self.pid_file.unlink(missing_ok=True)

    def _running(self) -> GuardedProcess:
        if self._process is None:
            raise NodeFailed(f"{self.name} was never started")
        return self._process


SIMULATED = {
    "OCPP_GATEWAY_HANDSHAKES_PER_SECOND": "0",
    "OCPP_GATEWAY_HANDSHAKES_PER_SECOND_PER_ADDRESS": "0",
    "OCPP_GATEWAY_OPEN_HANDSHAKES": "0",
    "OCPP_GATEWAY_OPEN_HANDSHAKES_PER_ADDRESS": "0",
    "OCPP_GATEWAY_RECONNECTS_PER_MINUTE": "0",
    "OCPP_GATEWAY_FRAMES_PER_SECOND": "0",
    "OCPP_GATEWAY_BYTES_PER_SECOND": "0",
}
"""Simulated charge points have one address for thousands, and do in a minute what real ones do in a day."""


class Stack:
    """Gateways and the five workers on a given broker and database. `stop` ends them all, in order."""

    def __init__(
        self,
        *,
        amqp_url: str,
        database_url: str,
        logs: Path,
        gateways: int = 1,
        replicas: Mapping[str, int] | None = None,
        settings: Mapping[str, str] | None = None,
        own_settings: Mapping[str, Mapping[str, str]] | None = None,
        admission: Mapping[str, str] = SIMULATED,
    ) -> None:
        """`settings` are for all, `own_settings` for one service (or `gateway`, or one `gateway-0`) each.

        `admission` is what gateways begin with; nothing: the limits of production.
        """
        self._admission = admission
        self._environment = {"AMQP_URL": amqp_url, "DATABASE_URL": database_url, **(settings or {})}
        self._own = own_settings or {}
        self._logs = logs
        more = {f"{service}-{n}": service for service, count in (replicas or {}).items() for n in range(2, count + 1)}
        self.workers = {name: self._worker(name, more.get(name, name)) for name in (*SERVICES, *more)}
        """By name: a service's, and with a number behind it for each further replica."""
        ports = free_ports(gateways)
        self.gateways = [self._gateway(number, port) for number, port in enumerate(ports)]
        self.urls = [f"ws://127.0.0.1:{port}/ocpp" for port in ports]
        """Where charge points connect, one endpoint for each gateway."""

    @property
    def processes(self) -> list[OwnProcess]:
        return [*self.workers.values(), *self.gateways]

    def run_worker_command(self, *arguments: str) -> str:
        """Run `ocpp-worker` with these arguments to its end; what it printed. Raises NodeFailed when it fails."""
        log = self._logs / "commands.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        begin = log.stat().st_size if log.exists() else 0
        environment = {**_surroundings(), **self._environment}
        process = GuardedProcess([sys.executable, "-m", "workers", *arguments], env=environment, log=log, cwd=ROOT)
        try:
            ended = process.wait(120)
            printed = log.read_bytes()[begin:].decode(errors="replace")
            if not ended or process.exit_code != 0:
                raise NodeFailed(f"ocpp-worker {' '.join(arguments)} failed:\n{printed[-2000:]}")
            return printed
        finally:
            process.release()

    def migrate(self) -> None:
        """Bring the store's tables to this version's."""
        self.run_worker_command("migrate")

    def start(self) -> None:
        """Start everything and return once all are ready."""
        for process in self.processes:
            process.start()
        for process in self.processes:
            process.await_ready()

    def stop(self, timeout_s: float = 30) -> None:
        """End gateways first, then workers, politely; what is left is killed."""
        for group in (self.gateways, list(self.workers.values())):
            running = [process for process in group if process.alive]
            for process in running:
                process.terminate()
            for process in running:
                process.wait(timeout_s)
        for process in self.processes:
            process.release()

    def _worker(self, name: str, service: str) -> OwnProcess:
        environment = {**self._environment, **self._own.get(service, {})}
        return OwnProcess(name, ["workers", service], environment, self._logs / f"{name}.log")

    def _gateway(self, number: int, port: int) -> OwnProcess:
        name = f"gateway-{number}"
        environment = {
            **self._admission,
            **self._environment,
            **self._own.get("gateway", {}),
            **self._own.get(name, {}),
            "OCPP_GATEWAY_LISTEN_HOST": "127.0.0.1",
            "OCPP_GATEWAY_LISTEN_PORT": str(port),
        }
        return OwnProcess(name, ["gateway", "run"], environment, self._logs / f"{name}.log")
