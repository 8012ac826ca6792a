"""The pause before the next attempt at something that is stored. Pure."""

import zlib
from datetime import timedelta

FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 300.0


def pause(attempts: int, name: str, *, most_s: float = LONGEST_PAUSE_S) -> timedelta:
    """Doubling, bounded, and spread by the name so that a fleet's work does not march in step."""
    longest = min(most_s, FIRST_PAUSE_S * 2 ** min(attempts, 16))
    spread = zlib.crc32(f"{name}/{attempts}".encode()) / 2**32
    return timedelta(seconds=longest * (0.5 + spread / 2))
