"""A PostgreSQL server of our own, on loopback."""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tools.nodes import binaries
from tools.nodes.faces import NodeFailed, NodeUnavailable
from tools.nodes.guarded import GuardedProcess, end_of
from tools.nodes.ports import accepts, free_ports
from tools.nodes.sql import SqlAdmin, with_database

_START_TIMEOUT_S = 60
_STOP_TIMEOUT_S = 30
_POLL_S = 0.02
_ROLE = "ocpp"
_UNPRIVILEGED = "postgres"


class PrivatePostgres:
    """A server with a cluster of its own below `data_dir`, reachable by TCP on 127.0.0.1 with a password of its own.

    Blocking; `start` raises NodeUnavailable without PostgreSQL on this machine and NodeFailed if the server does not
    come up. Runs until `stop`, or until this process ends. Port and data survive `stop`, `kill` and `restart`.
    PostgreSQL refuses to run as root: then it runs as the user postgres, and if that user cannot reach
    `data_dir`, the cluster lies in a directory below /var/tmp, deleted by `discard` or when this process dies.
    `fsync=False` is quicker, and loses data when the server is killed.
    """

    def __init__(self, data_dir: Path, *, fsync: bool = True) -> None:
        self.data_dir = data_dir.absolute()
        self.log = self.data_dir / "postgres.log"
        self._fsync = fsync
        self._port = 0
        self._password = ""
        self._user = _UNPRIVILEGED if os.geteuid() == 0 else None
        self._cluster: Path | None = None
        self._elsewhere: Path | None = None
        self._server: GuardedProcess | None = None

    @property
    def url(self) -> str:
        """The URL of the database `ocpp`, as SQLAlchemy takes it."""
        return with_database(self._admin_url, "ocpp")

    @property
    def pid(self) -> int | None:
        """Of the server's first process, while there is one."""
        return None if self._server is None else self._server.pid

    @property
    def running(self) -> bool:
        """Whether the server's process is alive."""
        return self._server is not None and self._server.alive

    @property
    def _admin_url(self) -> str:
        if not self._port:
            raise NodeFailed("the database server has not been started")
        return f"postgresql+asyncpg://{_ROLE}:{self._password}@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        """Start the server, its cluster made if there is none, and return when it answers."""
        if self.running:
            return
        programs = binaries.postgres_directory()
        try:
            self._start_on_a_port(programs, self._prepare(programs))
            if not SqlAdmin(self.url).answers():
                SqlAdmin(self._admin_url).create_database("ocpp")
        except BaseException:  # such as KeyboardInterrupt: leave nothing behind
            self._end_process()
            raise

    def stop(self) -> None:
        """Cut all connections and stop the server in good order; idempotent."""
        if self._server is not None:
            self._server.signal_leader(signal.SIGINT)  # PostgreSQL's fast shutdown
            self._server.wait(_STOP_TIMEOUT_S)
        self._end_process()

    def kill(self) -> None:
        """End all of the server's processes as a crash would, with SIGKILL."""
        self._end_process()

    def restart(self) -> None:
        """Start again on the same port with the same data, after a stop in good order unless it is dead already."""
        self.stop()
        self.start()

    def discard(self) -> None:
        """End everything at once and delete the cluster."""
        self._end_process()
        for path in (self.data_dir, self._elsewhere):
            if path is not None:
                shutil.rmtree(path, ignore_errors=True)
        self._cluster = self._elsewhere = None

    def kill_backends(self) -> int:
        """Cut all client connections; return how many there were."""
        return SqlAdmin(self._admin_url).kill_backends()

    def create_database(self, name: str) -> str:
        """Return the URL of a new, empty database."""
        return SqlAdmin(self._admin_url).create_database(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, cutting those who use it."""
        SqlAdmin(self._admin_url).drop_database(name)

    def _prepare(self, programs: Path) -> Path:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        if self._cluster is not None:
            return self._cluster
        home = self._reachable_home()
        cluster = home / "cluster"
        secret = home / "password"
        if not (cluster / "PG_VERSION").exists():
            shutil.rmtree(cluster, ignore_errors=True)  # what an interrupted initdb left
            secret.touch(mode=0o600)
            secret.write_text(secrets.token_hex(16))
            if self._user:
                shutil.chown(secret, self._user, self._user)
            self._initdb(programs, cluster, secret)
        self._password = secret.read_text()
        self._cluster = cluster
        return cluster

    def _initdb(self, programs: Path, cluster: Path, secret: Path) -> None:
        command: list[str | Path] = [programs / "initdb", "--pgdata", cluster, "--username", _ROLE, "--pwfile", secret]
        command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"]
        command += [] if self._fsync else ["--no-sync"]
        made = self._run(command, cwd=cluster.parent)
        if made.returncode != 0:
            raise NodeFailed(f"initdb failed:\n{made.stdout[-2_000:]}")

    def _start_on_a_port(self, programs: Path, cluster: Path) -> None:
        candidates = [self._port] if self._port else free_ports(3)  # another may take a fresh one before we do
        for port in candidates:
            self._port = port
            self._launch(programs, cluster)
            if self._became_ready():
                return
            self._end_process()
        self._port = 0 if len(candidates) > 1 else self._port
        raise NodeFailed(f"the database server did not start:\n{end_of(self.log)}")

    def _launch(self, programs: Path, cluster: Path) -> None:
        switch = "on" if self._fsync else "off"
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self._port),
            "unix_socket_directories": "",  # one way in is enough, and no path-length limit to mind
            "fsync": switch,
            "full_page_writes": switch,
            "max_connections": "100",
            "shared_buffers": "64MB",
            "log_min_messages": "warning",
        }
        command: list[str | Path] = [programs / "postgres", "-D", cluster]
        for key, value in settings.items():
            command += ["-c", f"{key}={value}"]
        gone_with_us = [] if self._elsewhere is None else [self._elsewhere]
        self._server = GuardedProcess(
            command, env=self._env(), log=self.log, cwd=cluster.parent, user=self._user, remove=gone_with_us
        )

    def _became_ready(self) -> bool:
        deadline = time.monotonic() + _START_TIMEOUT_S
        admin = SqlAdmin(self._admin_url)
        while not (accepts(self._port) and admin.answers()):
            if self._server is None or self._server.wait(_POLL_S) or time.monotonic() > deadline:
                return False
        return True

    def _end_process(self) -> None:
        if self._server is not None:
            backends = _descendants(self._server.pid)
            self._server.kill()
            self._server = None
            _end(backends)  # they are in sessions of their own, and would finish their statement first

    def _reachable_home(self) -> Path:
        if self._user is None:
            return self.data_dir
        try:
            pwd.getpwnam(self._user)
        except KeyError:
            raise NodeUnavailable(
                f"PostgreSQL does not run as root, and this machine has no user {self._user} for it. "
                "Set DATABASE_URL, or run as another user."
            ) from None
        home = self.data_dir / "postgres"
        home.mkdir(exist_ok=True)
        shutil.chown(home, self._user, self._user)
        if self._run(["test", "-w", home], cwd=Path("/")).returncode == 0:
            return home
        self._elsewhere = Path(tempfile.mkdtemp(prefix="ocpp-postgres-", dir="/var/tmp"))
        shutil.chown(self._elsewhere, self._user, self._user)
        print(f"PostgreSQL's user cannot reach {self.data_dir}; its data are in {self._elsewhere}", file=sys.stderr)
        return self._elsewhere

    def _run(self, command: list[str | Path], *, cwd: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env=self._env(),
            cwd=cwd,
            user=self._user,
            group=self._user,
            extra_groups=None if self._user is None else [],
        )

    def _env(self) -> dict[str, str]:
        return {"PATH": binaries.search_path(), "LANG": "C.UTF-8", "TZ": "UTC"}


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _end(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    deadline = time.monotonic() + _STOP_TIMEOUT_S
    while any(_lives(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
