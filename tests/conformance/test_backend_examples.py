"""The examples of docs/backend.md, run as they stand against the whole system and a real charge point."""

import asyncio
import os
import re
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from contracts.events import binding_key
from contracts.versions import Version
from tests.support.backend_examples import LANGUAGES, Running, running
from tests.support.calls_16 import VALID
from tests.support.live import LiveSystem
from tests.support.stations import ask
from tools.backend_page import PAGE

CHANGE = '{"key": "MeterValueSampleInterval", "value": "60"}'
WITHIN_S = 60


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def _boot(station: Any) -> None:
    await ask(station, Version.V16, "BootNotification", VALID["BootNotification"])


async def test_send_command_prints_what_the_charge_point_answered(live: LiveSystem, identity: str, language: str):
    async with live.station(identity, Version.V16) as station:
        await _boot(station)
        arguments = (identity, "GetConfiguration", '{"key": ["Strange"]}')
        async with running(language, "send_command", live.amqp_url, *arguments) as example:
            outcome = await example.json()
            assert (outcome["outcome"], outcome["identity"], outcome["attempts"]) == ("result", identity, 1), str(
                outcome
            )
            assert await example.status() == 0
    assert outcome["payload"]["unknownKey"] == ["Strange"]
    assert outcome["queued_ms"] <= outcome["dispatched_ms"]
    assert outcome["sent_ms"] <= outcome["answered_ms"]


async def test_send_command_says_that_the_charge_point_is_offline(live: LiveSystem, identity: str, language: str):
    async with running(language, "send_command", live.amqp_url, identity, "ClearCache") as example:
        outcome = await example.json()
        assert await example.status() == 1
    assert (outcome["outcome"], outcome["reason"]) == ("offline", "not_connected")


async def test_send_command_says_what_is_wrong_with_the_payload(live: LiveSystem, identity: str, language: str):
    async with live.station(identity, Version.V16) as station:
        await _boot(station)
        async with running(language, "send_command", live.amqp_url, identity, "Reset", '{"type": 1}') as example:
            outcome = await example.json()
            assert await example.status() == 1
    assert outcome["outcome"] == "rejected"
    assert station.requests("Reset") == []


async def test_track_command_is_carried_out_when_the_charge_point_comes(live: LiveSystem, identity: str, language: str):
    arguments = (identity, "ChangeConfiguration", CHANGE)
    async with running(language, "track_command", live.amqp_url, *arguments) as example:
        _, command_id = (await example.line()).split()
        assert await example.line() == "stored, held"
        async with live.station(identity, Version.V16) as station:
            await _boot(station)
            outcome = await example.json()
            assert await example.status() == 0
    assert (outcome["command_id"], outcome["outcome"], outcome["tracked"]) == (command_id, "result", True)
    assert station.requests("ChangeConfiguration") == [{"key": "MeterValueSampleInterval", "value": "60"}]

    async with running(language, "track_command", live.amqp_url, *arguments, command_id) as example:
        await example.line()
        assert await example.line() == "stored, ended"
        assert await example.json() == outcome


async def test_listen_events_hears_what_happened_while_it_was_down(live: LiveSystem, identity: str, language: str):
    queue, key = f"test.{uuid.uuid4().hex}", binding_key(identity=identity)
    heard: dict[int, str] = {}
    async with running(language, "listen_events", live.amqp_url, queue, key) as example:
        assert await example.complaint() == f"listening on {queue}"
        async with live.station(identity, Version.V16):
            await _hear(example, heard, {"session.opened"})
    async with live.station(identity, Version.V16) as station:
        await _boot(station)
    async with running(language, "listen_events", live.amqp_url, queue, key) as example:
        await _hear(example, heard, {"session.opened", "session.closed", "charge_point.booted"})
    assert sorted(heard) == list(range(1, len(heard) + 1))


async def _hear(example: Running, heard: dict[int, str], types: set[str]) -> None:
    while not types <= set(heard.values()):
        event = await example.json()
        heard[event["seq"]] = event["type"]


async def test_the_example_of_our_own_client_hears_of_the_command_that_it_handed_over(
    live: LiveSystem, identity: str, tmp_path: Path
):
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[-1]
    script = tmp_path / "example.py"
    script.write_text(code.replace("DE-CP-0042", identity).replace("night-shift.events", f"test.{uuid.uuid4().hex}"))
    root = Path(__file__).parents[2]
    environment = {**os.environ, "AMQP_URL": live.amqp_url, "PYTHONPATH": str(root)}
    async with live.station(identity, Version.V16) as station:
        await _boot(station)
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(script), env=environment, stdout=-1, stderr=-1
        )
        try:
            async with asyncio.timeout(WITHIN_S):
                printed, complaints = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert process.returncode == 0, complaints.decode()
    first, second, last = (line for line in printed.decode().splitlines() if "broker." not in line)  # it logs too
    assert first.startswith("result ")
    assert identity in second
    assert last == "result"
