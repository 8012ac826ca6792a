"""A whole system on this machine, for one run: broker, database, gateways and workers, and every fault for real."""

import resource
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from loadtest.parsing import tag_list
from loadtest.scenarios.system import Fault, Part, SystemFailed, Usage
from tools.attacks.certificates import RunAuthority
from tools.load.records import Recorded, recorded
from tools.load.slowing import Slowing
from tools.load.usage import usage_of
from tools.nodes import (
    Database,
    KillableBroker,
    NodeFailed,
    PrivatePostgres,
    PrivateRabbit,
    broker_for,
    database_for,
)
from tools.nodes.given import GivenBroker
from tools.nodes.ports import free_ports
from tools.stack import SERVICES, SIMULATED, OwnProcess, Stack
from workers.errors import StoreUnavailableError

ID_TAGS = "LOAD-0001..1000"
"""On record as accepted, each for any number of transactions at once."""
BROKER, STORE = "broker", "store"
SLOWED = "metering"
_DRAIN_TIMEOUT_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the system is to consist of. Given servers (AMQP_URL, DATABASE_URL) are used as they are."""

    gateways: int = 1
    replicas: Mapping[str, int] = field(default_factory=dict)
    """Of services; one each where nothing is said."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Environment of all processes, as an operator sets it."""
    sqlite: bool = False
    tls: bool = False
    """Serve wss:// too, with a certificate made for the run."""
    limits: bool = False
    """Keep the limits on handshakes, reconnects and frames of production; else they are off."""
    quick_start: bool = False
    """Have the broker start quickly, and cost more CPU under load."""

    def __post_init__(self) -> None:
        if self.gateways < 1 or any(count < 1 for count in self.replicas.values()):
            raise ValueError("a system has at least one gateway, and one worker of each service")
        unknown = sorted(self.replicas.keys() - set(SERVICES))
        if unknown:
            raise ValueError(f"there is no service {', '.join(unknown)}; there are {', '.join(SERVICES)}")


