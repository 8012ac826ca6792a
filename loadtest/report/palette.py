"""The colours of plots: one hue for each part of the system on every plot, shades of it for what belongs together."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

_PERCENTILE: Final = re.compile(r"(?<![^\W_])p(\d{1,2})(?:\.?(\d+))?(?![^\W_])")
_PARTS: Final[Sequence[tuple[str, str]]] = (
    ("generator", "gray"),
    ("gateway", "blue"),
    ("broker", "orange"),
    ("rabbitmq", "orange"),
    ("store", "violet"),
    ("postgres", "violet"),
    ("database", "violet"),
    ("worker", "aqua"),
    ("authorization", "aqua"),
    ("metering", "aqua"),
    ("commands", "aqua"),
    ("firmware", "aqua"),
    ("diagnostics", "aqua"),
    ("error", "red"),
    ("refused", "red"),
    ("lost", "red"),
    ("unanswered", "red"),
    ("away", "red"),
)
_OTHERS: Final = ("blue", "aqua", "orange", "violet", "magenta", "green", "yellow")


@dataclass(frozen=True)
class Theme:
    """The colours of one rendering, on a light ground or on a dark one."""

    name: Literal["light", "dark"]
    ground: str
    ink: str
    soft_ink: str
    grid: str
    axis: str
    hues: dict[str, tuple[str, str, str, str]]
    """From the faintest on this ground to the strongest; the third is the hue itself."""

    def shade(self, hue: str, index: int, of: int) -> str:
        """The colour of one of several things of the same hue; the strongest comes last."""
        steps = self.hues[hue]
        if of == 1:
            return steps[2]
        return steps[(1, 3)[index]] if of == 2 else steps[min(3, round(index * 3 / (of - 1)))]


LIGHT: Final = Theme(
    name="light", ground="#ffffff", ink="#0b0b0b", soft_ink="#5f5e5a", grid="#e9e8e2", axis="#b9b8b0",
    hues={
        "blue": ("#b7d3f6", "#6da7ec", "#2a78d6", "#184f95"),
        "orange": ("#f8c9b4", "#f29a74", "#e06030", "#a8431c"),
        "aqua": ("#a5dfc8", "#55c79a", "#17966a", "#0d6447"),
        "violet": ("#cdc7ee", "#9085e9", "#5a4bc0", "#3a2d8a"),
        "magenta": ("#f6cbdb", "#e87ba4", "#c94f82", "#93305a"),
        "green": ("#b3ddb3", "#5fb65f", "#1c8a1c", "#0a5c0a"),
        "yellow": ("#f7dfa0", "#f0bf45", "#d18f00", "#946500"),
        "red": ("#f4b6b5", "#ea7f7e", "#d03b3b", "#962222"),
        "gray": ("#dddcd6", "#bdbcb5", "#8f8e87", "#63625d"),
    },
)  # fmt: skip
DARK: Final = Theme(
    name="dark", ground="#1a1a19", ink="#f4f3ef", soft_ink="#b3b2aa", grid="#2e2e2b", axis="#55544f",
    hues={
        "blue": ("#184f95", "#256abf", "#4a94ea", "#b7d3f6"),
        "orange": ("#7c3316", "#b24a20", "#e8703f", "#f8c9b4"),
        "aqua": ("#0d5c41", "#14805a", "#25ad7e", "#a5dfc8"),
        "violet": ("#3f3492", "#6558c8", "#9085e9", "#cdc7ee"),
        "magenta": ("#7c2a4c", "#ac4270", "#dd6d98", "#f6cbdb"),
        "green": ("#0e5c0e", "#1f8a1f", "#4bb04b", "#b3ddb3"),
        "yellow": ("#7a5400", "#ab7600", "#d99a10", "#f7dfa0"),
        "red": ("#7c2020", "#b03535", "#e66767", "#f4b6b5"),
        "gray": ("#454540", "#66655f", "#8f8e87", "#c6c5bd"),
    },
)  # fmt: skip
THEMES: Final = (LIGHT, DARK)


def family(name: str) -> str:
    """What a series or stage belongs to: its name without percentile and number, so `others p50` is of `others`."""
    return re.sub(r"[\s_-]*\d+$", "", _PERCENTILE.sub("", name)).strip(" _-,:")


def percentile(name: str) -> float:
    """The percentile in a name, as 0.99 in `uplink p99` and 0.999 in `p999` or `p99.9`; 0 where there is none."""
    found = _PERCENTILE.search(name)
    return float(f"0.{found[1]:0>2}{found[2] or ''}") if found else 0.0


def colours(names: Sequence[str], theme: Theme) -> dict[str, str]:
    """A colour for each name, in the same order always the same."""
    hues: dict[str, str] = {}
    spare = [hue for hue in _OTHERS if hue not in {_known(name) for name in names}] or list(_OTHERS)
    for name in names:
        own = family(name)
        if own not in hues:
            hues[own] = _known(name) or spare[sum(1 for each in hues if not _known(each)) % len(spare)]
    chosen: dict[str, str] = {}
    for hue in dict.fromkeys(hues.values()):
        alike = sorted((name for name in names if hues[family(name)] == hue), key=percentile)
        chosen |= {name: theme.shade(hue, index, len(alike)) for index, name in enumerate(alike)}
    return {name: chosen[name] for name in names}


def _known(name: str) -> str:
    lower = name.lower()
    return next((hue for word, hue in _PARTS if word in lower), "")


def hue_of(name: str) -> str:
    """The hue of one thing by itself."""
    return _known(name) or _OTHERS[0]
