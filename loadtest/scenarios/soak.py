"""`soak`: steady load for hours; neither memory nor queues may grow."""

import argparse
from collections.abc import Sequence

from loadtest.parsing import number
from loadtest.report.model import Series
from loadtest.scenarios import figures
from loadtest.scenarios.running import Run
from loadtest.scenarios.scenario import Scenario

_NOISE_MB = 4.0
_LEAST_POINTS = 10
_QUEUE_S = 0.1
"""Calls of so much time that the queues may hold more at the end than in the middle."""
_HOUR_S = 3600.0


async def play(run: Run, options: argparse.Namespace) -> None:
    """As `steady`; then look whether anything grew over the second half."""
    async with run.crowd() as crowd:
        await run.put_under_load(crowd, options.rate)
        begin_s = run.seconds
        window = await run.window("soak", options.seconds, crowd)
        middle_s = (begin_s + run.seconds) / 2
        figures.tell(run, window, rate=options.rate, limit_p99_ms=options.limit_p99_ms)
        judge_growth(run, middle_s, run.seconds, options.limit_growth)
        await run.conclude(crowd)


def judge_growth(run: Run, begin_s: float, end_s: float, limit_share: float) -> None:
    """Leaks of memory, by part, and queues that fill, from the report's series between two times."""
    hours = (end_s - begin_s) / _HOUR_S
    judged = set()
    for series in list(run.report.series):
        points = [(at, value) for at, value in series.points if begin_s <= at <= end_s]
        if series.group not in {"memory", "queue"} or len(points) < _LEAST_POINTS:
            continue
        judged.add(series.group)
        grown = slope(points) * (end_s - begin_s)
        mean = sum(value for _, value in points) / len(points)
        if series.group == "memory":
            run.figure(f"growth_{_key(series)}_mb_per_hour", grown / hours, "MB",
                       title=f"Memory of {series.name}: growth an hour in the second half", better="less")  # fmt: skip
            if grown > max(_NOISE_MB, limit_share * mean):
                run.fail(f"the memory of {series.name} grew by {grown:,.1f} MB (of {mean:,.0f}) in the second half")
        elif grown > max(_LEAST_POINTS, _QUEUE_S * run.options.rate):
            run.fail(f"{series.name}: {grown:,.0f} Calls more at the end than in the middle")
    for group in sorted({"memory", "queue"} - judged):
        run.report.notes.append(f"no {group} was looked at, for no part told of it: whether it grows is not known")


def slope(points: Sequence[tuple[float, float]]) -> float:
    """By least squares, per second."""
    count = len(points)
    mean_at = sum(at for at, _ in points) / count
    mean = sum(value for _, value in points) / count
    spread = sum((at - mean_at) ** 2 for at, _ in points)
    return sum((at - mean_at) * (value - mean) for at, value in points) / spread if spread else 0.0


def _key(series: Series) -> str:
    return series.name.replace(" ", "_").replace("-", "_")


def add_to(parser: argparse.ArgumentParser) -> None:
    """What only this scenario takes."""
    parser.add_argument(
        "--limit-growth", type=number(0, 10), default=0.05, metavar="SHARE",
        help="of its memory that a part may grow by in the second half (default %(default)s)",
    )  # fmt: skip


SCENARIO = Scenario(
    name="soak",
    title="Soak",
    help="Steady load for hours: nothing lost, no memory that leaks, no queue that fills.",
    play=play,
    defaults={"seconds": 4 * 3600.0, "warm_up_seconds": 60.0, "rate": 500.0},
    add_to=add_to,
)
