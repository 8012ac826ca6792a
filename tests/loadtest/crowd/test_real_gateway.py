"""A crowd against real gateways, workers and a store."""

import asyncio

import pytest

from loadtest.crowd.conductor import Crowd, shares_for
from loadtest.crowd.orders import Load
from tools.stack import ROOT, Stack


@pytest.mark.system
async def test_a_crowd_leaves_nothing_open_behind_a_real_gateway(amqp_url, tmp_path):
    stack = Stack(amqp_url=amqp_url, database_url=f"sqlite+aiosqlite:///{tmp_path}/ocpp.db", logs=tmp_path, gateways=2)
    try:
        await asyncio.to_thread(stack.migrate)
        await asyncio.to_thread(stack.run_worker_command, "provision", str(ROOT / "tools" / "demo.toml"))
        await asyncio.to_thread(stack.start)
        shares = shares_for(
            urls=stack.urls, charge_points=8, processes=2, share_201=0.5, ramp_per_s=200.0,
            id_tags=tuple(f"DEMO-{number:04}" for number in range(1, 11)), backoff_s=0.1, backoff_random_s=0.1,
        )  # fmt: skip
        async with Crowd(shares) as crowd, asyncio.timeout(300):
            await crowd.connect()
            while (await crowd.tick()).booted < 8:
                pass
            await crowd.load(Load(kind="mix", active=8))
            while (tick := await crowd.tick()).stop_confirmed < 2:
                pass
            await crowd.cut()
            while (tick := await crowd.tick()).reconnected < 8 or tick.booted < 8:
                pass
            await crowd.finish()
            while not (tick := await crowd.tick()).finished:
                pass
        assert tick.started == tick.start_confirmed == tick.stop_confirmed > 2
        assert not tick.errors
        assert not tick.refused
        assert not tick.ended
        shown = await asyncio.to_thread(stack.run_worker_command, "show", "transactions", "--limit", "1000")
        assert shown.count("LOAD-") == tick.started
    finally:
        await asyncio.to_thread(stack.stop)
