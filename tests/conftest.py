"""Fixtures for every test; they live in tests/support."""

import pytest
from hypothesis import settings

from tests.support.leaks import _no_task_is_left, tasks_have_owners
from tests.support.nodes import (
    amqp_url,
    database_url,
    empty_database_url,
    migrated_postgres,
    migrated_sqlite,
    own_postgres,
    own_rabbit,
    postgres,
    postgres_url,
    rabbit,
    sqlite_database_url,
)

__all__ = [
    "_no_task_is_left",
    "amqp_url",
    "database_url",
    "empty_database_url",
    "migrated_postgres",
    "migrated_sqlite",
    "own_postgres",
    "own_rabbit",
    "postgres",
    "postgres_url",
    "rabbit",
    "sqlite_database_url",
    "tasks_have_owners",
]

# What a shared machine takes for one example says nothing about the code.
settings.register_profile("house", deadline=None)
settings.load_profile("house")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group what shares a running system or a file, and begin with what takes longest.

    Else several processes would start the same system again and again, and one would wait for the other at the end.
    """
    items.sort(key=lambda item: not item.nodeid.startswith(("tests/system/", "tests/conformance/")))
    for item in items:
        live = (
            item.callspec.params.get("live")
            if isinstance(item, pytest.Function) and hasattr(item, "callspec")
            else None
        )
        item.add_marker(pytest.mark.xdist_group(f"live {live}" if live else str(item.path)))
