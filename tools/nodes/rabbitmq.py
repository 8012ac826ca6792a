"""A RabbitMQ node of our own, on loopback."""

import fcntl
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TextIO

from tools.nodes import binaries
from tools.nodes.faces import NodeFailed
from tools.nodes.guarded import GuardedProcess, end_of
from tools.nodes.management import ManagementApi, with_vhost
from tools.nodes.ports import accepts, free_ports

_PLUGINS = "[rabbitmq_management,rabbitmq_prometheus,rabbitmq_consistent_hash_exchange]."
_START_TIMEOUT_S = 120
_STOP_TIMEOUT_S = 30
_SETTLE_TIMEOUT_S = 10
_POLL_S = 0.05

_CONFIGURATION = """\
listeners.tcp.default = 127.0.0.1:{amqp}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management}
prometheus.tcp.ip = 127.0.0.1
prometheus.tcp.port = {prometheus}
# gauges of queue depth are at most this old; 5 s by default
collect_statistics_interval = 1000
disk_free_limit.absolute = 50MB
vm_memory_high_watermark.absolute = 1GB
# the quorum queues' write-ahead log is kept in memory too, by default half a gigabyte of it
raft.wal_max_size_bytes = 33554432
log.console = true
log.console.level = info
log.file = false
"""
_TLS_CONFIGURATION = """\
listeners.ssl.default = 127.0.0.1:{amqps}
ssl_options.cacertfile = {root}/tls/ca.pem
ssl_options.certfile = {root}/tls/server.pem
ssl_options.keyfile = {root}/tls/server.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = false
"""
# The node needs no other name. Asking DNS for an IPv6 localhost costs five seconds where no DNS answers.
_NAMES = """\
{hosts_file, ""}.
{host, {127,0,0,1}, ["localhost"]}.
{lookup, [file]}.
"""

_ERLANG_ARGUMENTS = (
    "-noinput",
    "-kernel inet_dist_use_interface {127,0,0,1}",
    "+S 2:2 +SDio 4 +A 8",
)
# Booting is tens of thousands of tiny file operations, each a hand-over between threads. RabbitMQ's default,
# to sleep at once, made that 9-18 s instead of 4 s on two virtual cores; but under load it costs a seventh less CPU.
_BUSY_WAITING = "+sbwt very_short +sbwtdio very_short"


