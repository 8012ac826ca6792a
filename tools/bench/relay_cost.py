"""What a relayed Call and an idle socket cost a gateway: `python -m tools.bench.relay_cost`.

Real processes and a real broker; a worker that answers at once. CPU time of the gateway alone, from the Call in to the
answer out, so that what else the machine does matters little; beside it the bare echo of the `websockets` library,
measured in turns.
"""

import argparse
import asyncio
import os
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvloop
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tools.bench.callers import ECHO, Callers
from tools.nodes import broker_for
from tools.nodes.guarded import GuardedProcess
from tools.nodes.ports import free_ports
from tools.stack import ROOT, SIMULATED, OwnProcess

WARM_SOCKETS = 200
"""Opened before memory is read the first time, and closed: a gateway has always seen some come and go."""

IN_FLIGHT = 100
ROUNDS = 5
SETTLE_S = 6.0
_TICKS = os.sysconf("SC_CLK_TCK")
PATIENT = {
    "OCPP_GATEWAY_FRAMES_PER_SECOND": "1000",
    "OCPP_GATEWAY_BYTES_PER_SECOND": "1000000",
    "OCPP_GATEWAY_TLS_HANDSHAKE_TIMEOUT_SECONDS": "100",
    "OCPP_GATEWAY_HANDSHAKE_TIMEOUT_SECONDS": "100",
    "OCPP_GATEWAY_ADMISSION_TIMEOUT_SECONDS": "100",
}
"""Limits that nothing here meets, but all of them in force."""


def cpu_s(pid: int) -> float:
    """CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def rss_kb(pid: int) -> int:
    """Kilobytes of a process in memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


class Servers:
    """A gateway with its worker, and the bare echo; `stop` ends them."""

    def __init__(self, amqp_url: str, folder: Path, settings: dict[str, str]) -> None:
        self.port, self.tls_port, self.echo_port, self.sink_port = free_ports(4)
        certificate, key = _certificate(folder)
        environment = {
            **SIMULATED,
            **PATIENT,
            **settings,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.sink_port}",
            "AMQP_URL": amqp_url,
            "OCPP_GATEWAY_LISTEN_HOST": "127.0.0.1",
            "OCPP_GATEWAY_LISTEN_PORT": str(self.port),
            "OCPP_GATEWAY_TLS_LISTEN_HOST": "127.0.0.1",
            "OCPP_GATEWAY_TLS_LISTEN_PORT": str(self.tls_port),
            "OCPP_GATEWAY_TLS_CERT_FILES": str(certificate),
            "OCPP_GATEWAY_TLS_KEY_FILES": str(key),
        }
        self.gateway = OwnProcess("gateway", ["gateway", "run"], environment, folder / "gateway.log")
        self._folder = folder
        self._amqp_url = amqp_url
        self._others: list[GuardedProcess] = []
        self.echo_pid = 0

    def start(self) -> None:
        self._start_other("trace_sink", str(self.sink_port))
        self.gateway.start()
        self.gateway.await_ready()
        self._start_other("echo_worker")
        self.echo_pid = self._start_other("bare_echo", str(self.echo_port)).pid
        time.sleep(2)

    def stop(self) -> None:
        for process in self._others:
            process.kill()
        self.gateway.release()

    def _start_other(self, name: str, *arguments: str) -> GuardedProcess:
        command = [sys.executable, "-m", f"tools.bench.{name}", *arguments]
        environment = {**os.environ, "AMQP_URL": self._amqp_url}
        process = GuardedProcess(command, env=environment, log=self._folder / f"{name}.log", cwd=ROOT)
        self._others.append(process)
        return process


async def measure(servers: Servers, sockets: int, calls: int, at_once: int, *, tls: bool) -> None:
    """Open the sockets, print what each costs idle, then what Calls cost."""
    pid = servers.gateway.pid
    context = _trusting() if tls else None
    port = servers.tls_port if tls else servers.port
    warming, callers = Callers(port, context=context), Callers(port, context=context)
    echo = Callers(servers.echo_port, subprotocol=ECHO)
    name = f"{sockets:6} sockets, {'TLS 1.3' if tls else 'plain  '}"
    try:
        await warming.grow(WARM_SOCKETS, at_once)
        await warming.calls(10 * WARM_SOCKETS, IN_FLIGHT)
        warming.close()
        await asyncio.sleep(SETTLE_S)
        before = rss_kb(pid)
        await callers.grow(sockets, at_once)
        await asyncio.sleep(SETTLE_S)
        idle_kb = (rss_kb(pid) - before) / sockets
        await echo.grow(WARM_SOCKETS, at_once)
        relayed, echoed, rates = [], [], []
        for _ in range(ROUNDS):
            began, used = time.perf_counter(), cpu_s(pid)
            await callers.calls(calls // ROUNDS, IN_FLIGHT)
            relayed.append((cpu_s(pid) - used) / (calls // ROUNDS) * 1e6)
            rates.append(calls // ROUNDS / (time.perf_counter() - began))
            used = cpu_s(servers.echo_pid)
            await echo.calls(calls // ROUNDS, IN_FLIGHT)
            echoed.append((cpu_s(servers.echo_pid) - used) / (calls // ROUNDS) * 1e6)
        busy_kb = (rss_kb(pid) - before) / sockets
    finally:
        callers.close()
        echo.close()
    call, bare = statistics.median(relayed), statistics.median(echoed)
    print(
        f"{name}: {call:5.1f} us per Call (least {min(relayed):.1f}; bare echo {bare:.1f}, ratio {call / bare:.2f}; "
        f"{statistics.median(rates):,.0f} Calls/s), {idle_kb:5.1f} KB per idle socket ({busy_kb:.1f} after the Calls)",
        flush=True,
    )


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed one of this run, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, SHA256())
    )
    files = folder / "bench.pem", folder / "bench.key"
    files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files


def _trusting() -> ssl.SSLContext:
    """Takes any certificate: the server is our own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _traces(share: float | None) -> dict[str, str]:
    if share is None:
        return {}
    return {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": str(share),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.relay_cost", description=__doc__)
    parser.add_argument("--sockets", type=int, nargs="*", default=[1000, 5000, 18_000])
    parser.add_argument("--tls-sockets", type=int, nargs="*", default=[1000, 5000])
    parser.add_argument("--calls", type=int, default=40_000, help="for each line")
    parser.add_argument("--at-once", type=int, default=200, help="sockets that open at the same time")
    parser.add_argument("--frame-log", choices=("on", "off"), default="off")
    parser.add_argument("--traces", type=float, help="share of the Calls whose traces are recorded; else none are")
    options = parser.parse_args(arguments)
    if min([*options.sockets, *options.tls_sockets, options.at_once, options.calls // ROUNDS], default=1) < 1:
        parser.error(f"there is nothing to measure without sockets, and without {ROUNDS} calls")
    runs = [(count, False) for count in options.sockets] + [(count, True) for count in options.tls_sockets]
    settings = {"OCPP_GATEWAY_FRAME_LOG": options.frame_log, **_traces(options.traces)}
    with tempfile.TemporaryDirectory(prefix="bench-", dir=ROOT / ".dev") as folder:
        broker = broker_for(Path(folder) / "rabbit")
        try:
            broker.start()
            for sockets, tls in runs:  # a new gateway for each: memory that was freed would be used again
                servers = Servers(broker.amqp_url, Path(folder), settings)
                try:
                    servers.start()
                    uvloop.run(measure(servers, sockets, options.calls, options.at_once, tls=tls))
                finally:
                    servers.stop()
        finally:
            broker.discard()
    return 0


if __name__ == "__main__":
    sys.exit(main())
