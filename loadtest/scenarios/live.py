"""What is shown while a scenario runs: a live view on a terminal, a line every few seconds elsewhere."""

import sys
from collections import deque
from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol, Self, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

_LINE_EVERY_S = 5.0
_BARS = "▁▂▃▄▅▆▇█"
_HISTORY = 60


@dataclass(kw_only=True)
class Now:
    """What a run is doing in one second."""

    seconds: float
    charge_points: int
    connected: int
    booted: int
    rate: float
    p50_ms: float | None
    p99_ms: float | None
    errors: int
    """Since the begin, with Calls cut off."""
    waiting: int
    generator_share: float
    lag_ms: float
    cpu: dict[str, float] = field(default_factory=dict)
    """Share of a core, by part."""


class Display(Protocol):
    """Where a run tells how it goes."""

    def say(self, text: str) -> None:
        """Something worth a line of its own."""

    def show(self, now: Now) -> None:
        """The present second."""


class Lines:
    """Plain lines, for logs and pipes."""

    def __init__(self, out: TextIO = sys.stderr, every_s: float = _LINE_EVERY_S) -> None:
        self._out = out
        self._every_s = every_s
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def say(self, text: str) -> None:
        print(text, file=self._out, flush=True)

    def show(self, now: Now) -> None:
        if monotonic() >= self._next:
            self._next = monotonic() + self._every_s
            print(_line(now), file=self._out, flush=True)


class Terminal:
    """One view that is drawn anew each second; what was said scrolls above it."""

    def __init__(self, title: str, console: Console | None = None) -> None:
        self._title = title
        self._rates: deque[float] = deque(maxlen=_HISTORY)
        self._slow: deque[float] = deque(maxlen=_HISTORY)
        self._live = Live(console=console or Console(stderr=True), auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def say(self, text: str) -> None:
        self._live.console.print(Text(text))

    def show(self, now: Now) -> None:
        self._rates.append(now.rate)
        self._slow.append(now.p99_ms or 0.0)
        self._live.update(self._view(now), refresh=True)

    def _view(self, now: Now) -> Panel:
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", justify="right")
        table.add_column(justify="right", min_width=12)
        table.add_column(style="cyan", no_wrap=True)
        table.add_row("Calls/s", f"[bold]{now.rate:,.0f}[/]", sparkline(self._rates))
        table.add_row("p99", _ms(now.p99_ms), sparkline(self._slow))
        table.add_row("p50", _ms(now.p50_ms), "")
        table.add_row("connected", f"{now.connected:,}", f"of {now.charge_points:,}, {now.booted:,} booted")
        trouble = "bold red" if now.errors else "green"
        table.add_row("errors", f"[{trouble}]{now.errors:,}[/]", f"{now.waiting:,} due and not sent")
        used = Text("  ").join(
            Text.assemble((name, "dim"), f" {share:.0%}", style="red" if share > 0.9 else "")
            for name, share in {**now.cpu, "generator": now.generator_share}.items()
        )
        view = Group(table, Text(), Text("CPU, of one core", style="dim"), used)
        return Panel(view, title=f"{self._title} · {_clock(now.seconds)}", title_align="left", padding=(1, 2))


def display(title: str, *, plain: bool) -> Lines | Terminal:
    """The live view where there is a terminal to show it on, unless plain lines are wanted."""
    return Lines() if plain or not sys.stderr.isatty() else Terminal(title)


def sparkline(values: deque[float]) -> str:
    """Values as bars, the highest at full height."""
    most = max(values, default=0.0)
    if most <= 0:
        return _BARS[0] * len(values)
    return "".join(_BARS[min(len(_BARS) - 1, int(value / most * len(_BARS)))] for value in values)


def _line(now: Now) -> str:
    busiest = sorted(now.cpu.items(), key=lambda item: -item[1])[:3]
    parts = [
        f"{_clock(now.seconds)}",
        f"{now.rate:,.0f} Calls/s",
        f"p50 {_ms(now.p50_ms)} p99 {_ms(now.p99_ms)}",
        f"connected {now.connected:,}/{now.charge_points:,} booted {now.booted:,}",
        f"errors {now.errors:,}",
        f"cpu {' '.join(f'{name} {share:.0%}' for name, share in [*busiest, ('generator', now.generator_share)])}",
    ]
    return " | ".join(parts)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f} ms"
