"""The system that the scenarios are played on."""

import pytest

from tools.load.local import LocalSystem


@pytest.fixture(scope="session")
def system(load_system: LocalSystem) -> LocalSystem:
    return load_system
