"""Every command has exactly one outcome, whatever dies on its way."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.figures import note
from tests.support.stubborn_backend import StubbornBackend
from tests.support.systems import running_stack
from tests.system.command_chaos import Chaos, Fault, run_chaos
from tools.nodes import KillableBroker
from tools.stack import ROOT, OwnProcess, Stack

pytestmark = pytest.mark.system

LOG = ROOT / ".dev" / "command-chaos.jsonl"
COMMANDS = int(os.environ.get("CHAOS_COMMANDS", "320"))
CHARGE_POINTS = int(os.environ.get("CHAOS_CHARGE_POINTS", "40"))
PAUSE_S = float(os.environ.get("CHAOS_PAUSE_SECONDS", "1.5"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))


async def crash(process: OwnProcess) -> None:
    """Kill -9, and replace it as a platform does."""
    await asyncio.to_thread(process.kill)
    await asyncio.to_thread(process.start)
    await asyncio.to_thread(process.await_ready)


async def crash_broker(broker: KillableBroker) -> None:
    await asyncio.to_thread(broker.kill)
    await asyncio.to_thread(broker.restart)


def faults(stack: Stack, broker: KillableBroker) -> Sequence[Fault]:
    return [
        (0.2, lambda: crash(stack.gateways[0])),
        (0.4, lambda: crash(stack.workers["commands"])),
        (0.6, lambda: crash_broker(broker)),
        (0.8, lambda: crash(stack.workers["commands-2"])),
    ]


async def test_every_command_has_exactly_one_outcome_through_kills_and_erratic_charge_points(
    own_rabbit: KillableBroker, postgres_url: str, tmp_path: Path
) -> None:
    with running_stack(own_rabbit.amqp_url, postgres_url, tmp_path, gateways=2, replicas={"commands": 2}) as stack:
        backend = StubbornBackend(own_rabbit.amqp_url)
        linked = asyncio.create_task(backend.run())
        try:
            await asyncio.wait_for(backend.up.wait(), 30)
            chaos = Chaos(COMMANDS, CHARGE_POINTS, faults(stack, own_rabbit), PAUSE_S, SEED)
            summary = await run_chaos(chaos, backend, stack.urls, LOG)
        finally:
            linked.cancel()
            await asyncio.gather(linked, return_exceptions=True)
    note(f"chaos of commands: {summary}\nlog: {LOG.relative_to(ROOT)}")
    assert len(backend.commands) == COMMANDS
    assert backend.strays == 0
    assert chaos.problems == []
