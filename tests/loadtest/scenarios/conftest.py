"""One whole system of real processes for the short forms of all scenarios."""

from collections.abc import Iterator

import pytest

from tools.load.local import LocalSystem, Plan


@pytest.fixture(scope="session")
def system(tmp_path_factory) -> Iterator[LocalSystem]:
    with LocalSystem(
        Plan(gateways=2, sqlite=True, tls=True, quick_start=True), tmp_path_factory.mktemp("load")
    ) as running:
        yield running
