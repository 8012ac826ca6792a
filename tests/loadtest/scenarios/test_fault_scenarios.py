"""The short form of each scenario that does harm, and of commands, against a whole system of real processes."""

import argparse
from contextlib import nullcontext
from pathlib import Path

import pytest

from loadtest.report.model import Report
from loadtest.scenarios.command import add_scenarios
from tests.support.reports import value
from tools.load.local import ID_TAGS, LocalSystem

pytestmark = pytest.mark.system
_PATIENT = (
    "--plain", "--no-plots", "--limit-p99-ms", "600000", "--id-tags", ID_TAGS, "--warm-up-seconds", "1",
    "--charge-points", "40", "--rate", "30",
)  # fmt: skip
"""What is asserted holds on a slow day too."""
_OTHERS = ("--others", "10", "--others-rate", "20", "--limit-slowdown", "100000")


def _played(system: LocalSystem, folder: Path, scenario: str, *more: str) -> Report:
    parser = argparse.ArgumentParser()
    add_scenarios(
        parser.add_subparsers(), lambda _: None, lambda _: nullcontext(system), program="test", prefix=f"{folder}/"
    )
    options = parser.parse_args([scenario, *_PATIENT, "--report", str(folder), *more])
    code = options.run(options)
    report = Report.decode((folder / "report.json").read_bytes())
    assert report.failures == []
    assert code == report.exit_code
    return report


def test_commands_have_one_outcome_each_and_are_obeyed_once(system, tmp_path):
    report = _played(
        system, tmp_path, "commands", "--seconds", "2", "--uplink-rate", "20", "--share-201", "0.5",
        "--command-timeout-seconds", "60",
    )  # fmt: skip
    assert value(report, "commands_result") >= 30
    assert value(report, "command_p50_ms") <= value(report, "command_p99_ms")
    assert {"commands ended", "commands p99"} <= {series.name for series in report.series}


def test_a_slow_worker_loses_nothing_and_catches_up(system, tmp_path):
    report = _played(system, tmp_path, "slow-worker", *_OTHERS, "--seconds", "1", "--slow-seconds", "2")
    assert value(report, "backlog_drained_s") >= 0
    assert value(report, "others_slowdown") > 0
    assert [moment.text for moment in report.moments if "worker" in moment.text] == ["slow worker", "heal worker"]


def test_a_city_without_power_comes_back_by_tls_and_boots(system, tmp_path):
    report = _played(
        system, tmp_path, "storm", "--how", "power-cut", "--tls", *_OTHERS, "--seconds", "1", "--share-201", "0.5",
        "--limit-recovery-seconds", "300",
    )  # fmt: skip
    assert value(report, "recovery_50_s") <= value(report, "recovery_s")
    assert value(report, "outlasted") == 0


def test_who_lived_on_a_killed_gateway_comes_back_to_the_others(system, tmp_path):
    try:
        report = _played(
            system, tmp_path, "storm", *_OTHERS, "--seconds", "1", "--limit-recovery-seconds", "300"
        )  # fmt: skip
    finally:
        system.revive()
    assert value(report, "recovery_s") > 0
    assert report.figure("refused_tcp") is None, "nobody is to try the gateway that is gone"
    assert "kill gateway" in {moment.text for moment in report.moments}


def test_a_rolling_restart_closes_every_socket_cleanly(system, tmp_path):
    report = _played(system, tmp_path, "drain", "--seconds", "1")
    assert value(report, "sockets_moved") >= 40
    for name in ("unclean_closes", "errors", "unanswered"):
        assert value(report, name) == 0


def test_sockets_outlive_the_broker(system, tmp_path):
    report = _played(
        system, tmp_path, "storm", "--how", "broker-restart", "--seconds", "1", "--limit-recovery-seconds", "300"
    )  # fmt: skip
    assert value(report, "sockets_lost") == 0
    assert value(report, "outage_s") > value(report, "recovery_s")
