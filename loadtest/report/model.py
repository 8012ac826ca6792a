"""A run's report as data; everything that is shown is made from it, and two of them can be compared."""

from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any, Literal

import orjson
from pydantic import TypeAdapter, ValidationError

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number with its unit, and what was asked of it. Names are stable: `compare` goes by them."""

    name: str
    """Lower case with underscores, such as `calls_per_second` or `gateway_cpu_us_per_call`."""
    value: float | None
    """None when it could not be measured; `note` says why."""
    unit: str
    """`Calls/s`, `µs`, `ms`, `s`, `KB`, `count`, `share`, `ratio`."""
    title: str = ""
    """For the reader; the name where there is none."""
    at_most: float | None = None
    at_least: float | None = None
    better: Literal["more", "less", ""] = ""
    """Which way is better, for `compare`; empty: neither."""
    note: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether it keeps its limits: None without any, False too when it should have been measured and was not."""
        if self.at_most is None and self.at_least is None:
            return None
        if self.value is None:
            return False
        return (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )


@dataclass(kw_only=True)
class Series:
    """Values over time, in seconds since the run began."""

    name: str
    unit: str
    group: Literal["throughput", "latency", "sockets", "memory", "cpu", "queue", "generator"]
    """The plot that it belongs to."""
    points: list[tuple[float, float]] = field(default_factory=list)

    def add(self, at_s: float, value: float) -> None:
        """Append a point."""
        self.points.append((round(at_s, 3), value))


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Something that happened, such as a kill; plots mark it."""

    at_s: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What one part of the system spends on a Call: CPU, memory, and time on its way where the metrics tell it."""

    name: str
    """As `gateway`, `broker`, `worker authorization`, `store`, `generator`."""
    cpu_us_per_call: float | None = None
    cpu_share: float | None = None
    """Of one core, over the measured window."""
    rss_bytes: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    what: str = ""
    """What the times are, such as `from a frame's receipt to the reply's commit`."""


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """What something else reaches on this machine in this run."""

    name: str
    unit: str
    value: float
    ours: float | None = None
    """The same figure of ours; the ratio is what is quoted."""
    what: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours by theirs."""
        return None if self.ours is None or not self.value else self.ours / self.value


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where it was measured."""

    cores: int
    memory_bytes: int
    cpu: str
    system: str
    python: str


@dataclass(kw_only=True)
class Report:
    """A run of one scenario."""

    scenario: str
    command: str
    """The command line that gives it again, without secrets."""
    began: str
    """UTC, as RFC 3339."""
    seconds: float
    machine: Machine
    settings: dict[str, Any] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)
    series: list[Series] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    anchors: list[Anchor] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """What went wrong beside the figures: lost transactions, Calls without an answer, dropped sockets."""
    notes: list[str] = field(default_factory=list)
    generator_limited: str = ""
    """Why the generator, not the system, was the bottleneck; empty when it was not."""

    @property
    def verdict(self) -> Literal["passed", "failed", "generator limited"]:
        """`generator limited` when only the generator stood between the figures and their limits."""
        if self.failures:
            return "failed"
        if all(figure.holds is not False for figure in self.figures):
            return "passed"
        return "generator limited" if self.generator_limited else "failed"

    @property
    def exit_code(self) -> int:
        """0 passed, 1 failed, 3 generator limited (2 is for bad arguments)."""
        return {"passed": 0, "failed": 1, "generator limited": 3}[self.verdict]

    def figure(self, name: str) -> Figure | None:
        """The figure of that name."""
        return next((figure for figure in self.figures if figure.name == name), None)

    def encode(self) -> bytes:
        """As JSON. What JSON has no word for does not cost a long run its report: see `default` and the points."""
        data = {"format": FORMAT, "verdict": self.verdict, **asdict(self)}
        for series in data["series"]:
            series["points"] = [(at, value) for at, value in series["points"] if isfinite(at) and isfinite(value)]
        return orjson.dumps(data, default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS) + b"\n"

    @classmethod
    def decode(cls, text: bytes) -> "Report":
        """The report of a JSON file; ValueError when it is none, or of another format."""
        try:
            data = orjson.loads(text)
            found = data["format"]
        except (ValueError, KeyError, TypeError):
            raise ValueError("is not a report") from None
        if found != FORMAT:
            raise ValueError(f"is a report of format {found}, not {FORMAT}")
        try:
            return TypeAdapter(cls).validate_python(data)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(step) for step in first["loc"])
            raise ValueError(f"is not a report: {where}: {first['msg']}") from None
