"""Sessions cost the broker nothing: as many exchanges, queues and bindings with many as with ten."""

from pathlib import Path

import pytest

from tests.support.figures import note
from tools.bench.reconnect import run_on
from tools.nodes import KillableBroker

pytestmark = pytest.mark.system

SESSIONS = 200


def test_all_sessions_of_a_killed_gateway_are_commandable_again_and_the_broker_holds_no_more_objects(
    own_rabbit: KillableBroker, tmp_path: Path
) -> None:
    figures = run_on(own_rabbit, tmp_path, SESSIONS)
    note(f"reconnect: {figures}")
    assert figures.last_commandable > 0
    assert figures.entries >= SESSIONS
    assert figures.objects_after == figures.objects_before
