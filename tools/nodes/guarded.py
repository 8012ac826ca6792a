"""A child process that never outlives this one."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.nodes.faces import NodeFailed

_GUARD = Path(__file__).with_name("guard.py")


class GuardedProcess:
    """A command in a session and process group of its own, ended with SIGKILL when this process ends.

    Raises NodeFailed if the command cannot be executed. Holds two pipes and a small guard process until `release`.
    `farewell` is a command and `remove` directories for the guard to run and delete when the owner died unreleased.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        log: Path,
        cwd: Path,
        user: str | None = None,
        farewell: Sequence[str] = (),
        remove: Sequence[Path] = (),
    ) -> None:
        spec = {
            "command": [str(part) for part in command],
            "env": dict(env),
            "log": str(log),
            "cwd": str(cwd),
            "user": user,
            "farewell": list(farewell),
            "remove": [str(path) for path in remove],
        }
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_GUARD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        self._exited = False
        self.exit_code: int | None = None
        """Negative for the signal that ended it, as in subprocess; None while it runs, or if it was not waited for."""
        self._tail = b""
        self._send(json.dumps(spec).encode() + b"\n")
        word, _, rest = self._read_line(timeout_s=30).partition(" ")
        if word != "pid":
            self.release()
            raise NodeFailed(f"{command[0]} could not be executed: {rest or 'its guard ended'}")
        self.pid = int(rest)

    @property
    def alive(self) -> bool:
        """Whether the command itself still runs."""
        return not self.wait(timeout_s=0)

    def wait(self, timeout_s: float) -> bool:
        """Wait until the command has ended and its group is killed; return whether it has."""
        if not self._exited:
            line = self._read_line(timeout_s)
            if line.startswith("exit "):
                self.exit_code = int(line.removeprefix("exit "))
            self._exited = self.exit_code is not None or (not line and self._guard.poll() is not None)
        return self._exited

    def signal_group(self, number: signal.Signals) -> None:
        """Signal the command and what it started in its group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def signal_leader(self, number: signal.Signals) -> None:
        """Signal the command alone."""
        if not self._exited:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End the whole group with SIGKILL, as a crash does, and wait for that."""
        self.signal_group(signal.SIGKILL)
        self.release()

    def release(self) -> None:
        """End what still runs, and the guard, without farewell; idempotent."""
        with contextlib.suppress(OSError, ValueError):
            self._send(b"released\n")
        for pipe in (self._guard.stdin, self._guard.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._guard.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._guard.kill()
            self._guard.wait()
        self._exited = True

    def _send(self, data: bytes) -> None:
        if self._guard.stdin is not None:
            self._guard.stdin.write(data)

    def _read_line(self, timeout_s: float) -> str:
        stream = self._guard.stdout
        if stream is None or stream.closed:
            return ""
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._tail:
            ready, _, _ = select.select([stream], [], [], max(0.0, deadline - time.monotonic()))
            chunk = stream.read(4096) if ready else b""
            if not chunk:
                if ready:  # end of file: the guard itself is gone
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        self._guard.wait(timeout=5)
                return ""
            self._tail += chunk
        line, _, self._tail = self._tail.partition(b"\n")
        return line.decode(errors="replace")


def end_of(log: Path, *, characters: int = 2_000) -> str:
    """Return the end of a log file, for an error text."""
    try:
        return log.read_text(errors="replace")[-characters:]
    except OSError:
        return "(no log was written)"
