"""`make run`: its page, its refusals, and one whole run without a terminal."""

import asyncio
import fcntl
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from sqlalchemy import insert

from tests.support.processes import await_none_of
from tools import showcase
from tools.nodes import NodeFailed
from tools.nodes.given import GivenBroker
from tools.showcase_page import Figures, Places, WorkerLine, announce, render
from tools.stack import ROOT, SERVICES, Stack
from workers.store.engine import Store
from workers.store.tables import transactions

LONG = "DATABASE_URL=sqlite+aiosqlite:///.dev/run/ocpp.db .dev/venv/bin/ocpp-worker show transactions --limit 100"
BUSY = Figures(
    seconds=9_999.0,
    charge_points={"offline": 9_999, "pending": 9_999, "available": 9_999, "charging": 9_999, "faulted": 9_999},
    sessions=9_999,
    frames_in_per_s=9_999.9,
    frames_out_per_s=9_999.9,
    roundtrip_p50_ms=9_999.9,
    roundtrip_p99_ms=9_999.9,
    active=9_999,
    ended=99_999,
    kwh=9_999.99,
    samples=9_999_999,
    workers=[WorkerLine(name, 9_999.9, 9_999_999, 9_999, 9_999) for name in SERVICES],
)


def on_paper(*, width: int = 80, terminal: bool = False) -> tuple[Console, io.StringIO]:
    paper = io.StringIO()
    return Console(file=paper, width=width, height=24, force_terminal=terminal), paper


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A folder of its own for `make run`, and the signal handlers as they were."""
    monkeypatch.setattr(showcase, "ROOT", tmp_path)
    monkeypatch.setattr(showcase, "STATE", tmp_path / "run")
    monkeypatch.setattr(showcase, "LOCK", tmp_path / "run.lock")
    monkeypatch.setattr(showcase, "REFRESH_S", 0.0)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield tmp_path
    for number, handler in before.items():
        signal.signal(number, handler)


class Scripted(showcase.Showcase):
    """Starts nothing, measures what it was told to, and says that all is lost when the script has ended."""

    failure: NodeFailed | None = None

    def start(self, undo: Any) -> None:
        if self.failure is not None:
            raise self.failure

    def places(self) -> Places:
        return Places([], [("look:", LONG)])

    async def look(self, store: Store) -> Figures:
        return BUSY

    def revive(self) -> str | None:
        return "metering keeps dying"


def test_the_figures_fit_a_small_terminal_beneath_what_to_try() -> None:
    console, paper = on_paper(width=80 - showcase.ECHO_WIDTH)
    console.print(render(BUSY, showcase.TIME_LAPSE))
    lines = paper.getvalue().splitlines()
    assert len(lines) <= 24 - 2 * 3 - 2  # three commands with their titles, two of them wrapped by the terminal
    for whole in (
        showcase.TIME_LAPSE,
        "Ctrl-C",
        "received  9999.9 /s",
        "trip p99  9999.9 ms",
        "9999.99 kWh",
        "9999999",
    ):
        assert any(whole in line for line in lines), whole
    assert not any("…" in line for line in lines)


def test_a_command_to_try_is_printed_in_one_piece_however_narrow_the_terminal() -> None:
    console, paper = on_paper(width=40)
    announce(console, Places([("logs", "/" + "x" * 60)], [("look:", LONG)]))
    assert paper.getvalue().splitlines() == ["logs              /" + "x" * 60, "try 1  look:", f"  {LONG}"]


@pytest.mark.parametrize("terminal", [True, False])
def test_why_a_run_ended_is_the_last_thing_said(elsewhere: Path, monkeypatch, terminal: bool) -> None:
    console, paper = on_paper(terminal=terminal)
    monkeypatch.setattr(showcase, "Console", lambda: console)
    monkeypatch.setattr(showcase, "Showcase", Scripted)
    assert showcase.main([]) == 1
    assert paper.getvalue().splitlines()[-1] == "metering keeps dying"


def test_why_nothing_could_be_started_is_the_last_thing_said(elsewhere: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(showcase, "Showcase", Scripted)
    monkeypatch.setattr(Scripted, "failure", NodeFailed("no broker"))
    assert showcase.main([]) == 2
    assert capsys.readouterr().out.splitlines()[-1] == "no broker"


def test_a_second_run_in_the_same_folder_is_refused_and_the_first_keeps_its_data(elsewhere: Path, capsys) -> None:
    database = showcase.STATE / "ocpp.db"
    database.parent.mkdir()
    database.write_text("of the first run")
    with showcase.LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert showcase.main([]) == 2
    assert "another make run is at work in this folder" in capsys.readouterr().err
    assert database.read_text() == "of the first run"


@pytest.mark.parametrize(
    "words", [["--charge-points", "0"], ["--charge-points", "many"], ["--until-transactions", "-1"]]
)
def test_an_impossible_number_is_refused_before_anything_starts(elsewhere: Path, capsys, words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        showcase.main(words)
    assert ended.value.code == 2
    assert "is not a number from" in capsys.readouterr().err
    assert not showcase.LOCK.exists()


def test_a_given_database_is_shown_without_its_password_and_asked_without_its_url(monkeypatch, tmp_path: Path) -> None:
    url = "postgresql+asyncpg://ocpp:secret@db.example/ocpp"
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("AMQP_URL", "amqp://broker.example")
    shown = showcase.Showcase(1, on_paper()[0])
    shown.broker = GivenBroker("amqp://broker.example")
    shown.stack = Stack(amqp_url="amqp://broker.example", database_url=url, logs=ROOT / ".dev" / "run")
    places = shown.places()
    assert ("store", "postgresql+asyncpg://…@db.example/ocpp") in places.found
    assert places.to_try[1][1] == ".dev/venv/bin/ocpp-worker show transactions"
    assert "secret" not in str(places)


async def given_history(url: str) -> None:
    store = Store(url)
    async with store.transaction() as transaction:
        row = {"identity": "OLD", "natural_key": "1", "ocpp_version": "1.6", "state": "ended", "energy_wh": 5_000.0}
        await transaction.run(insert(transactions), row)
    await store.close()


class Run:
    """A `make run` in a process of its own, with folders below `folder`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said: list[str] = []

    async def hears(self, wanted: Callable[[str], bool]) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(60):
            async for data in self.process.stdout:
                self.said.append(data.decode().rstrip("\n"))
                if wanted(self.said[-1]):
                    return self.said[-1]
        raise AssertionError("\n".join(self.said))


