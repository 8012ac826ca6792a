"""The page of `make run`: pure rendering of what was measured."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True)
class WorkerLine:
    name: str
    handled_per_s: float
    handled: int
    queue_depth: int | None
    errors: int


@dataclass(frozen=True)
class Figures:
    """One look at the running system."""

    seconds: float
    charge_points: dict[str, int] = field(default_factory=dict)
    sessions: int = 0
    frames_in_per_s: float = 0.0
    frames_out_per_s: float = 0.0
    roundtrip_p50_ms: float | None = None
    roundtrip_p99_ms: float | None = None
    active: int = 0
    ended: int = 0
    kwh: float = 0.0
    samples: int = 0
    workers: Sequence[WorkerLine] = ()


@dataclass(frozen=True)
class Places:
    """Where a person finds things, each a line: name and place; and what to try next, with its command."""

    found: Sequence[tuple[str, str]]
    to_try: Sequence[tuple[str, str]]


def announce(console: Console, places: Places) -> None:
    """Print where things are and what to try, once and each in one line, so that a terminal can copy it."""
    for name, place in places.found:
        console.print(Text.assemble((f"{name:18}", "dim"), place), soft_wrap=True)
    for number, (what, command) in enumerate(places.to_try, start=1):
        console.print(Text.assemble((f"try {number}  ", "green"), what), soft_wrap=True)
        console.print(Text(f"  {command}", style="bold"), soft_wrap=True)


def render(figures: Figures, note: str) -> RenderableType:
    """What changes, on 80 columns and few enough rows to leave what to try in sight on a terminal of 24."""
    top = Table.grid(expand=True)
    for _ in range(3):
        top.add_column(ratio=1)
    top.add_row(_charge_points(figures), _traffic(figures), _stored(figures))
    return Group(top, _workers(figures, note))


def line(figures: Figures) -> str:
    """The page in one line, where there is no terminal."""
    states = " ".join(f"{state} {count}" for state, count in figures.charge_points.items() if count)
    return (
        f"{figures.seconds:5.0f} s | {states or 'no charge points yet'} | "
        f"frames/s in {figures.frames_in_per_s:.0f} out {figures.frames_out_per_s:.0f} | "
        f"round trip p50 {_ms(figures.roundtrip_p50_ms)} p99 {_ms(figures.roundtrip_p99_ms)} | "
        f"transactions {figures.active} active {figures.ended} completed, {figures.kwh:.2f} kWh"
    )


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"


def _facts(title: str, rows: Sequence[tuple[str, str]]) -> Panel:
    table = Table.grid(padding=(0, 2))
    for name, value in rows:
        table.add_row(Text(name, style="dim"), Text(value, style="bold"))
    return Panel(table, title=title, title_align="left")


def _charge_points(figures: Figures) -> Panel:
    rows = [(state, str(count)) for state, count in figures.charge_points.items() if count]
    return _facts("charge points", [("connected", str(figures.sessions)), *rows])


def _traffic(figures: Figures) -> Panel:
    return _facts(
        "frames, round trips",
        [
            ("received", f"{figures.frames_in_per_s:.1f} /s"),
            ("sent", f"{figures.frames_out_per_s:.1f} /s"),
            ("trip p50", _ms(figures.roundtrip_p50_ms)),
            ("trip p99", _ms(figures.roundtrip_p99_ms)),
        ],
    )


def _stored(figures: Figures) -> Panel:
    return _facts(
        "transactions stored",
        [
            ("active", str(figures.active)),
            ("completed", str(figures.ended)),
            ("energy", f"{figures.kwh:.2f} kWh"),
            ("samples", str(figures.samples)),
        ],
    )


def _workers(figures: Figures, note: str) -> Panel:
    table = Table(box=None, expand=True, header_style="dim")
    for column in ("worker", "Calls/s", "Calls", "in its queue", "not answered well"):
        table.add_column(column, justify="left" if column == "worker" else "right")
    for worker in figures.workers:
        depth = "-" if worker.queue_depth is None else str(worker.queue_depth)
        table.add_row(worker.name, f"{worker.handled_per_s:.1f}", str(worker.handled), depth, str(worker.errors))
    return Panel(table, title="workers; Ctrl-C ends it all", title_align="left", subtitle=note, subtitle_align="left")
