"""Tries the image as a careful platform runs it: its own user, its own environment, a root that nobody can write."""

import json
import os
import signal
import subprocess
import time
import urllib.error
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.image.machine import ImageCheckError, run
from tools.nodes.loopback import open_url
from tools.nodes.ports import free_ports
from tools.stack import ROOT

VERSIONS = ("ocpp-gateway", "ocpp-worker", "ocppctl")
_READY_S = 30.0
_DRAIN_S = 20.0

# Modules that Python compiled at this start, because no bytecode of theirs is in the image.
_UNCOMPILED = """
import json, os, sys
import gateway.app, workers.cli, workers.runtime.application, loadtest.cli, ocppctl.cli
cached = (getattr(module, "__cached__", None) for module in list(sys.modules.values()))
print(json.dumps(sorted(path for path in cached if path and not os.path.exists(path))))
"""
_WRITABLE = """
import json, os
places = [where for where in ("/", "/opt/ocpp", "/tmp", "/var/tmp", "/etc") if os.access(where, os.W_OK)]
print(json.dumps({"uid": os.getuid(), "gids": os.getgroups(), "writable": places}))
"""


class Jail:
    """The image's tree as a root that cannot be written, with the image's user, environment and nothing of ours."""

    def __init__(self, tree: Path, config: dict[str, Any]) -> None:
        self._tree = tree
        self._user = config["User"]
        self._environment = [str(pair) for pair in config["Env"]]

    def command(self, words: Sequence[str], environment: Sequence[str] = ()) -> list[str]:
        """The command line that runs these words inside."""
        mounts = (
            'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && mount -t proc proc "$0/proc"'
            ' && exec chroot --userspec="$1" "$0" /usr/bin/env -i "${@:2}"'
        )
        variables = [*self._environment, *environment]
        shell = ["bash", "-c", mounts, str(self._tree), self._user]
        return ["unshare", "--mount", "--fork", "--kill-child", *shell, *variables, *words]

    def run(self, *words: str, environment: Sequence[str] = ()) -> str:
        """What it printed; raises ImageCheckError when it fails."""
        return run(self.command(words, environment), patience_s=120)


def try_commands(jail: Jail) -> None:
    """Each command starts, and says that it is content with its defaults."""
    for name in VERSIONS:
        print(f"  {jail.run(name, '--version').strip()}")
    jail.run("ocpp-loadtest", "fleet", "--help")
    for name in ("ocpp-gateway", "ocpp-worker"):
        count = jail.run(name, "check-config").count("\n    ")
        print(f"  {name} check-config: {count} settings, none wrong")


def try_confinement(jail: Jail) -> None:
    """Who the process is, and that it finds nothing to write and nothing left to compile."""
    found = json.loads(jail.run("python3", "-c", _WRITABLE))
    print(f"  user {found['uid']}, writable: {found['writable'] or 'nothing'}")
    if found != {"uid": 10001, "gids": [10001], "writable": []}:
        raise ImageCheckError(f"expected user 10001 who can write nothing: {found}")
    uncompiled = json.loads(jail.run("python3", "-c", _UNCOMPILED))
    if uncompiled:
        raise ImageCheckError(f"compiled anew at each start: {len(uncompiled)} modules, such as {uncompiled[0]}")
    print("  no module is compiled at start")


def try_serving(jail: Jail, start: Sequence[str], log: Path) -> None:
    """The default command lives without a broker, answers its probe, and ends by the image's stop signal with 0."""
    socket_port, monitor_port, nobody = free_ports(3)
    environment = [
        f"AMQP_URL=amqp://nobody:nothing@127.0.0.1:{nobody}/",
        "OCPP_GATEWAY_LISTEN_HOST=127.0.0.1",
        f"OCPP_GATEWAY_LISTEN_PORT={socket_port}",
        "OCPP_MONITOR_HOST=127.0.0.1",
        f"OCPP_MONITOR_PORT={monitor_port}",
    ]
    began = time.monotonic()
    with log.open("wb") as output:
        # Its own session: unshare passes no signal on, so the signal goes to the gateway itself.
        process = subprocess.Popen(
            jail.command(start, environment), stdout=output, stderr=output, cwd=ROOT, start_new_session=True
        )
    try:
        while not _is_alive(monitor_port):
            if process.poll() is not None or time.monotonic() - began > _READY_S:
                raise ImageCheckError(f"the gateway is not alive after {_READY_S:.0f} s, see {log}")
            time.sleep(0.05)
        print(f"  {' '.join(start)}: alive {time.monotonic() - began:.1f} s after its start")
        os.kill(_child_of(process.pid), signal.SIGTERM)
        code = process.wait(_DRAIN_S)
        if code != 0:
            raise ImageCheckError(f"the gateway ended with {code} after SIGTERM, see {log}")
        print("  SIGTERM: exit 0")
    finally:
        process.kill()  # --kill-child takes the gateway along
        process.wait()


def _is_alive(port: int) -> bool:
    try:
        with open_url(f"http://127.0.0.1:{port}/healthz", timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
