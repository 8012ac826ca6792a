"""The rules as promtool sees them: each alert fired and kept silent, and its metrics exist."""

import re
from pathlib import Path

import pytest
import yaml

from tests.monitoring.alert_cases import CASES, Case
from tests.monitoring.metric_names import known
from tests.monitoring.rule_files import FILES, ROOT, alerts, behind, metrics_in, recorded, rules
from tools.nodes.prometheus import promtool

LONG = re.compile(r"\d+h")


def _played(case: Case) -> dict[str, object]:
    labels = {"alertname": case.alert, "alertstate": "firing", "namespace": "cell"}
    labels |= {"severity": alerts()[case.alert]["labels"]["severity"]} | (case.fires or {})
    named = ", ".join(f'{name}="{value}"' for name, value in labels.items())
    return {
        "name": f"{case.alert}: {case.story}",
        "interval": "1m",
        "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
        "promql_expr_test": [
            {
                "expr": f'ALERTS{{alertname="{case.alert}", alertstate="firing"}}',
                "eval_time": case.after,
                "exp_samples": [] if case.fires is None else [{"labels": f"ALERTS{{{named}}}", "value": 1}],
            }
        ],
    }


def test_promtool_takes_the_rule_files():
    checked = promtool("check", "rules", *FILES, cwd=ROOT)
    assert checked.returncode == 0, checked.stdout


def test_each_alert_fires_when_it_must_and_not_when_it_must_not(tmp_path: Path):
    """Each alert is played with only the rules that it stands on, which takes a twentieth of the time."""
    files = []
    for name in alerts():
        (tmp_path / f"{name}.rules").write_text(yaml.safe_dump({"groups": [{"name": name, "rules": behind(name)}]}))
        for interval in ("1m", "5m"):
            cases = [
                case for case in CASES if case.alert == name and bool(LONG.fullmatch(case.after)) == (interval == "5m")
            ]
            if not cases:
                continue
            files.append(f"{name}-{interval}.yaml")
            tests = {
                "rule_files": [f"{name}.rules"],
                "evaluation_interval": interval,
                "tests": [_played(case) for case in cases],
            }
            (tmp_path / files[-1]).write_text(yaml.safe_dump(tests, sort_keys=False))
    played = promtool("test", "rules", *files, cwd=tmp_path)
    failed = [part for part in played.stdout.split("Unit Testing:") if "FAILED" in part]
    assert not failed, "".join(failed)
    assert played.returncode == 0, played.stdout


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_is_silent():
    assert {case.alert for case in CASES if case.fires is not None} == set(alerts())
    assert {case.alert for case in CASES if case.fires is None} == set(alerts())


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_reads_only_series_that_exist(rule):
    assert metrics_in(rule["expr"]) <= known() | recorded()


def test_alerts_say_who_must_act_what_is_and_where_to_read_on():
    for name, rule in alerts().items():
        assert re.fullmatch(r"Ocpp([A-Z][a-z]+)+", name)
        assert rule["labels"].keys() == {"severity"}, name
        assert rule["labels"]["severity"] in {"page", "ticket"}, name
        assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}, name
        assert "$labels.namespace" in rule["annotations"]["description"], name
        assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"
