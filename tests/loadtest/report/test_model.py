from dataclasses import asdict
from math import inf, nan
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.report.model import Anchor, Figure, Machine, Moment, Report, Series, Stage
from tests.support.reports import steady, storm

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.floats(allow_nan=False, allow_infinity=False)
perhaps = st.none() | values
settings = st.dictionaries(texts, texts | st.booleans() | st.integers(-(2**53), 2**53) | values | st.none(), max_size=3)
figures = st.builds(
    Figure, name=texts, value=perhaps, unit=texts, title=texts, at_most=perhaps, at_least=perhaps,
    better=st.sampled_from(("more", "less", "")), note=texts,
)  # fmt: skip
series = st.builds(
    Series, name=texts, unit=texts, group=st.sampled_from(("throughput", "latency", "memory")),
    points=st.lists(st.tuples(values, values), max_size=4),
)  # fmt: skip
stages = st.builds(
    Stage, name=texts, cpu_us_per_call=perhaps, cpu_share=perhaps, rss_bytes=perhaps, p50_ms=perhaps, p99_ms=perhaps,
    what=texts,
)  # fmt: skip
reports = st.builds(
    Report, scenario=texts, command=texts, began=texts, seconds=values,
    machine=st.builds(
        Machine, cores=st.integers(1, 512), memory_bytes=st.integers(0, 2**50), cpu=texts, system=texts, python=texts
    ),
    settings=settings, figures=st.lists(figures, max_size=3), series=st.lists(series, max_size=3),
    moments=st.lists(st.builds(Moment, at_s=values, text=texts), max_size=3), stages=st.lists(stages, max_size=3),
    anchors=st.lists(st.builds(Anchor, name=texts, unit=texts, value=values, ours=perhaps, what=texts), max_size=3),
    failures=st.lists(texts, max_size=3), notes=st.lists(texts, max_size=3), generator_limited=texts,
)  # fmt: skip


@given(reports)
def test_a_report_is_the_same_after_its_json(report):
    again = Report.decode(report.encode())
    assert again == report
    assert again.verdict == report.verdict


@pytest.mark.parametrize("make", [steady, storm])
def test_reports_of_runs_are_the_same_after_their_json(make):
    assert Report.decode(make().encode()) == make()


def test_what_json_has_no_word_for_costs_no_report():
    report = steady()
    report.settings |= {"folder": Path("/srv/run"), "replicas": {1: 2}}
    report.figures.append(Figure(name="slope", value=nan, unit="KB/h"))
    report.series[0].points[:] = [(0.0, 1.0), (1.0, nan), (2.0, inf), (3.0, 4.0)]
    again = Report.decode(report.encode())
    assert again.settings["folder"] == "/srv/run"
    assert again.settings["replicas"] == {"1": 2}
    assert again.figures[-1].value is None
    assert again.series[0].points == [(0.0, 1.0), (3.0, 4.0)]


def test_a_newer_report_with_more_in_it_is_read():
    data = orjson.loads(steady().encode())
    data["weather"] = "fine"
    data["figures"][0]["colour"] = "red"
    assert Report.decode(orjson.dumps(data)) == steady()


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"7", b"null", b'"format"', b'{"verdict": "passed"}'])
def test_what_is_no_report_is_refused(text):
    with pytest.raises(ValueError, match="is not a report"):
        Report.decode(text)


def test_a_report_with_something_else_in_a_place_is_refused_with_the_place():
    data = {"format": 1, **asdict(steady())}
    data["figures"][2]["value"] = "many"
    with pytest.raises(ValueError, match=r"is not a report: figures\.2\.value: "):
        Report.decode(orjson.dumps(data))


def test_another_format_is_refused():
    with pytest.raises(ValueError, match="is a report of format 99, not 1"):
        Report.decode(b'{"format": 99}')
