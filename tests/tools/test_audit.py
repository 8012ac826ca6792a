"""What an audit says when it can, and when it cannot."""

import json

import pytest

from tools import audit

VULNERABLE = {"name": "x", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]}
FINE = {"name": "y", "version": "1", "vulns": []}


@pytest.mark.parametrize(
    "report", ["", "{}", "[]", '{"dependencies": []}', '{"dependencies": [{"name": "z", "skip_reason": "not found"}]}']
)
def test_what_is_no_complete_report_is_not_taken_for_a_good_one(report):
    assert audit.findings_in(report) is None


def test_findings_name_package_advisory_and_remedy():
    assert audit.findings_in(json.dumps({"dependencies": [FINE, VULNERABLE]})) == [
        audit.Finding("x", "1", "PYSEC-1", "2")
    ]


@pytest.mark.parametrize(
    ("answers", "code", "word"),
    [
        ([([], "pypi"), ([], "pypi")], audit.FINE, "no known vulnerability"),
        ([(None, "pypi: no network"), ([], "osv")], audit.UNKNOWN, "does not mean that it is fine"),
        ([(None, "no network"), ([audit.Finding("x", "1", "A", "2")], "osv")], audit.VULNERABLE, "x 1: A, fixed in 2"),
    ],
)
def test_silence_of_the_sources_is_neither_fine_nor_a_finding(monkeypatch, capsys, answers, code, word):
    said = iter(answers)
    monkeypatch.setattr(audit, "audit", lambda _: next(said))
    assert audit.main(["one.lock", "two.lock"]) == code
    assert word in capsys.readouterr().out
