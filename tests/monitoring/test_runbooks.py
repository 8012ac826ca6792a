"""What the runbooks say can be done as they say it: queries, log events, commands and settings are those that exist."""

import re
import shlex
from pathlib import Path

import pytest

from ocppctl.cli import build_parser
from tests.monitoring.metric_names import known
from tests.monitoring.rule_files import ROOT, RUNBOOKS, alerts, metrics_in, recorded

SECTIONS = ["## Meaning", "## First look", "## Usual causes", "## What to do"]
PAGES = sorted(RUNBOOKS.glob("*.md"))

every_page = pytest.mark.parametrize("page", [page.read_text() for page in PAGES], ids=[page.stem for page in PAGES])


def _blocks(page: str, language: str) -> str:
    return "".join(re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL))


def test_every_alert_has_a_runbook_and_every_runbook_an_alert():
    assert {page.stem for page in PAGES} == set(alerts())
    assert all(page.read_text().startswith(f"# {page.stem}\n") for page in PAGES)


@every_page
def test_a_page_has_its_four_sections(page: str):
    assert re.findall(r"^## .*", page, re.MULTILINE) == SECTIONS


@every_page
def test_its_queries_read_what_exists(page: str):
    queries = _blocks(page, "promql").splitlines()
    assert queries
    for query in queries:
        assert metrics_in(query) <= known() | recorded(), query


@every_page
def test_the_log_events_that_it_looks_for_are_written(page: str):
    written = re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \|", (ROOT / "docs" / "observing.md").read_text(), re.MULTILINE)
    for sign, pattern in re.findall(r'event(=~?)"([^"]+)"', _blocks(page, "logql")):
        for one in _alternatives(pattern) if sign == "=~" else [re.escape(pattern)]:
            assert any(re.fullmatch(one, event) for event in written), one


def _alternatives(pattern: str) -> list[str]:
    """Those at the top level of a regular expression."""
    return re.split(r"\|(?![^(]*\))", pattern)


@every_page
def test_the_commands_of_ocppctl_are_taken_as_they_stand(page: str, tmp_path: Path):
    certificate = tmp_path / "root.pem"
    certificate.write_text("-----BEGIN CERTIFICATE-----\n")
    spans = [
        " ".join(span.split()) for span in re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", page, flags=re.DOTALL))
    ]
    for command in [*spans, *_blocks(page, "sh").splitlines()]:
        if command.startswith("ocppctl "):
            filled_in = command.replace("<file>", str(certificate)).replace("<n>", "1")
            build_parser().parse_args(shlex.split(re.sub(r"<[a-z ]+>", "ONE", filled_in))[1:])


@every_page
def test_the_settings_that_it_names_exist(page: str):
    settings = set(re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE))
    assert set(re.findall(r"\b(?:OCPP|AMQP|DATABASE)_[A-Z_]+\b", page)) <= settings


@every_page
def test_the_alerts_and_runbooks_that_it_sends_to_exist(page: str):
    assert set(re.findall(r"\bOcpp[A-Z]\w+", page)) <= set(alerts())
