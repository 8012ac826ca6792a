"""Every fuzz target has a parser to call, which takes the target's own good inputs."""

import importlib

import pytest

from tools.fuzz.targets import TARGETS


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_target_takes_its_own_seeds_cut_seeds_and_nothing_at_all(target):
    attempt = target.prepare(importlib.import_module(target.module))
    for seed in (b"", *target.seeds()):
        attempt(seed)
        attempt(seed[: len(seed) // 2])
        attempt(seed + b"\xff\x00")