class PrivateRabbit:
    """A single node with a port mapper, cookie, configuration, data and log of its own, all below `data_dir`.

    Blocking; `start` raises NodeUnavailable without RabbitMQ on this machine and NodeFailed if the node does not come
    up. Runs until `stop`, or until this process ends. Its ports and data survive `stop`, `kill` and `restart`.
    """

    def __init__(self, data_dir: Path, *, name: str = "rabbit", tls: bool = False, for_load: bool = False) -> None:
        """`tls`: listen for amqps too, with the files ca.pem, server.pem and server.key of `tls_dir`.

        `for_load`: idle threads sleep at once, as in production, which boots slowly and leaves the CPU to others.
        """
        self.data_dir = data_dir.absolute()
        self.tls_dir = self.data_dir / "tls"
        self._tls = tls
        self._for_load = for_load
        self.name = name
        self.log = self.data_dir / "rabbitmq.log"
        self._ports: dict[str, int] = {}
        self._epmd: GuardedProcess | None = None
        self._node: GuardedProcess | None = None
        self._claimed: TextIO | None = None

    @property
    def amqp_url(self) -> str:
        """The default vhost's URL."""
        return f"amqp://guest:guest@127.0.0.1:{self._port('amqp')}/"

    @property
    def amqps_url(self) -> str:
        """The same over TLS, by the name localhost."""
        return f"amqps://guest:guest@localhost:{self._port('amqps')}/"

    @property
    def management_url(self) -> str:
        """The management API with its credentials."""
        return f"http://guest:guest@127.0.0.1:{self._port('management')}"

    @property
    def metrics_url(self) -> str:
        """Prometheus metrics, with the depth and the consumers of each queue."""
        families = "family=queue_coarse_metrics&family=queue_consumer_count"
        return f"http://127.0.0.1:{self._port('prometheus')}/metrics/detailed?{families}"

    @property
    def pid(self) -> int | None:
        """Of the node's process, while there is one."""
        return None if self._node is None else self._node.pid

    @property
    def running(self) -> bool:
        """Whether the node's process is alive."""
        return self._node is not None and self._node.alive

    def start(self) -> None:
        """Start the node and return when it takes AMQP connections and management requests."""
        if self.running:
            return
        self.kill()  # a node that ended by itself still holds its guard
        attempts = 1 if self._ports else 3  # a fresh port may be lost to somebody else between choice and use
        for attempt in range(1, attempts + 1):
            try:
                self._launch()
                self._await_ready()
            except NodeFailed:
                self._end_processes()
                if attempt == attempts:
                    raise
                self._ports = {}
            except BaseException:  # such as KeyboardInterrupt: leave nothing behind
                self._end_processes()
                raise
            else:
                return

    def stop(self) -> None:
        """Stop the node in good order, which takes about 6 s, then its port mapper; idempotent."""
        if self._node is not None:
            self._node.signal_leader(signal.SIGTERM)
            self._node.wait(_STOP_TIMEOUT_S)
        self._end_processes()

    def discard(self) -> None:
        """End everything at once and delete the data directory."""
        self._end_processes()
        shutil.rmtree(self.data_dir, ignore_errors=True)

    def kill(self) -> None:
        """End the node with SIGKILL, as a crash would, once its quorum queues are registered (see `settled`)."""
        if self._node is not None:
            deadline = time.monotonic() + _SETTLE_TIMEOUT_S
            while self._node.alive and not self.settled() and time.monotonic() < deadline:
                self._node.wait(_POLL_S)
            self._node.kill()
            self._node = None

    def settled(self) -> bool:
        """Whether every quorum queue would survive a crash now.

        RabbitMQ writes the list of its quorum queues up to a second after it answered the declaration. A queue lost
        from that list never elects a leader again, whatever it had confirmed: the broker's flaw, not a test's subject.
        """
        registers = self.data_dir.glob("data/*/quorum/*/names.dets")
        return quorum_queues_are_in(b"".join(path.read_bytes() for path in registers), self.management_url)

    def restart(self) -> None:
        """Start again on the same ports with the same data, after a stop in good order unless it is dead already."""
        self.stop()
        self.start()

    def create_vhost(self, name: str) -> str:
        """Return the AMQP URL of a new, empty vhost."""
        ManagementApi(self.management_url).create_vhost(name)
        return with_vhost(self.amqp_url, name)

    def delete_vhost(self, name: str) -> None:
        """Delete a vhost with all it holds."""
        ManagementApi(self.management_url).delete_vhost(name)

    def control(self, *arguments: str) -> str:
        """Run rabbitmqctl against this node, which takes about 2 s; what it printed. NodeFailed when it fails."""
        command = [str(binaries.rabbitmq_server().with_name("rabbitmqctl")), "-q", "-n", f"{self.name}@localhost"]
        ran = subprocess.run([*command, *arguments], env=self._prepare(), capture_output=True, text=True, check=False)
        if ran.returncode != 0:
            raise NodeFailed(f"rabbitmqctl {' '.join(arguments)} failed: {ran.stderr or ran.stdout}")
        return ran.stdout

    def _port(self, name: str) -> int:
        if not self._ports:
            raise NodeFailed(f"the broker node {self.name} has not been started")
        return self._ports[name]

    def _launch(self) -> None:
        server, port_mapper = binaries.rabbitmq_server(), binaries.epmd()
        self._claim()
        if not self._ports:
            names = ("amqp", "management", "prometheus", "distribution", "epmd", "amqps")
            self._ports = dict(zip(names, free_ports(len(names)), strict=True))
        env = self._prepare()
        if self._epmd is None or not self._epmd.alive:
            # Started here and not by Erlang, which would make a daemon of it that nobody ends.
            self._epmd = GuardedProcess([port_mapper], env=env, log=self.data_dir / "epmd.log", cwd=self.data_dir)
            self._await_epmd(self._epmd)
        self._node = GuardedProcess([server], env=env, log=self.log, cwd=self.data_dir)

    def _claim(self) -> None:
        # Erlang would let a second node, with a port mapper of its own, loose on the same data.
        if self._claimed is None:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            claim = (self.data_dir / "claim").open("w")
            try:
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                claim.close()
                raise NodeFailed(f"another process runs a broker node in {self.data_dir}; end it first") from None
            self._claimed = claim

    def _prepare(self) -> dict[str, str]:
        root = self.data_dir
        root.mkdir(parents=True, exist_ok=True)
        configuration = _CONFIGURATION + (_TLS_CONFIGURATION if self._tls else "")
        (root / "rabbitmq.conf").write_text(configuration.format(root=root, **self._ports))
        (root / "enabled_plugins").write_text(_PLUGINS + "\n")
        (root / "rabbitmq-env.conf").write_text("")
        (root / "inetrc").write_text(_NAMES)
        cookie = root / ".erlang.cookie"
        if not cookie.exists():
            cookie.touch(mode=0o600)
            cookie.write_text(secrets.token_hex(16))
            cookie.chmod(0o400)
        return {
            "PATH": binaries.search_path(),
            "LANG": "C.UTF-8",
            "HOME": str(root),  # where Erlang looks for the cookie
            "ERL_INETRC": str(root / "inetrc"),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._ports["epmd"]),
            "RABBITMQ_NODENAME": f"{self.name}@localhost",
            "RABBITMQ_DIST_PORT": str(self._ports["distribution"]),
            "RABBITMQ_CONF_ENV_FILE": str(root / "rabbitmq-env.conf"),  # instead of the machine's
            "RABBITMQ_CONFIG_FILE": str(root / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(root / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(root / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(root / "data"),
            "RABBITMQ_LOG_BASE": str(root / "log"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(root / "generated"),
            "RABBITMQ_PID_FILE": str(root / "rabbitmq.pid"),
            # Allowed input makes the script become the Erlang machine instead of its parent, so that one pid is the
            # node; -noinput takes the shell away again.
            "RABBITMQ_ALLOW_INPUT": "1",
            "RABBITMQ_SCHEDULER_BIND_TYPE": "u",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": " ".join(
                _ERLANG_ARGUMENTS if self._for_load else (*_ERLANG_ARGUMENTS, _BUSY_WAITING)
            ),
        }

    def _await_epmd(self, port_mapper: GuardedProcess) -> None:
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        while not accepts(self._ports["epmd"]):
            if port_mapper.wait(_POLL_S) or time.monotonic() > deadline:
                raise NodeFailed(f"epmd did not start: {end_of(self.data_dir / 'epmd.log')}")

    def _await_ready(self) -> None:
        node, api = self._node, ManagementApi(self.management_url)
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not (speaks_amqp(self._ports["amqp"]) and api.answers()):
            if node is None or node.wait(_POLL_S):
                raise NodeFailed(f"the broker node {self.name} ended while starting:\n{end_of(self.log)}")
            if time.monotonic() > deadline:
                raise NodeFailed(
                    f"the broker node {self.name} was not ready in {_START_TIMEOUT_S} s:\n{end_of(self.log)}"
                )

    def _end_processes(self) -> None:
        for process in (self._node, self._epmd):
            if process is not None:
                process.kill()
        self._node = self._epmd = None
        if self._claimed is not None:
            self._claimed.close()
            self._claimed = None


def quorum_queues_are_in(register: bytes, management_url: str) -> bool:
    """Whether the broker's own register, as it is on disk, names all its quorum queues; True if it cannot be asked."""
    try:
        queues = ManagementApi(management_url).request("GET", "/api/queues?columns=name,vhost,type", timeout_s=5)
    except NodeFailed:
        return True
    return all(
        f"{queue['vhost'].replace('/', '%2F')}_{queue['name']}".encode() in register
        for queue in queues
        if queue["type"] == "quorum"
    )


def speaks_amqp(port: int) -> bool:
    """Whether a broker on this loopback port opens an AMQP conversation."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"  # a method frame: Connection.Start
    except OSError:
        return False
