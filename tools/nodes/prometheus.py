"""A Prometheus of our own, on loopback."""

import json
import shutil
import subprocess
import time
import urllib.parse
from pathlib import Path
from typing import Any

from tools.nodes import binaries
from tools.nodes.faces import NodeFailed
from tools.nodes.guarded import GuardedProcess, end_of
from tools.nodes.loopback import open_url
from tools.nodes.ports import free_ports

_START_TIMEOUT_S = 30
_REQUEST_TIMEOUT_S = 10
_POLL_S = 0.05


class PrivatePrometheus:
    """A server with configuration, data and log of its own, all below `data_dir`.

    Blocking; `start` raises NodeUnavailable without Prometheus on this machine and NodeFailed if the server does not
    come up, as with a faulty configuration. Runs until `discard`, or until this process ends.
    """

    def __init__(self, data_dir: Path, configuration: str) -> None:
        """`configuration`: the text of prometheus.yml."""
        self.data_dir = data_dir.absolute()
        self.log = self.data_dir / "prometheus.log"
        self._configuration = configuration
        self._port = 0
        self._server: GuardedProcess | None = None

    @property
    def url(self) -> str:
        """Of its page and its API."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start the server and return when it answers queries."""
        programs = binaries.prometheus_directory()
        self.data_dir.mkdir(parents=True, exist_ok=True)
        file = self.data_dir / "prometheus.yml"
        file.write_text(self._configuration)
        (self._port,) = free_ports(1)
        command: list[str | Path] = [
            programs / "prometheus",
            f"--config.file={file}",
            f"--storage.tsdb.path={self.data_dir / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
            "--log.level=warn",
        ]
        self._server = GuardedProcess(
            command, env={"PATH": binaries.search_path()}, log=self.log, cwd=self.data_dir, remove=[self.data_dir]
        )
        try:
            self._await_ready(self._server)
        except BaseException:  # such as KeyboardInterrupt: leave nothing behind
            self._end_process()
            raise

    def discard(self) -> None:
        """End it at once and delete its data; idempotent."""
        self._end_process()
        shutil.rmtree(self.data_dir, ignore_errors=True)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that a PromQL expression gives now, as the API tells them; NodeFailed where it is refused."""
        result = self.api("query", query=expression)["result"]
        return result if isinstance(result, list) else [result]

    def api(self, path: str, **parameters: str) -> Any:
        """What the API answers below /api/v1/; NodeFailed with its words where it refuses."""
        body = urllib.parse.urlencode(parameters)
        url = f"{self.url}/api/v1/{path}" + (f"?{body}" if body else "")
        try:
            with open_url(url, timeout=_REQUEST_TIMEOUT_S) as answer:
                return json.load(answer)["data"]
        except OSError as error:
            told = error.read().decode() if hasattr(error, "read") else str(error)
            raise NodeFailed(f"Prometheus refused {path} {parameters}: {told}") from None

    def _await_ready(self, server: GuardedProcess) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self._ready():
            if server.wait(_POLL_S) or time.monotonic() > deadline:
                raise NodeFailed(f"Prometheus did not start:\n{end_of(self.log)}")

    def _ready(self) -> bool:
        try:
            open_url(f"{self.url}/-/ready", timeout=1).close()
        except OSError:
            return False
        return True

    def _end_process(self) -> None:
        if self._server is not None:
            self._server.kill()
            self._server = None


def promtool(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run promtool to its end, both outputs in one text. NodeUnavailable without it."""
    return subprocess.run(
        [binaries.prometheus_directory() / "promtool", *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )
