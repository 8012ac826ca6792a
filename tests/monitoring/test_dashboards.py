"""The dashboards are what the code makes, and ask for nothing that does not exist."""

import json
import re

import pytest

from tests.monitoring.dashboard_files import asked, panels, read
from tests.monitoring.metric_names import known
from tests.monitoring.rule_files import metrics_in, recorded
from tools.dashboards.__main__ import DASHBOARDS, FOLDER

OF_GRAFANA = {"__auto", "__rate_interval", "__value.raw"}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_is_what_the_code_makes(name: str):
    assert (FOLDER / f"{name}.json").read_text() == DASHBOARDS[name](), "run `make docs`"


def test_there_is_no_other_dashboard():
    assert {file.stem for file in FOLDER.iterdir()} == set(DASHBOARDS)


def test_every_query_is_promql_and_reads_only_series_that_exist():
    queries = list(asked())
    assert {query.dashboard for query in queries} == {"fleet", "gateway", "workers"}
    for query in queries:
        read = metrics_in(query.filled_in("1m"))
        assert read, query
        assert read <= known() | recorded(), query


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_variable_that_is_used_is_there_and_every_one_there_is_used(name: str):
    text = (FOLDER / f"{name}.json").read_text()
    used = set(re.findall(r"\$\{?([a-z_][a-z_.]*)\}?", text)) - OF_GRAFANA
    assert used == {variable["name"] for variable in read(name)["templating"]["list"]}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_have_a_title_a_number_and_a_place_of_their_own(name: str):
    titles = [panel["title"] for panel in panels(name)]
    assert all(titles)
    numbers = [panel["id"] for panel in read(name)["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in read(name)["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(taken)) == len(taken)
    assert max(x for x, _ in taken) < 24


def test_logs_of_a_charge_point_are_found_by_its_identity():
    lines = [panel for panel in panels("charge-point") if panel["type"] == "logs"]
    assert len(lines) >= 3
    for panel in lines:
        assert "identity = `$identity`" in panel["targets"][0]["expr"]


def test_the_trace_that_a_line_names_is_one_click_away():
    (lines,) = [panel for panel in panels("charge-point") if panel["title"] == "Lines that name a trace"]
    assert 'trace != ""' in lines["targets"][0]["expr"]
    assert lines["transformations"][0] == {"id": "extractFields", "options": {"source": "labels", "replace": False}}
    (override,) = lines["fieldConfig"]["overrides"]
    assert override["matcher"] == {"id": "byName", "options": "trace"}
    url = override["properties"][0]["value"][0]["url"]
    (pane,) = json.loads(url.partition("panes=")[2]).values()
    assert pane["queries"][0]["query"] == "${__value.raw}"
