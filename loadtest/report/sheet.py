"""A sheet to draw on, in inches and without a display: panels one below the other over the same time, and words."""

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from PIL import Image

from loadtest.report.palette import Theme
from loadtest.report.wording import clock, plain

WIDTH: Final = 9.6
DPI: Final = 200
LEFT: Final = 0.72
TOP: Final = 0.42
BELOW: Final = 0.34
SIZE: Final = 9.0
SMALL: Final = 8.0
LINE: Final = 0.165
"""The height of a line of small text."""
Style = Literal["-"] | tuple[float, tuple[float, float]]
_DASHES: Final[Style] = (0, (3, 2))
_LONGEST: Final = 34
_STEPS_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)


@contextmanager
def plain_style() -> Iterator[None]:
    """The library's own defaults, whatever this machine's settings for it are; no word about letters it cannot draw."""
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        mpl.rcdefaults()
        yield


class Sheet:
    """One picture. Everything is placed by inches from the upper left, so that it looks the same on every machine."""

    def __init__(self, theme: Theme, height: float) -> None:
        self.theme = theme
        self.height = height
        self.figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor=theme.ground)
        canvas = FigureCanvasAgg(self.figure)
        self._renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]  # measuring without it draws each time
        self.pixels: tuple[int, int] = canvas.get_width_height()

    def png(self) -> bytes:
        """The picture, of 256 colours and so a third of the size; the same bytes for the same drawing."""
        drawn, written = io.BytesIO(), io.BytesIO()
        self.figure.savefig(drawn, format="rgba", facecolor=self.theme.ground)
        whole = Image.frombytes("RGBA", self.pixels, drawn.getvalue())
        whole.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(written, "PNG", optimize=True)
        return written.getvalue()

    def write(
        self, x: float, y: float, text: str, *, soft: bool = False, bold: bool = False, right: bool = False,
        size: float = SIZE,
    ) -> float:  # fmt: skip
        """Put words with their middle at `y`; gives their width. Dollar signs are dollar signs here."""
        words = Text(
            x / WIDTH, 1 - y / self.height, shortened(text, 120), transform=self.figure.transFigure,
            color=self.theme.soft_ink if soft else self.theme.ink, fontsize=size, parse_math=False,
            fontweight="bold" if bold else "normal", ha="right" if right else "left", va="center_baseline",
        )  # fmt: skip
        self.figure.add_artist(words)
        return float(words.get_window_extent(self._renderer).width) / DPI

    def width_of(self, text: str, size: float = SIZE) -> float:
        """How wide words would be."""
        words = Text(0, 0, text, fontsize=size, parse_math=False, figure=self.figure)
        return float(words.get_window_extent(self._renderer).width) / DPI

    def fitting(self, text: str, wide: float, size: float = SIZE) -> str:
        """As much of it as has room, with an ellipsis where that is not all."""
        longest = 120
        while self.width_of(found := shortened(text, longest), size) > wide and longest > 2:
            longest = min(longest, len(found)) - 1
        return found

    def stroke(
        self, start: tuple[float, float], end: tuple[float, float], colour: str, width: float = 1.0, style: Style = "-"
    ) -> None:
        """Draw a line."""
        self.figure.add_artist(
            Line2D(
                [start[0] / WIDTH, end[0] / WIDTH], [1 - start[1] / self.height, 1 - end[1] / self.height],
                transform=self.figure.transFigure, color=colour, linewidth=width, linestyle=style,
                solid_capstyle="butt",
            )
        )  # fmt: skip

    def panel(self, top: float, height: float, *, left: float = LEFT, right: float = 0.2) -> Axes:
        """A frameless plot with a soft grid across."""
        axes = self.figure.add_axes(
            (left / WIDTH, 1 - (top + height) / self.height, (WIDTH - left - right) / WIDTH, height / self.height)
        )
        axes.set_facecolor("none")
        for name, spine in axes.spines.items():
            spine.set_visible(name == "bottom")
            spine.set_color(self.theme.axis)
        axes.grid(axis="y", color=self.theme.grid, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(colors=self.theme.soft_ink, labelsize=SMALL, length=0, pad=5, which="both")
        axes.tick_params(axis="x", length=3, color=self.theme.axis)
        return axes

    def labels_at_end(self, axes: Axes, ends: Sequence[tuple[str, float, str]]) -> None:
        """Name lines where they end: (name, last value, colour), moved apart where they would cover each other."""
        box = axes.get_position()
        right, bottom, top = box.x1 * WIDTH, (1 - box.y0) * self.height, (1 - box.y1) * self.height
        heights = [
            (1 - self.figure.transFigure.inverted().transform(axes.transData.transform((0, value)))[1]) * self.height
            for _, value, _ in ends
        ]
        order = sorted(range(len(ends)), key=lambda index: (heights[index], index))
        wanted = [min(max(heights[index], top), bottom) for index in order]
        for index, placed in zip(order, spread(wanted, LINE, top, bottom), strict=True):
            name, _, colour = ends[index]
            at = min(max(heights[index], top), bottom)
            self.stroke((right + 0.02, at), (right + 0.16, placed), colour, 1.8)
            self.write(right + 0.21, placed, shortened(name), size=SMALL)

    def moments(self, panels: Sequence[Axes], moments: Sequence[tuple[float, str]], top: float, rows: int) -> None:
        """Mark what happened on all panels, and say above the first of them what it was, as far as there is room."""
        first = panels[0]
        box = first.get_position()
        low, high = first.get_xlim()
        ends = [0.0] * rows
        for at, text in moments:
            for axes in panels:
                axes.axvline(at, color=self.theme.soft_ink, linewidth=0.9, linestyle=_DASHES, zorder=1.5)
            x = (box.x0 + (at - low) / (high - low) * (box.x1 - box.x0)) * WIDTH
            words = shortened(text, 44)
            wide = self.width_of(words, SMALL)
            start = min(x - 0.03, WIDTH - 0.1 - wide)
            row = next((row for row in range(rows) if ends[row] <= start), None)
            if row is not None:
                y = top + (row + 0.5) * LINE
                self.write(start, y, words, soft=True, size=SMALL)
                self.stroke((x, y + LINE / 2), (x, (1 - box.y1) * self.height), self.theme.soft_ink, 0.9, style=_DASHES)
                ends[row] = start + wide + 0.12

    def rows_for(self, moments: Sequence[tuple[float, str]], low: float, high: float, right: float) -> int:
        """How many lines the words about those moments take; three at most."""
        ends: list[float] = []
        for at, text in moments:
            wide = self.width_of(shortened(text, 44), SMALL)
            start = min(LEFT + (at - low) / (high - low) * (WIDTH - LEFT - right) - 0.03, WIDTH - 0.1 - wide)
            row = next((row for row, end in enumerate(ends) if end <= start), len(ends))
            ends[row : row + 1] = [start + wide + 0.12]
        return min(3, len(ends))


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places in rising order as near as may be to those wanted, `gap` apart, from `low` to `high` while that fits."""
    placed: list[float] = []
    for place in wanted:
        placed.append(max(place, placed[-1] + gap if placed else low))
    ceiling = max(high, low + gap * (len(placed) - 1))
    for index in reversed(range(len(placed))):
        placed[index] = min(placed[index], ceiling)
        ceiling = placed[index] - gap
    return placed


def time_axis(axes: Axes, low: float, high: float, *, labelled: bool) -> None:
    """Seconds, minutes or hours since the run's begin, at round times."""
    span = high - low
    step = next((step for step in _STEPS_S if span / step <= 9), span / 8)
    first = -(-low // step) * step
    ticks = [first + index * step for index in range(int((high - first) / step) + 1)]
    axes.set_xlim(low, high)
    axes.set_xticks(ticks)
    as_text: Callable[[float], str] = clock if span >= 120 else lambda at: f"{at:g} s"
    axes.set_xticklabels([as_text(tick) for tick in ticks] if labelled else [])


def shortened(text: str, longest: int = _LONGEST) -> str:
    """On one line and not longer than that."""
    text = plain(text)
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}\u2026"
