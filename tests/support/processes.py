"""Looking at the processes that a node started."""

import time
from pathlib import Path

import psutil


def processes_of(data_dir: Path) -> list[psutil.Process]:
    """Return the living processes that carry this directory in their arguments, environment or working directory."""
    mark = str(data_dir)
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE:  # dead, only not yet asked after
                continue
            traces = [*process.cmdline(), *process.environ().values(), process.cwd()]
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if any(mark in trace for trace in traces):
            found.append(process)
    return found


def await_none_of(data_dir: Path, *, timeout_s: float = 30) -> None:
    """Wait until no process of this directory lives; AssertionError naming those that still do."""
    deadline = time.monotonic() + timeout_s
    while left := processes_of(data_dir):
        assert time.monotonic() < deadline, f"still alive: {left}"
        time.sleep(0.05)  # between two looks at the process table, which tells nobody when it changes


def is_alive(pid: int) -> bool:
    """Whether this process exists and is more than an entry nobody has asked after."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
