"""The same nodes as containers, for machines that have a Docker engine and no servers of their own."""

import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tools.nodes import binaries
from tools.nodes.faces import NodeFailed
from tools.nodes.guarded import GuardedProcess, end_of
from tools.nodes.management import ManagementApi, with_vhost
from tools.nodes.ports import free_ports
from tools.nodes.rabbitmq import quorum_queues_are_in, speaks_amqp
from tools.nodes.sql import SqlAdmin, with_database

RABBITMQ_IMAGE = "rabbitmq:3.13-management"
POSTGRES_IMAGE = "postgres:15"

_READY_TIMEOUT_S = 120
_END_TIMEOUT_S = 30
_POLL_S = 0.2


def docker_answers() -> bool:
    """Whether this user can reach a Docker engine."""
    program = shutil.which("docker", path=binaries.search_path())
    if program is None:
        return False
    try:
        asked = subprocess.run(
            [program, "info"], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=15
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


class _Container:
    """One container with fixed ports on 127.0.0.1, removed when this process ends; its data live as long as it does."""

    def __init__(self, image: str, data_dir: Path, *, inner_ports: tuple[int, ...]) -> None:
        self.data_dir = data_dir.absolute()
        self.log = self.data_dir / "container.log"
        self.ports: list[int] = []
        self._image = image
        self._inner_ports = inner_ports
        self._name = f"ocpp-{self.data_dir.name}-{secrets.token_hex(4)}"
        self._attached: GuardedProcess | None = None

    @property
    def running(self) -> bool:
        return self._attached is not None and self._attached.alive

    def start(self, options: list[str], command: list[str], ready: Callable[[], bool]) -> None:
        if self.running:
            return
        self.data_dir.mkdir(parents=True, exist_ok=True)
        if not self.ports:
            ports = free_ports(len(self._inner_ports))
            publish = [
                f"--publish=127.0.0.1:{mine}:{inner}" for mine, inner in zip(ports, self._inner_ports, strict=True)
            ]
            print(f"creating a container of {self._image} (pulled first if it is not here)", file=sys.stderr)
            _docker("create", f"--name={self._name}", *publish, *options, self._image, *command)
            self.ports = ports
        self._attached = GuardedProcess(
            [_program(), "start", "--attach", self._name],
            env=dict(os.environ),  # which engine to ask is in it
            log=self.log,
            cwd=self.data_dir,
            farewell=[_program(), "rm", "--force", "--volumes", self._name],
        )
        deadline = time.monotonic() + _READY_TIMEOUT_S
        while not ready():
            if self._attached.wait(_POLL_S) or time.monotonic() > deadline:
                raise NodeFailed(f"the container of {self._image} did not become ready:\n{end_of(self.log)}")

    def end(self, verb: str) -> None:
        """Stop or kill it; the container and its data stay."""
        if self._attached is not None:
            if self.running:
                _docker(verb, self._name)
                self._attached.wait(_END_TIMEOUT_S)
            self._attached.release()
            self._attached = None

    def remove(self) -> None:
        if self.ports:
            _docker("rm", "--force", "--volumes", self._name)
            self.ports = []
        self.end("kill")
        shutil.rmtree(self.data_dir, ignore_errors=True)

    def read(self, pattern: str) -> bytes:
        """The content of files inside the container."""
        return _docker("exec", self._name, "sh", "-c", f"cat {pattern}")

    def control(self, *command: str) -> str:
        """Run a command inside; what it printed."""
        return _docker("exec", self._name, *command).decode()

    def port(self, index: int) -> int:
        if not self.ports:
            raise NodeFailed(f"the container of {self._image} has not been started")
        return self.ports[index]


class DockerRabbit:
    """`PrivateRabbit` as a container."""

    def __init__(self, data_dir: Path) -> None:
        self._container = _Container(RABBITMQ_IMAGE, data_dir, inner_ports=(5672, 15672, 15692))

    @property
    def amqp_url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self._container.port(0)}/"

    @property
    def management_url(self) -> str:
        return f"http://guest:guest@127.0.0.1:{self._container.port(1)}"

    @property
    def running(self) -> bool:
        return self._container.running

    def start(self) -> None:
        plugins = "rabbitmq-plugins enable --offline rabbitmq_prometheus rabbitmq_consistent_hash_exchange"
        command = ["sh", "-c", f"{plugins} && exec docker-entrypoint.sh rabbitmq-server"]
        # The host name is part of the node's name, and so of where its data are.
        self._container.start(["--hostname=rabbit"], command, self._is_ready)

    def stop(self) -> None:
        self._container.end("stop")

    def kill(self) -> None:
        deadline = time.monotonic() + _END_TIMEOUT_S
        while self._container.running and not self._settled() and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        self._container.end("kill")

    def restart(self) -> None:
        self.stop()
        self.start()

    def discard(self) -> None:
        self._container.remove()

    def create_vhost(self, name: str) -> str:
        ManagementApi(self.management_url).create_vhost(name)
        return with_vhost(self.amqp_url, name)

    def delete_vhost(self, name: str) -> None:
        ManagementApi(self.management_url).delete_vhost(name)

    def control(self, *arguments: str) -> str:
        """Run rabbitmqctl inside the container; what it printed."""
        return self._container.control("rabbitmqctl", "-q", *arguments)

    def _is_ready(self) -> bool:
        return speaks_amqp(self._container.port(0)) and ManagementApi(self.management_url).answers()

    def _settled(self) -> bool:
        registers = self._container.read("/var/lib/rabbitmq/mnesia/*/quorum/*/names.dets")
        return quorum_queues_are_in(registers, self.management_url)


class DockerPostgres:
    """`PrivatePostgres` as a container."""

    def __init__(self, data_dir: Path) -> None:
        self._container = _Container(POSTGRES_IMAGE, data_dir, inner_ports=(5432,))
        self._password = secrets.token_hex(16)

    @property
    def url(self) -> str:
        return f"postgresql+asyncpg://ocpp:{self._password}@127.0.0.1:{self._container.port(0)}/ocpp"

    @property
    def _admin(self) -> SqlAdmin:
        return SqlAdmin(with_database(self.url, "postgres"))

    def start(self) -> None:
        options = ["--env=POSTGRES_USER=ocpp", f"--env=POSTGRES_PASSWORD={self._password}", "--env=POSTGRES_DB=ocpp"]
        # The image first runs a server for its own set-up, which is not reachable by TCP.
        self._container.start(options, [], lambda: SqlAdmin(self.url).answers())

    def stop(self) -> None:
        self._container.end("stop")

    def kill(self) -> None:
        self._container.end("kill")

    def restart(self) -> None:
        self.stop()
        self.start()

    def discard(self) -> None:
        self._container.remove()

    def kill_backends(self) -> int:
        return self._admin.kill_backends()

    def create_database(self, name: str) -> str:
        return self._admin.create_database(name)

    def drop_database(self, name: str) -> None:
        self._admin.drop_database(name)


def _program() -> str:
    found = shutil.which("docker", path=binaries.search_path())
    if found is None:
        raise NodeFailed("there is no docker command on PATH")
    return found


def _docker(*arguments: str) -> bytes:
    done = subprocess.run(
        [_program(), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        raise NodeFailed(f"docker {arguments[0]} failed: {done.stderr.decode(errors='replace').strip()[-2_000:]}")
    return done.stdout
