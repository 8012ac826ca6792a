"""What the scenarios decide by themselves: steps, slopes, and how a run is shown."""

import argparse
import io
from collections import deque
from typing import cast

import pytest
from rich.console import Console

from loadtest.crowd.conductor import CrowdTick
from loadtest.crowd.orders import Load
from loadtest.report.model import Machine, Report, Series
from loadtest.roundtrips import RoundTrips
from loadtest.scenarios import max_load, soak
from loadtest.scenarios.counting import Counts
from loadtest.scenarios.given import Given
from loadtest.scenarios.live import Lines, Now, Terminal, sparkline
from loadtest.scenarios.measuring import Window
from loadtest.scenarios.running import Run
from loadtest.scenarios.watching import Watched


def _step(load: Load, answered: int, latency_s: float = 0.01, **more) -> max_load.Step:
    trips = RoundTrips()
    for _ in range(answered):
        trips.add(latency_s)
    counts = Counts(seconds=10.0, answers={"Heartbeat": answered}, latency={"Heartbeat": trips}, **more)
    return max_load.Step(load, Window(title="step", counts=counts))


def test_a_step_breaks_by_latency_errors_or_what_was_left_undone():
    closed, asked = Load(active=10), Load(rate=100.0)
    assert _step(closed, 1000).broken(100.0) == ""
    assert "p99" in _step(closed, 1000, latency_s=0.2).broken(100.0)
    assert "errors" in _step(closed, 1000, errors={"timeout": 1}).broken(100.0)
    assert "nothing" in _step(closed, 0).broken(100.0)
    assert _step(asked, 1000).broken(100.0) == ""
    assert "700" not in _step(asked, 960).broken(100.0)
    assert "of 100 Calls/s" in _step(asked, 700).broken(100.0)


def test_a_sustained_step_with_errors_fails():
    run = _run(Series(name="x", unit="MB", group="memory"))
    max_load._judge(run, _step(Load(active=10), 1000).window)
    assert run.report.failures == []
    max_load._judge(run, _step(Load(active=10), 1000, errors={"timeout": 7}).window)
    assert run.report.failures == ["step: 7 errors and lost Calls"]


def test_steps_rise_until_all_are_active():
    def loads(**options: object) -> list[Load]:
        return max_load._loads(argparse.Namespace(kind="heartbeat", **options))

    closed = loads(loop="closed", charge_points=50, steps=16)
    assert [load.active for load in closed] == [8, 16, 32, 50]
    assert [load.active for load in loads(loop="closed", charge_points=3, steps=16)] == [3]
    assert [load.rate for load in loads(loop="open", rate=100.0, steps=3)] == [100.0, 125.0, 156.25]


def _run(series: Series) -> Run:
    machine = Machine(cores=1, memory_bytes=1, cpu="", system="", python="")
    report = Report(scenario="soak", command="", began="", seconds=0.0, machine=machine, series=[series])
    return Run(Given(["ws://x/ocpp"]), report, Lines(io.StringIO()), argparse.Namespace(rate=100.0))


@pytest.mark.parametrize(
    ("group", "per_second", "failed"),
    [
        ("memory", 0.0, False),
        ("memory", 0.01, False),
        ("memory", 0.5, True),
        ("queue", 0.0, False),
        ("queue", 2.0, True),
    ],
)
def test_growth_is_judged_by_least_squares_over_the_second_half(group, per_second, failed):
    first = [(float(at), 5000.0) for at in range(0, 50, 2)]  # whatever happens while it warms up
    second = [(float(at), 100.0 + per_second * (at - 50) + (at % 4)) for at in range(50, 102, 2)]
    run = _run(Series(name="gateway-0", unit="MB", group=group, points=first + second))
    soak.judge_growth(run, 50.0, 100.0, limit_share=0.05)
    assert bool(run.report.failures) is failed
    assert [note.split(" was")[0] for note in run.report.notes] == ["no queue" if group == "memory" else "no memory"]
    figure = run.report.figure("growth_gateway_0_mb_per_hour")
    assert (figure is not None) is (group == "memory")
    if figure is not None:
        assert figure.value == pytest.approx(per_second * 3600, abs=60)


def test_the_slope_of_a_line_is_its_own():
    assert soak.slope([(float(at), 3.0 * at + 1) for at in range(20)]) == pytest.approx(3.0)
    assert soak.slope([(1.0, 5.0)]) == 0.0


def _now() -> Now:
    return Now(
        seconds=3725.0, charge_points=1000, connected=900, booted=800, rate=1234.0, p50_ms=2.0, p99_ms=None, errors=3,
        waiting=7, generator_share=0.25, lag_ms=1.0, cpu={"gateway-0": 0.95, "broker": 0.5},
    )  # fmt: skip


def test_plain_lines_come_now_and_then():
    out = io.StringIO()
    lines = Lines(out, every_s=3600)
    lines.show(_now())
    lines.show(_now())
    lines.say("[bold] is not markup")
    shown = out.getvalue().splitlines()
    assert len(shown) == 2
    assert "1:02:05 | 1,234 Calls/s | p50 2.0 ms p99 -" in shown[0]
    assert "connected 900/1,000 booted 800 | errors 3 | cpu gateway-0 95% broker 50% generator 25%" in shown[0]
    assert shown[1] == "[bold] is not markup"


def test_the_live_view_shows_load_sockets_and_cpu():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120)
    with Terminal("Steady load", console) as terminal:
        terminal.say("[bold] is not markup")
        terminal.show(_now())
    shown = out.getvalue()
    for text in ("Steady load", "1,234", "of 1,000, 800 booted", "gateway-0", "95%", "[bold] is not markup"):
        assert text in shown


def test_a_sparkline_is_as_high_as_its_values():
    assert sparkline(deque([0.0, 5.0, 10.0])) == "▁▅█"
    assert sparkline(deque([0.0, 0.0])) == "▁▁"
    assert sparkline(deque[float]()) == ""


class _Backlog:
    """A crowd that works its backlog off, so many Calls a second."""

    def __init__(self, *waiting: int) -> None:
        self.ticks = [CrowdTick(waiting=count, calls={"Heartbeat": 7}, answers={"Heartbeat": 5}) for count in waiting]
        self.loads: list[Load] = []

    async def load(self, load: Load) -> None:
        self.loads.append(load)

    async def tick(self) -> CrowdTick:
        return self.ticks.pop(0)


async def test_a_backlog_is_worked_off_before_anything_else_is_measured():
    crowd = _Backlog(900, 300, 0, 0)
    await max_load._work_off(cast("Watched", crowd), argparse.Namespace(kind="mix"))
    assert len(crowd.ticks) == 1
    assert [load.rate for load in crowd.loads] == [1.0]
