"""One whole system of real processes for the short forms of all load scenarios, and for what else only looks at one."""

from collections.abc import Iterator

import pytest

from tests.support.charts import drain_settings
from tools.load.local import LocalSystem, Plan


@pytest.fixture(scope="session")
def load_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSystem]:
    """Three gateways with TLS and the chart's way to leave, the five workers, a broker of their own, SQLite."""
    plan = Plan(gateways=3, sqlite=True, tls=True, quick_start=True, settings=drain_settings())
    with LocalSystem(plan, tmp_path_factory.mktemp("load")) as running:
        yield running
