"""Fixtures for every test; they live in tests/support."""

import signal
from typing import Any

import pytest
from hypothesis import settings

from tests.support.leaks import _no_task_is_left, tasks_have_owners
from tests.support.load_system import load_system
from tests.support.nodes import (
    amqp_url,
    database_url,
    delete_vhost,
    drop_database,
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
from tests.support.scheduling import HouseScheduling, in_turn

__all__ = [
    "_no_task_is_left",
    "amqp_url",
    "database_url",
    "delete_vhost",
    "drop_database",
    "empty_database_url",
    "load_system",
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

# A shell that runs this in the background has it ignore Ctrl-C, and so would every program that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The same in every process, or xdist would refuse."""
    in_turn(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> HouseScheduling:
    """Whatever --dist says."""
    return HouseScheduling(config, log)
