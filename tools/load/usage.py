"""What a process, or a server with all its processes, has used up so far."""

import contextlib

import psutil

from loadtest.scenarios.system import Usage


def usage_of(pid: int) -> Usage | None:
    """CPU and memory of a process and all below it; None when it is gone.

    A child that has ended counts with its parent once that has waited for it. Memory that processes share, such as a
    database server's buffers, is counted once.
    """
    try:
        leader = psutil.Process(pid)
        processes = [leader, *leader.children(recursive=True)]
    except psutil.NoSuchProcess:
        return None
    cpu_s, private, shared, alive = 0.0, 0, 0, False
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess), process.oneshot():
            times, memory = process.cpu_times(), process.memory_info()
            cpu_s += times.user + times.system + times.children_user + times.children_system
            common = min(memory.rss, getattr(memory, "shared", 0))
            private += memory.rss - common
            shared = max(shared, common)
            alive = alive or process is leader
    return Usage(cpu_s, float(private + shared)) if alive else None
