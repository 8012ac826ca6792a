"""How long a charge point waits before it connects again."""

from random import Random

_LARGEST_EXPONENT = 32  # beyond it the cap rules anyway, and floats stay small


def full_jitter(attempt: int, base_s: float, cap_s: float, rng: Random) -> float:
    """Draw the wait before a reconnection in seconds: up to `base_s` doubled `attempt` times, never over `cap_s`.

    OCPP 1.6 defines no back-off; this is the kind that spreads a herd best.
    """
    return rng.uniform(0.0, min(cap_s, base_s * 2.0 ** min(max(attempt, 0), _LARGEST_EXPONENT)))


def retry_back_off(attempt: int, wait_minimum_s: float, random_range_s: float, repeat_times: int, rng: Random) -> float:
    """Draw the wait before a reconnection in seconds as OCPP 2.0.1 part 4, 5.3 has it.

    The minimum is doubled with each failed attempt, at most `repeat_times` times; a random part comes on top.
    """
    doublings = min(max(attempt, 0), repeat_times, _LARGEST_EXPONENT)
    return wait_minimum_s * 2.0**doublings + rng.uniform(0.0, random_range_s)