@pytest.mark.system
async def test_a_run_without_a_terminal_ignores_proxies_revives_a_worker_and_leaves_nothing(
    amqp_url: str, sqlite_database_url: str, tmp_path: Path
) -> None:
    await given_history(sqlite_database_url)
    script = (
        "import pathlib, sys; from tools import showcase as s; s.ROOT = pathlib.Path(sys.argv[1]);"
        "s.STATE, s.LOCK, s.PLAIN_REFRESH_S = s.ROOT / 'run', s.ROOT / 'run.lock', 0.2;"
        "sys.exit(s.main(['--charge-points', '2']))"
    )
    given = {"AMQP_URL": amqp_url, "DATABASE_URL": sqlite_database_url, "http_proxy": "http://127.0.0.1:1"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(tmp_path), cwd=ROOT, env={**os.environ, **given}, stdout=-1, stderr=-2
    )
    run = Run(process)
    try:
        kill = (await run.hears(lambda said: "kill -9" in said)).strip()
        figures = await run.hears(lambda said: "completed, " in said)
        assert " 0 completed, 0.00 kWh" in figures
        crash = await asyncio.create_subprocess_shell(kill, cwd=tmp_path)
        assert await crash.wait() == 0
        await run.hears(lambda said: "metering has died and is started again" in said)
        await run.hears(lambda said: "charging 2" in said)
        process.send_signal(signal.SIGINT)
        await run.hears(lambda said: "stopped; the store and the logs are in run/" in said)
        assert await asyncio.wait_for(process.wait(), 10) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    await_none_of(tmp_path, timeout_s=5)
    assert not list((tmp_path / "run").rglob("*.pid"))
