"""How glibc's malloc is set up in a gateway: for tens of thousands of small sockets, and herds that come and go.

While a socket opens, event loop and OpenSSL hold buffers that are large beside what stays of it. By default glibc puts
both side by side into its heap, where the holes that thousands of openings at once leave behind count as used for as
long as anything above them lives. So large blocks get pages of their own here, and after a herd the pages that lie
wholly in holes are given back. Where there is no glibc, all of this does nothing.
"""

import ctypes
import os
import time
from typing import Protocol, cast

# Names and numbers of <malloc.h>.
_M_MMAP_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -3, -4, -8

MAPPED_BYTES = 32 * 1024
"""From this size on a block has pages of its own, which go back when it is freed. Left alone, it grows up to 32 MB."""

MOST_MAPPED = 50_000
"""Such blocks at once; uvloop holds one for each TLS socket. The kernel's limit for a process is 65,530 mappings."""

ARENAS = 1
"""One thread does all the work; a heap for each other would be memory that it cannot use."""

_OPTIONS = (
    (_M_MMAP_THRESHOLD, MAPPED_BYTES, "MALLOC_MMAP_THRESHOLD_", "glibc.malloc.mmap_threshold"),
    (_M_MMAP_MAX, MOST_MAPPED, "MALLOC_MMAP_MAX_", "glibc.malloc.mmap_max"),
    (_M_ARENA_MAX, ARENAS, "MALLOC_ARENA_MAX", "glibc.malloc.arena_max"),
)

HERD = 500
LOOK_S = 2.0
SELDOM = 500
"""Of the time at most one part in so many is spent on giving back: meanwhile no socket is served."""


class Malloc(Protocol):
    """What is used of the C library."""

    def mallopt(self, parameter: int, value: int) -> int: ...
    def malloc_trim(self, pad: int) -> int: ...


def glibc() -> Malloc | None:
    """The C library of this process; None when it is another one."""
    try:
        if not (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc"):
            return None
        library = ctypes.CDLL(None)
        library.malloc_trim.argtypes = (ctypes.c_size_t,)
    except (OSError, ValueError, AttributeError):
        return None
    return cast("Malloc", library)


def set_up(library: Malloc | None) -> None:
    """Set malloc up, before the first socket; what the environment says of it stands."""
    if library is not None:
        tuned = {one.partition("=")[0] for one in os.environ.get("GLIBC_TUNABLES", "").split(":")}
        for parameter, value, variable, tunable in _OPTIONS:
            if variable not in os.environ and tunable not in tuned:
                library.mallopt(parameter, value)


class Trimmer:
    """Gives memory back to the system once a herd has passed: that takes 2 to 10 ms for 1,000 sockets that stay.

    It takes as long when there is nothing to give, so where sockets come and go all the time it is done seldom.
    """

    def __init__(self, library: Malloc | None) -> None:
        self._library = library
        self._seen = 0
        self._owed = 0
        self._look_at = 0.0

    def tick(self, now: float, turnover: int) -> bool:
        """`turnover`: how many sockets have come or gone in all. Whether memory was given back."""
        if now < self._look_at:
            return False
        self._look_at = now + LOOK_S
        lately, self._seen = turnover - self._seen, turnover
        self._owed += lately
        if self._library is None or self._owed < HERD or lately >= HERD:  # too few, or it has not passed yet
            return False
        self._owed = 0
        began = time.perf_counter()
        self._library.malloc_trim(0)
        self._look_at = now + max(LOOK_S, SELDOM * (time.perf_counter() - began))
        return True
