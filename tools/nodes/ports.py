"""Free TCP ports on loopback."""

import contextlib
import random
import socket
from collections.abc import Iterator

from tools.nodes.faces import NodeUnavailable

# Below Linux's range for outgoing connections: while a node is down no client's own socket can take its port,
# nor can a client that retries in a loop connect to itself.
_RANGE = range(20_000, 32_000)


def free_ports(count: int) -> list[int]:
    """Return `count` ports that nobody listens on, and that no caller of this function gets again while we live.

    A port is used some time after it was chosen. Until this process ends it holds the UDP port of the same number,
    which nothing else wants and which tells other processes that choose: this one is taken. Raises NodeUnavailable
    when too few are left.
    """
    found: list[int] = []
    for port in random.sample(_RANGE, k=len(_RANGE)):
        if _free(port) and _reserve(port):
            found.append(port)
        if len(found) == count:
            return found
    raise NodeUnavailable(f"There are no {count} free ports on loopback between {_RANGE[0]} and {_RANGE[-1]}.")


def _free(port: int) -> bool:
    with _bound(socket.SOCK_STREAM, port) as probe:
        return probe is not None


def _reserve(port: int) -> bool:
    with _bound(socket.SOCK_DGRAM, port) as claim:
        if claim is not None:
            claim.detach()  # stays open
        return claim is not None


@contextlib.contextmanager
def _bound(kind: socket.SocketKind, port: int) -> Iterator[socket.socket | None]:
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            yield None
        else:
            yield probe


def accepts(port: int) -> bool:
    """Whether somebody accepts connections on this loopback port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
