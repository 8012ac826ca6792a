"""Which tests stay together in one of several processes, and which of them begin."""

import pytest
from xdist.scheduler import LoadScopeScheduling

# In this order: what takes longest must not begin when the other processes have nothing left to do.
_FIRST = (
    "tests/system/",
    "tests/loadtest/scenarios/",
    "tests/conformance/",
    "tests/workers/runtime/test_cli.py",
    "tests/workers/commands/",
)
_LIVE = ("sqlite", "postgresql")


class HouseScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Keep the tests of a running system, or else of a file, in one process: others would start it once more.

    A scheduler of our own, since the groups of `--dist loadgroup` come to nothing with pytest 9.2 and xdist 3.8.
    """

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def group_of(nodeid: str) -> str:
    """The name of what this test shares."""
    path, _, test = nodeid.partition("::")
    if path.startswith("tests/conformance/"):
        words = test.partition("[")[2].rstrip("]").split("-")
        for live in _LIVE:
            if live in words:
                return f"live {live}"
    of_scenarios = path.startswith("tests/loadtest/scenarios/") and path.endswith("scenarios.py")
    if of_scenarios or path == "tests/monitoring/test_scraping.py":
        return "load system"
    return path


def in_turn(items: list[pytest.Item]) -> None:
    """Put first what takes longest; the order among the others stays."""
    items.sort(key=lambda item: turn_of(item.nodeid))


def turn_of(nodeid: str) -> int:
    """The place of its folder."""
    return next((turn for turn, folder in enumerate(_FIRST) if nodeid.startswith(folder)), len(_FIRST))
