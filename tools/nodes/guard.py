"""Runs one command and ends its whole process group when the owner ends, however the owner ends.

Executed as a script with the standard library only: `python -I -S guard.py`. The first line of standard input is a
JSON object (see `guarded.py`); afterwards standard input stays open for as long as the owner lives. Standard output
tells the owner `pid N` or `error REASON`, and `exit N` at the end.

A process of its own and not PR_SET_PDEATHSIG: that signal follows the thread that forked, reaches one process
of a tree only, and does not exist outside Linux.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from typing import Any


def main() -> int:
    for ignored in (signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    spec = json.loads(sys.stdin.buffer.readline())
    identity: dict[str, Any] = {}
    if spec["user"]:
        identity = {"user": spec["user"], "group": spec["user"], "extra_groups": []}
    try:
        with open(spec["log"], "ab") as log:  # noqa: PTH123 - a quick start: pathlib is not loaded
            child = subprocess.Popen(
                spec["command"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=spec["env"],
                cwd=spec["cwd"],
                start_new_session=True,
                **identity,
            )
    except OSError as error:
        _tell(f"error {error}")
        return 1

    def end_group() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)

    def await_owner() -> None:
        last = b""
        while chunk := os.read(0, 4096):
            last = chunk
        end_group()
        if last.endswith(b"released\n"):
            return
        if spec["farewell"]:
            subprocess.run(spec["farewell"], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=30)
        for path in spec["remove"]:
            shutil.rmtree(path, ignore_errors=True)

    signal.signal(signal.SIGTERM, lambda *_: end_group())
    owner = threading.Thread(target=await_owner, daemon=True)
    _tell(f"pid {child.pid}")
    owner.start()
    code = child.wait()
    end_group()  # what the child itself left behind
    _tell(f"exit {code}")
    owner.join()
    return 0


def _tell(line: str) -> None:
    with contextlib.suppress(OSError):  # the owner may be dead
        os.write(1, line.encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main())
