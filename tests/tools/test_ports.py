"""Ports for private servers: nobody else's, and nobody else's soon."""

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.nodes import NodeUnavailable, ports

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def another_process_chooses(count: int, among: str) -> Iterator[list[int]]:
    """Ports that a process chose which lives as long as the block."""
    choose = f"from tools.nodes import ports\nports._RANGE = {among}\nprint(*ports.free_ports({count}), flush=True)\n"
    with subprocess.Popen(
        [sys.executable, "-c", choose + "input()"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        yield [int(word) for word in other.stdout.readline().split()]
        other.communicate("\n")


@pytest.fixture
def few(monkeypatch) -> list[int]:
    """The only six ports to choose from; nobody used them a moment ago."""
    with another_process_chooses(6, "ports._RANGE") as chosen:
        monkeypatch.setattr(ports, "_RANGE", chosen)
    return chosen


def test_a_port_is_given_once_to_this_and_to_other_processes_until_none_is_left(few):
    first = ports.free_ports(2)
    with another_process_chooses(2, repr(few)) as second:
        third = ports.free_ports(2)
        with pytest.raises(NodeUnavailable, match="no 1 free ports"):
            ports.free_ports(1)
    assert sorted([*first, *second, *third]) == sorted(few)


def test_a_port_that_somebody_listens_on_is_not_given(few):
    with socket.create_server(("127.0.0.1", few[0])):
        assert sorted(ports.free_ports(5)) == sorted(few[1:])
