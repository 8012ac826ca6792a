"""What `helm install` starts, started here from the rendered objects: each command with its environment.

That workers wait for their tables is in tests/workers/runtime/test_cli.py; that they are told to, in tests/chart.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from gateway.cli import main as gateway_main
from tests.support.charts import Document, containers_of, example, pods_of, variables_of
from tests.support.worker_store import all_rows
from workers.cli import main as worker_main
from workers.store import tables
from workers.store.engine import Store

pytestmark = pytest.mark.system

_MODULES = {"ocpp-gateway": "gateway", "ocpp-worker": "workers", "ocpp-loadtest": "loadtest"}
_MAINS: dict[str, Callable[[list[str]], int | None]] = {"ocpp-gateway": gateway_main, "ocpp-worker": worker_main}
_PATIENCE_S = 60


class Cluster:
    """Runs containers of the chart as processes; broker and database are other ones than in the objects."""

    def __init__(self, **instead: str) -> None:
        self._instead = {"OCPP_LOG_FORMAT": "json", "OCPP_MONITOR_HOST": "127.0.0.1", **instead}
        self._pods = pods_of(example(""))

    def containers(self, owner: str) -> list[Document]:
        """Those of the one pod whose owner's name begins so, in the order in which they start."""
        (found,) = [pod for name, pod in self._pods.items() if name.startswith(owner)]
        return containers_of(found)

    @asynccontextmanager
    async def running(self, container: Document, **arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """One container; `arguments` take the place of its options of that name."""
        program, *words = container["command"]
        for name, value in arguments.items():
            words = [f"--{name}={value}" if word.startswith(f"--{name}=") else word for word in words]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OCPP_")}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", _MODULES[program], *words, env=environment | self.environment(container),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    def environment(self, container: Document) -> dict[str, str]:
        given = {name: value for name, value in variables_of(container).items() if value is not None}
        return {name: value for name, value in given.items() if name != "AMQP_MANAGEMENT_URL"} | self._instead

    async def finish(self, container: Document, **arguments: str) -> None:
        """Run one to its end, which has to be a good one."""
        async with self.running(container, **arguments) as process:
            said, _ = await asyncio.wait_for(process.communicate(), _PATIENCE_S)
            assert process.returncode == 0, said.decode()


def finish_here(cluster: Cluster, step: Document) -> None:
    """Run a job's step by its command line in this process, without the seconds that a fresh one takes to start."""
    program, *words = step["command"]
    with pytest.MonkeyPatch.context() as patched:
        for name, value in cluster.environment(step).items():
            patched.setenv(name, value)
        code: str | int | None
        try:
            code = _MAINS[program](words)
        except SystemExit as ended:
            code = ended.code
    assert code in {0, None}, step["command"]


async def heard(process: asyncio.subprocess.Process, event: str) -> dict[str, Any]:
    """The log line of that event."""
    assert process.stdout is not None
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            line = await process.stdout.readline()
            assert line, f"it ended before {event}"
            if line.startswith(b"{") and (found := orjson.loads(line))["event"] == event:
                return dict(found)


async def ended_well(process: asyncio.subprocess.Process) -> None:
    process.send_signal(signal.SIGTERM)
    said, _ = await asyncio.wait_for(process.communicate(), _PATIENCE_S)
    assert process.returncode == 0, said.decode()


async def test_what_the_chart_starts_prepares_its_stores_and_lets_a_charge_point_boot(amqp_url, tmp_path) -> None:
    database_url = f"sqlite+aiosqlite:///{tmp_path}/ocpp.db"
    ports = {"OCPP_MONITOR_PORT": "0", "OCPP_GATEWAY_LISTEN_PORT": "0", "OCPP_GATEWAY_LISTEN_HOST": "127.0.0.1"}
    cluster = Cluster(AMQP_URL=amqp_url, DATABASE_URL=database_url, **ports)
    (gateway,) = cluster.containers("Deployment/ocpp-gateway-gateway")
    _, worker = cluster.containers("Deployment/ocpp-gateway-authorization")
    (charge_point,) = cluster.containers("Pod/ocpp-gateway-test-handshake")
    async with cluster.running(gateway) as serving:  # before there is anything that it could relay to
        for job in ("migrate", "topology"):
            for step in cluster.containers(f"Job/ocpp-gateway-{job}"):
                await asyncio.to_thread(finish_here, cluster, step)
        async with cluster.running(worker) as working:
            port = (await heard(serving, "gateway.started"))["port"]
            await heard(working, "broker.connected")
            await cluster.finish(charge_point, url=f"ws://127.0.0.1:{port}/ocpp")
            await asyncio.gather(ended_well(working), ended_well(serving))
    store = Store(database_url)
    try:
        assert [row["identity"] for row in await all_rows(store, tables.charge_points)] == ["HELM-TEST"]
        assert await all_rows(store, tables.transactions) == []
    finally:
        await store.close()
