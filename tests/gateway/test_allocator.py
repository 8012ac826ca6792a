"""The set-up of malloc: as an operator wants it, and memory given back after a herd."""

import os

import pytest

from gateway import allocator
from gateway.allocator import HERD, LOOK_S, SELDOM, Trimmer


class Recorder:
    def __init__(self) -> None:
        self.options: dict[int, int] = {}
        self.trimmed = 0

    def mallopt(self, parameter: int, value: int) -> int:
        self.options[parameter] = value
        return 1

    def malloc_trim(self, pad: int) -> int:
        self.trimmed += 1
        return 1


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    for name in [name for name in os.environ if name.startswith("MALLOC_") or name == "GLIBC_TUNABLES"]:
        monkeypatch.delenv(name)


def test_what_the_environment_says_stands(monkeypatch):
    library = Recorder()
    allocator.set_up(library)
    assert library.options[-3] == allocator.MAPPED_BYTES
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "1000000")
    library = Recorder()
    allocator.set_up(library)
    assert -3 not in library.options
    assert -8 in library.options
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.arena_max=4:glibc.malloc.tcache_count=0")
    library = Recorder()
    allocator.set_up(library)
    assert library.options == {-4: allocator.MOST_MAPPED}


def test_without_glibc_nothing_happens(monkeypatch):
    def unknown(name: str) -> str:
        raise ValueError(name)

    monkeypatch.setattr(os, "confstr", unknown)
    assert allocator.glibc() is None
    allocator.set_up(None)
    trimmer = Trimmer(None)
    assert not any(trimmer.tick(at * LOOK_S, 10 * HERD) for at in range(5))


def test_the_library_of_this_process_takes_it():
    library = allocator.glibc()
    if library is None:
        pytest.skip("another C library than glibc")
    for parameter, value, *_ in allocator._OPTIONS:
        assert library.mallopt(parameter, value) == 1
    assert library.malloc_trim(0) in {0, 1}


def test_memory_is_given_back_once_after_a_herd_has_passed():
    library = Recorder()
    trimmer = Trimmer(library)
    turnovers = [0, 10, HERD, 3 * HERD, 5 * HERD, 5 * HERD + 20, 5 * HERD + 30, 5 * HERD + 40]
    given_back = [trimmer.tick(at * LOOK_S, turnover) for at, turnover in enumerate(turnovers)]
    assert given_back == [False, False, True, False, False, True, False, False]
    assert library.trimmed == 2


def test_what_takes_long_is_done_seldom(monkeypatch):
    library, took = Recorder(), 0.05
    readings = iter([10.0, 10.0 + took, 20.0, 20.0 + took])
    monkeypatch.setattr("gateway.allocator.time.perf_counter", lambda: next(readings))
    trimmer = Trimmer(library)
    looks = range(round(1.5 * SELDOM * took / LOOK_S))
    given_back = [at * LOOK_S for at in looks if trimmer.tick(at * LOOK_S, at * HERD // 2)]
    assert len(given_back) == 2
    assert given_back[1] - given_back[0] >= SELDOM * took


def test_it_looks_now_and_then_only():
    trimmer = Trimmer(Recorder())
    assert not trimmer.tick(0.0, 0)
    assert not trimmer.tick(LOOK_S / 2, HERD)
