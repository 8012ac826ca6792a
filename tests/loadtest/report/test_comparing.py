from dataclasses import replace
from typing import Any

import pytest

from loadtest.report.comparing import better, compare
from loadtest.report.model import Anchor, Figure, Report
from tests.support.reports import steady, storm


def two(old: Any, new: Any, **about: Any) -> tuple[Report, Report]:
    """Reports with one figure each."""
    reports = []
    for value in (old, new):
        report = steady()
        report.figures = [] if value == "absent" else [Figure(name="f", value=value, unit="ms", **about)]
        reports.append(report)
    return reports[0], reports[1]


@pytest.mark.parametrize(
    ("old", "new", "about", "judgement", "code"),
    [
        (100.0, 100.0, {"better": "less"}, "same", 0),
        (100.0, 109.9, {"better": "less"}, "same", 0),
        (100.0, 112.0, {"better": "less"}, "worse", 1),
        (100.0, 80.0, {"better": "less"}, "better", 0),
        (100.0, 112.0, {"better": "more"}, "better", 0),
        (100.0, 80.0, {"better": "more"}, "worse", 1),
        (100.0, 112.0, {"at_most": 200.0}, "worse", 1),
        (100.0, 80.0, {"at_least": 50.0}, "worse", 1),
        (100.0, 200.0, {}, "changed", 0),
        (100.0, 200.0, {"at_least": 50.0, "at_most": 300.0}, "changed", 0),
        (0.0, 0.0, {"better": "less"}, "same", 0),
        (0.0, 1.0, {"better": "less"}, "worse", 1),
        (0.0, -1.0, {"better": "less"}, "better", 0),
        (-10.0, -5.0, {"better": "less"}, "worse", 1),
        (None, 1.0, {"better": "less"}, "new", 0),
        ("absent", 1.0, {"better": "less"}, "new", 0),
        (1.0, None, {"better": "less"}, "gone", 1),
        (1.0, "absent", {"better": "less"}, "gone", 1),
        (1.0, "absent", {}, "gone", 0),
        (None, None, {"better": "less"}, "same", 0),
    ],
)
def test_figures_are_judged_by_the_way_that_is_better(old, new, about, judgement, code):
    comparison = compare(*two(old, new, **about))
    assert [change.judgement for change in comparison.changes] == [judgement]
    assert comparison.exit_code == code
    assert f"{judgement}" in comparison.text()


def test_the_tolerance_is_what_noise_may_be():
    old, new = two(100.0, 112.0, better="less")
    assert compare(old, new, 0.15).exit_code == 0
    assert compare(old, new, 0.0).exit_code == 1
    assert "worse by more than 15 %" in compare(old, new, 0.15).text()


def test_the_way_is_the_figures_own_before_its_limits():
    assert better(Figure(name="f", value=1.0, unit="", at_most=3.0, better="more")) == "more"
    assert better(None) == ""


def test_a_run_that_fails_now_is_worse_though_all_figures_are_alike():
    new = steady()
    new.failures = ["3 transactions | lost"]
    comparison = compare(steady(), new)
    assert comparison.exit_code == 1
    assert "- Worse: 3 transactions \\| lost\n" in comparison.text()
    assert compare(new, new).exit_code == 0


def test_other_machines_settings_and_conditions_are_warned_of():
    old, new = steady(), steady()
    new.machine = replace(new.machine, cores=8)
    new.settings |= {"rate": 2000, "fresh": True}
    new.anchors[0] = Anchor(name=old.anchors[0].name, unit=old.anchors[0].unit, value=2 * old.anchors[0].value)
    new.generator_limited = "91 % of a core"
    assert compare(old, new).warnings == [
        "another machine: cores was 2 and is 8",
        "another setting: fresh was not set and is true",
        "another setting: rate was 4000 and is 2000",
        "the machine itself changed: websockets serve() echo was 34.2 and is 68.4 (\u00b5s CPU per Call)",
        "the generator was the bottleneck of the new run: 91 % of a core",
    ]
    assert compare(old, old).warnings == []


def test_different_scenarios_are_not_compared():
    with pytest.raises(ValueError, match="a run of 'steady' and one of 'storm' cannot be compared"):
        compare(steady(), storm())


def test_the_table_is_for_people():
    old, new = two(41.7, 60.0, better="less", title="Latency | p99", at_most=100.0)
    assert compare(old, new).text().splitlines()[2:] == [
        "| Figure         |     Old |   New | Change | Judgement | Asked          |",
        "|----------------|--------:|------:|-------:|-----------|----------------|",
        "| Latency \\| p99 | 41.7 ms | 60 ms |  +44 % | **worse** | at most 100 ms |",
        "",
        "1 figure is worse by more than 10 %.",
    ]
