"""Fixtures for every test; they live in tests/support."""

from tests.support.leaks import _no_task_is_left, tasks_have_owners
from tests.support.nodes import amqp_url, database_url, own_postgres, own_rabbit, postgres, postgres_url, rabbit

__all__ = [
    "_no_task_is_left",
    "amqp_url",
    "database_url",
    "own_postgres",
    "own_rabbit",
    "postgres",
    "postgres_url",
    "rabbit",
    "tasks_have_owners",
]
