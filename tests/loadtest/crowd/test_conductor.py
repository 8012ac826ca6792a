"""Crowds in processes of their own."""

import asyncio
import os
import resource
import signal
import sys
from dataclasses import asdict

import orjson
import pytest

from loadtest.crowd import conductor, process
from loadtest.crowd.conductor import Crowd, CrowdFailed, CrowdTick, divided, shares_for, total
from loadtest.crowd.orders import Load, Order, Tick
from loadtest.roundtrips import RoundTrips
from loadtest.scenarios.watching import Watched

OPTIONS = {"backoff_s": 0.01, "backoff_random_s": 0.01, "ramp_per_s": 1000.0}


async def until(crowd: Crowd, condition) -> CrowdTick:
    async with asyncio.timeout(60):
        while not condition(tick := await crowd.tick()):
            pass
        return tick


async def test_a_crowd_connects_works_finishes_and_goes(csms):
    shares = shares_for(urls=[csms.url], charge_points=11, processes=2, share_201=0.5, **OPTIONS)
    async with Crowd(shares) as crowd:
        await crowd.connect()
        tick = await until(crowd, lambda tick: tick.booted == 11)
        assert tick.charge_points == tick.connected == 11
        assert [one.connected for one in tick.processes] == [5, 6]
        await crowd.load(Load(kind="meter_values", rate=100))
        tick = await until(crowd, lambda tick: tick.start_confirmed == 11 and tick.latency)
        assert RoundTrips.of(next(iter(tick.latency.values()))).quantile(0.5) > 0
        await crowd.cut()
        tick = await until(crowd, lambda tick: tick.reconnected == 11 and tick.booted == 11)
        await crowd.finish()
        tick = await until(crowd, lambda tick: tick.finished)
        assert tick.started == tick.stop_confirmed >= 11
        assert not tick.errors
        assert tick.cpu_s > 0
        assert tick.busiest_cpu_share > 0
        assert tick.rss_bytes > 10_000_000
    await csms.until(lambda: all(peer._connection.state.name == "CLOSED" for peer in csms.peers.values()))


async def test_a_process_that_dies_is_named(csms):
    shares = shares_for(urls=[csms.url], charge_points=4, processes=2, first=10, **OPTIONS)
    async with Crowd(shares) as crowd:
        await crowd.connect()
        await until(crowd, lambda tick: tick.booted == 4)
        os.kill(crowd.pids[1], signal.SIGKILL)
        with pytest.raises(CrowdFailed, match=r"LOAD-12 to LOAD-13 ended with exit code -9"):
            await until(crowd, lambda _: False)
        with pytest.raises(CrowdFailed, match="LOAD-12"):
            await crowd.load(Load())


async def test_a_process_that_falls_silent_is_named(csms, monkeypatch):
    monkeypatch.setattr(conductor, "_SILENCE_S", 3.0)
    monkeypatch.setattr(conductor, "_END_S", 0.1)
    async with Crowd(shares_for(urls=[csms.url], charge_points=1, processes=1, **OPTIONS)) as crowd:
        await crowd.tick()
        os.kill(crowd.pids[0], signal.SIGSTOP)
        with pytest.raises(CrowdFailed, match="LOAD-0 to LOAD-0 said nothing"):
            await until(crowd, lambda _: False)


async def test_whoever_watches_is_told_when_the_watching_fails(csms):
    def on_tick(*_: object) -> None:
        raise BrokenPipeError

    crowd = Crowd(shares_for(urls=[csms.url], charge_points=1, processes=1, **OPTIONS))
    with pytest.raises(BrokenPipeError):
        async with asyncio.timeout(20), Watched(crowd, "", on_tick) as watched:
            await watched.tick()


async def test_what_a_process_says_is_in_its_failure():
    async with Crowd(shares_for(urls=["http://nowhere/"], charge_points=1, processes=1)) as crowd:
        with pytest.raises(CrowdFailed, match="is not a ws:// or wss:// address"):
            await crowd.tick()


async def test_a_process_does_not_outlive_who_gives_orders(csms):
    (share,) = shares_for(urls=[csms.url], charge_points=1, processes=1, **OPTIONS)
    orphan = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "loadtest.crowd.process", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert orphan.stdin is not None
    orphan.stdin.write(orjson.dumps(asdict(share)) + b"\n" + Order(what="connect").encode())
    await csms.until(lambda: csms.of("StatusNotification"))
    orphan.stdin.close()
    async with asyncio.timeout(60):
        await orphan.communicate()
    assert orphan.returncode == 0


def test_too_few_files_are_told(monkeypatch):
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 1024))
    monkeypatch.setattr(resource, "setrlimit", lambda _, both: limits.append(both))
    assert process.too_few_files(900) is None
    assert limits == [(1024, 1024)]
    assert process.too_few_files(1000) == "1000 sockets need 1064 open files, and the hard limit is 1024 (ulimit -Hn)"


def test_shares_and_loads_add_up():
    shares = shares_for(urls=["ws://a", "ws://b"], charge_points=10, processes=3, ramp_per_s=300, id_tags=("T",))
    assert [(share.first, share.count) for share in shares] == [(0, 3), (3, 3), (6, 4)]
    assert {share.ramp_per_s for share in shares} == {100.0}
    parts = divided(Load(rate=100.0, active=7), [3, 3, 4])
    assert sum(part.active for part in parts) == 7
    assert sum(part.rate for part in parts) == pytest.approx(100.0)
    assert len(shares_for(urls=["ws://a"], charge_points=2, processes=8)) == 2
    with pytest.raises(ValueError, match="at least one"):
        Crowd([])


def test_ticks_are_added_up_and_survive_a_line():
    one = Tick(at=1.0, connected=2, calls={"A": 1}, latency={"A": {3: 1}}, lag_s=0.1, finished=True, cpu_s=1.0)
    other = Tick(at=2.0, connected=3, calls={"A": 2, "B": 1}, latency={"A": {3: 2, 4: 1}}, lag_s=0.05, finished=False)
    tick = total([Tick.decode(one.encode()), other], [0.2, 0.7], 9)
    assert (tick.at, tick.connected, tick.calls, tick.latency) == (2.0, 5, {"A": 3, "B": 1}, {"A": {3: 3, 4: 1}})
    assert (tick.lag_s, tick.finished, tick.busiest_cpu_share, tick.charge_points) == (0.1, False, 0.7, 9)
