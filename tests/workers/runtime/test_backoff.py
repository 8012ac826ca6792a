from hypothesis import given
from hypothesis import strategies as st

from workers.runtime.backoff import FIRST_PAUSE_S, LONGEST_PAUSE_S, pause


@given(st.integers(0, 10_000), st.text(max_size=10))
def test_pauses_grow_to_a_bound(attempts, name):
    seconds = pause(attempts, name).total_seconds()
    assert FIRST_PAUSE_S / 2 <= seconds <= LONGEST_PAUSE_S
    if attempts > 16:
        assert seconds >= LONGEST_PAUSE_S / 2
