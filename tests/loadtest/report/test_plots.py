import struct
from typing import Any

import pytest

from loadtest.report import plots, sheet
from loadtest.report.model import Anchor, Figure, Moment, Report, Series, Stage
from loadtest.report.palette import DARK, LIGHT, colours, family, percentile
from loadtest.report.pictures import GROUPS
from loadtest.report.sheet import spread
from tests.support.reports import MACHINE, steady, storm


def size(png: bytes) -> tuple[int, ...]:
    """Of a PNG, by its header."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert png[-8:-4] == b"IEND"
    return struct.unpack(">II", png[16:24])


@pytest.fixture(autouse=True)
def _coarse(monkeypatch):
    """A sixteenth of the pixels: what is drawn is the same, and quicker."""
    monkeypatch.setattr(sheet, "DPI", 50)


def bare(**parts: Any) -> Report:
    return Report(scenario="s", command="c", began="b", seconds=10.0, machine=MACHINE, **parts)


def test_every_group_with_something_in_it_is_drawn():
    drawn = plots.draw(steady())
    assert [each.group.key for each in drawn] == [
        *(group.key for group in GROUPS), "stages-cpu", "stages-time", "anchors",
    ]  # fmt: skip
    for each in drawn:
        assert size(each.light) == size(each.dark) == (each.width, each.height)
        assert each.light != each.dark


def test_the_same_report_gives_the_same_pictures():
    report = storm()
    report.series = report.series[:3]
    assert plots.draw(report) == plots.draw(report)


def test_nothing_to_show_is_no_picture():
    assert plots.draw(bare(series=[Series(name="p50", unit="ms", group="latency")])) == []


@pytest.mark.parametrize(
    "series",
    [
        [Series(name="p99", unit="ms", group="latency", points=[(1.0, 5.0)])],
        [Series(name="p99", unit="ms", group="latency", points=[(1.0, 0.0), (2.0, -1.0)])],
        [Series(name="connected", unit="count", group="sockets", points=[(1.0, 0.0), (2.0, 0.0)])],
        [Series(name="slope", unit="KB/h", group="memory", points=[(-3.0, -1.0), (2.0, -8.0)])],
        [Series(name="$x^{$ \\frac", unit="$", group="queue", points=[(0.0, 1.0)])],
        [Series(name="\u5145\u7535\u6869 \U0001f50c", unit="s", group="latency", points=[(0.0, 1.0)])],
        [Series(name="a" * 500, unit="count", group="queue", points=[(0.0, 1.0)])],
        [Series(name=f"part {n}", unit="share", group="cpu", points=[(n, 1.0), (n + 1, 2.0)]) for n in range(20)],
        [Series(name=f"line {n}", unit="count", group="queue", points=[(0.0, n)]) for n in range(20)],
        [Series(name="x", unit="share", group="cpu", points=[(2.0, 0.0), (1.0, 0.0), (1.0, 0.0)])],
        [Series(name="x", unit="bytes", group="memory", points=[(1.0, float("nan")), (2.0, 3e9)])],
        [Series(name="x", unit="bytes", group="memory", points=[(1.0, float("nan"))])],
    ],
    ids=lambda series: ascii(series[0].name)[:12],
)
def test_odd_series_are_drawn(series):
    figures = [Figure(name="p99_ms", value=1.0, unit="ms", at_most=50.0)]
    moments = [
        Moment(at_s=second, text=f"step {second} of many, with more words than there is room") for second in range(30)
    ]
    (drawn,) = plots.draw(bare(series=series, figures=figures, moments=moments))
    assert size(drawn.light) == (drawn.width, drawn.height)


def test_odd_stages_and_anchors_are_drawn():
    stages = [Stage(name="gateway", cpu_us_per_call=0.0, p50_ms=0.0), Stage(name="$", cpu_us_per_call=3.0, p99_ms=9.0)]
    anchors = [Anchor(name="x" * 300, unit="s", value=0.0, ours=0.0), Anchor(name="y", unit="s", value=1.0)]
    assert len(plots.draw(bare(stages=stages, anchors=anchors))) == 3


@pytest.mark.parametrize(
    ("name", "of", "share"),
    [("uplink p99", "uplink", 0.99), ("others p50", "others", 0.5), ("p999", "", 0.999), ("p99.9", "", 0.999),
     ("gateway-12", "gateway", 0.0), ("p5", "", 0.05), ("p99_ms_Heartbeat", "ms_Heartbeat", 0.99),
     ("pump2", "pump", 0.0), ("broker", "broker", 0.0)],
)  # fmt: skip
def test_names_say_what_belongs_together(name, of, share):
    assert family(name) == of
    assert percentile(name) == pytest.approx(share)


def test_parts_have_their_own_hues_and_those_alike_their_shades():
    names = ["uplink p50", "uplink p99", "gateway-0", "gateway-1", "gateway-2", "store"]
    for theme in (LIGHT, DARK):
        found = colours(names, theme)
        assert len(set(found.values())) == len(names)
        assert found["store"] == theme.hues["violet"][2]
        assert {found[f"gateway-{n}"] for n in range(3)} < set(theme.hues["blue"])


def test_labels_move_apart_and_stay_within():
    assert spread([1.0, 1.0, 5.0], 1.0, 0.0, 10.0) == [1.0, 2.0, 5.0]
    assert spread([9.9, 9.9], 1.0, 0.0, 10.0) == [9.0, 10.0]
    assert spread([0.0] * 4, 1.0, 0.0, 2.0) == [0.0, 1.0, 2.0, 3.0]
    assert spread([], 1.0, 0.0, 1.0) == []
