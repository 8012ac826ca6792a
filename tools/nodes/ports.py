"""Free TCP ports on loopback."""

import contextlib
import random
import socket

# Below Linux's range for outgoing connections: while a node is down no client's own socket can take its port,
# nor can a client that retries in a loop connect to itself.
_RANGE = range(20_000, 32_000)


def free_ports(count: int) -> list[int]:
    """Return `count` distinct ports that nobody listened on a moment ago."""
    with contextlib.ExitStack() as held:
        found: list[int] = []
        for port in random.sample(_RANGE, k=len(_RANGE)):
            if len(found) == count:
                break
            probe = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                found.append(port)
        return found


def accepts(port: int) -> bool:
    """Whether somebody accepts connections on this loopback port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