class LocalSystem:
    """Runs within a `with` block and blocks where it waits; a `System` for the scenarios.

    Its data lie in `folder` and are gone afterwards; the processes' logs stay, in `logs`. Entering raises NodeFailed or
    NodeUnavailable, in words for the user.
    """

    def __init__(self, plan: Plan, folder: Path, tell: Callable[[str], None] | None = None) -> None:
        self.plan = plan
        self.logs = folder / "logs"
        self._folder = folder
        self._tell = tell or _silent
        self._undo = ExitStack()
        self._broker: GivenBroker | KillableBroker
        self._database: Database | None = None
        self._database_url = ""
        self._stack: Stack
        self._authority: RunAuthority | None = None
        self._tls_ports: list[int] = []
        self._pids: dict[str, int] = {}
        """Of each part that runs; kept here since `usage` is asked from other threads than faults are done in."""
        self._spent: dict[str, float] = {}
        self._slowing: Slowing | None = None
        self._before = Recorded()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:  # such as KeyboardInterrupt: leave nothing behind
            self._undo.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    @property
    def stack(self) -> Stack:
        """Its gateways and workers."""
        return self._stack

    @property
    def database_url(self) -> str:
        """Of the store."""
        return self._database_url

    @property
    def urls(self) -> Sequence[str]:
        """One for each gateway, killed ones too."""
        return self._stack.urls

    @property
    def secure_urls(self) -> Sequence[str]:
        """The same with TLS."""
        return [f"wss://localhost:{port}/ocpp" for port in self._tls_ports]

    @property
    def ca_file(self) -> str | None:
        """The run's own authority."""
        return None if self._authority is None else str(self._authority.ca_file)

    @property
    def amqp_url(self) -> str | None:
        """Of the broker."""
        return self._broker.amqp_url

    @property
    def parts(self) -> Sequence[Part]:
        """Gateways, workers, and the servers that are ours."""
        gateways = [Part(one.name, "gateway", f"{one.monitor_url}/metrics") for one in self._stack.gateways]
        workers = [Part(one.name, "worker", f"{one.monitor_url}/metrics") for one in self._stack.workers.values()]
        servers = []
        if isinstance(self._broker, PrivateRabbit):
            servers.append(Part(BROKER, "broker", self._broker.metrics_url))
        if isinstance(self._database, PrivatePostgres):
            servers.append(Part(STORE, "store"))
        return [*gateways, *workers, *servers]

    @property
    def faults(self) -> frozenset[Fault]:
        """All, but for the broker's where it is not ours."""
        return frozenset(Fault) - ({Fault.RESTART_BROKER} if isinstance(self._broker, GivenBroker) else set())

    def usage(self) -> Mapping[str, Usage]:
        """Of all that run now; what a part used up before a restart is included."""
        found = {name: usage_of(pid) for name, pid in list(self._pids.items())}
        return {
            name: Usage(usage.cpu_s + self._spent.get(name, 0.0), usage.rss_bytes)
            for name, usage in found.items()
            if usage is not None
        }

    def inflict(self, fault: Fault) -> None:
        """Do it; SystemFailed when it went wrong."""
        if fault not in self.faults:
            raise SystemFailed(f"{fault} cannot be done to a broker that is not ours")
        try:
            match fault:
                case Fault.KILL_GATEWAY:
                    self._gone(self._stack.gateways[0].name)
                    self._stack.gateways[0].kill()
                case Fault.RESTART_GATEWAYS:
                    self._restart_gateways()
                case Fault.RESTART_BROKER:
                    self._restart_broker()
                case Fault.SLOW_WORKER:
                    self._slow()
                case Fault.HEAL_WORKER:
                    self._heal()
        except NodeFailed as failed:
            raise SystemFailed(f"{fault}: {failed}") from None

    def revive(self) -> None:
        """Start the gateways that were killed, and return once they serve."""
        for gateway in self._stack.gateways:
            if gateway.name not in self._pids:
                gateway.start()
                gateway.await_ready()
                self._pids[gateway.name] = gateway.pid

    def transactions(self) -> Mapping[str, int] | None:
        """Those of this run; None when the store does not answer."""
        try:
            return asdict(recorded(self._database_url).since(self._before))
        except StoreUnavailableError:
            return None

    def _start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        _allow_many_sockets()
        self._start_servers()
        self._stack = self._made_stack()
        self._undo.callback(self._stack.stop)
        self._stack.migrate()
        self._stack.run_worker_command("provision", str(self._written_tags()))
        self._before = recorded(self._database_url)
        self._tell(f"starting {len(self._stack.workers)} workers and {self.plan.gateways} gateways")
        self._undo.callback(self._heal)
        self._stack.start()
        self._pids |= {process.name: process.pid for process in self._stack.processes}

    def _start_servers(self) -> None:
        self._broker = broker_for(self._folder / "rabbit", for_load=not self.plan.quick_start)
        ours = not isinstance(self._broker, GivenBroker)
        self._tell("starting a private RabbitMQ node" if ours else "using the broker of AMQP_URL")
        self._undo.callback(self._broker.discard)
        self._broker.start()
        self._note(BROKER, self._broker)
        if self.plan.sqlite:
            file = self._folder / "ocpp.db"
            self._undo.callback(_remove, file, file.with_name("ocpp.db-wal"), file.with_name("ocpp.db-shm"))
            self._database_url = f"sqlite+aiosqlite:///{file.absolute()}"
            return
        self._database = database_for(self._folder / "postgres")
        self._tell(
            "starting a private PostgreSQL" if isinstance(self._database, PrivatePostgres) else "using DATABASE_URL"
        )
        self._undo.callback(self._database.discard)
        self._database.start()
        self._note(STORE, self._database)
        self._database_url = self._database.url

    def _made_stack(self) -> Stack:
        own: dict[str, dict[str, str]] = {}
        if self.plan.tls:
            self._authority = RunAuthority(self._folder / "certificates")
            self._undo.callback(shutil.rmtree, self._folder / "certificates", ignore_errors=True)
            files = self._authority.server()
            self._tls_ports = free_ports(self.plan.gateways)
            for number, port in enumerate(self._tls_ports):
                own[f"gateway-{number}"] = {
                    "OCPP_GATEWAY_TLS_LISTEN_HOST": "127.0.0.1",
                    "OCPP_GATEWAY_TLS_LISTEN_PORT": str(port),
                    "OCPP_GATEWAY_TLS_CERT_FILES": str(files.certificate),
                    "OCPP_GATEWAY_TLS_KEY_FILES": str(files.key),
                }
        return Stack(
            amqp_url=self._broker.amqp_url,
            database_url=self._database_url,
            logs=self.logs,
            gateways=self.plan.gateways,
            replicas=self.plan.replicas,
            settings=self.plan.settings,
            own_settings=own,
            admission={} if self.plan.limits else SIMULATED,
        )

    def _written_tags(self) -> Path:
        file = self._folder / "tags.toml"
        self._undo.callback(_remove, file)
        file.write_text("".join(f'[[tokens]]\nid_token = "{tag}"\nconcurrent = true\n' for tag in tag_list(ID_TAGS)))
        return file

    def _restart_gateways(self) -> None:
        for gateway in self._stack.gateways:
            if gateway.name in self._pids:
                self._restart(gateway)

    def _restart(self, gateway: OwnProcess) -> None:
        self._gone(gateway.name)
        gateway.terminate()
        code = gateway.wait(_DRAIN_TIMEOUT_S)
        gateway.release()
        gateway.start()
        gateway.await_ready()
        self._pids[gateway.name] = gateway.pid
        if code != 0:
            how = f"with exit code {code}" if code is not None else f"not within {_DRAIN_TIMEOUT_S:.0f} s"
            raise NodeFailed(f"{gateway.name} did not end in order, but {how}")

    def _restart_broker(self) -> None:
        if isinstance(self._broker, GivenBroker):
            return
        self._gone(BROKER)
        self._broker.restart()
        self._note(BROKER, self._broker)

    def _note(self, name: str, node: object) -> None:
        """Keep the process id of a server, where it is a process of ours and not a container."""
        if isinstance(node, PrivateRabbit | PrivatePostgres) and node.pid is not None:
            self._pids[name] = node.pid

    def _gone(self, name: str) -> None:
        """Keep what a process has used up, now that it ends and perhaps another takes its place."""
        pid = self._pids.pop(name, None)
        usage = None if pid is None else usage_of(pid)
        if usage is not None:
            self._spent[name] = self._spent.get(name, 0.0) + usage.cpu_s

    def _slow(self) -> None:
        if self._slowing is None:
            workers = [worker for name, worker in self._stack.workers.items() if name.partition("-")[0] == SLOWED]
            self._slowing = Slowing(workers)

    def _heal(self) -> None:
        if self._slowing is not None:
            self._slowing.end()
            self._slowing = None


def _allow_many_sockets() -> None:
    """Raise our bound on open files, which gateways inherit, as far as it goes."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _silent(text: str) -> None:
    del text


def _remove(*files: Path) -> None:
    for file in files:
        file.unlink(missing_ok=True)
