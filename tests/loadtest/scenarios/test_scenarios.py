"""Each scenario's short form against a whole system of real processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from loadtest.cli import main
from loadtest.report.model import Report
from tests.support.reports import value
from tools.load.local import ID_TAGS, LocalSystem

pytestmark = pytest.mark.system
_PATIENT = ("--plain", "--limit-p99-ms", "600000", "--id-tags", ID_TAGS)
"""What is asserted holds on a slow day too."""


def _arguments(system: LocalSystem, folder: Path, scenario: str, *more: str) -> list[str]:
    where = [word for url in system.urls for word in ("--url", url)]
    for part in system.parts:
        if part.metrics_url is not None and part.kind in {"gateway", "worker"}:
            where += ["--metrics", f"{part.name.partition('-')[0]}={part.metrics_url}"]
    return [scenario, *where, *_PATIENT, "--report", str(folder), *more]


def _played(system: LocalSystem, folder: Path, scenario: str, *more: str, plots: bool = False) -> Report:
    code = main(_arguments(system, folder, scenario, *more, *([] if plots else ["--no-plots"])))
    report = Report.decode((folder / "report.json").read_bytes())
    assert code == report.exit_code
    assert report.failures == []
    return report


def test_steady_measures_every_stage_of_the_day_mix(system, tmp_path):
    stored = system.transactions()
    report = _played(
        system, tmp_path, "steady", "--charge-points", "40", "--rate", "60", "--seconds", "3", "--share-201", "0.3",
        "--warm-up-seconds", "1", plots=True,
    )  # fmt: skip
    assert (tmp_path / "plots" / "throughput.png").exists()
    assert value(report, "calls_per_second") > 0
    assert value(report, "gateway_cpu_us_per_call") > 0
    assert value(report, "p50_ms") <= value(report, "p99_ms") <= value(report, "p999_ms")
    stages = {stage.name: stage for stage in report.stages}
    assert stages["gateway"].p99_ms is not None
    assert stages["worker authorization"].p99_ms is not None
    assert {"throughput", "latency", "sockets", "cpu", "memory", "queue"} <= {one.group for one in report.series}
    assert system.transactions() is None or stored != system.transactions()  # the mix charges


def test_max_rises_and_measures_half_of_its_best(system, tmp_path):
    report = _played(
        system, tmp_path, "max", "--charge-points", "16", "--steps", "2", "--step-seconds", "1", "--seconds", "2",
        "--warm-up-seconds", "1", "--limit-half-p99-ms", "600000",
    )  # fmt: skip
    assert value(report, "calls_per_second") > 0
    assert value(report, "half_load_calls_per_second") > 0
    assert value(report, "active_points") in {8, 16}
    assert len([note for note in report.notes if "active charge points" in note]) == 2


def test_idle_counts_who_stays_and_what_each_holds(system, tmp_path):
    report = _played(
        system, tmp_path, "idle", "--charge-points", "50", "--seconds", "2", "--heartbeat-seconds", "1"
    )  # fmt: skip
    assert value(report, "sockets") == value(report, "booted") == 50
    assert value(report, "heartbeats_per_second") > 0
    assert report.figure("gateway_kb_per_connection") is not None


def test_growth_compares_few_sockets_with_many(system, tmp_path):
    report = _played(
        system, tmp_path, "growth", "--counts", "10,30", "--rate", "60", "--seconds", "2", "--warm-up-seconds", "1"
    )
    assert value(report, "gateway_cpu_us_per_call_10") > 0
    assert value(report, "gateway_cpu_us_per_call_30") > 0
    assert value(report, "gateway_cpu_us_per_call_growth") > 0


def test_soak_is_steady_and_looks_for_growth(system, tmp_path):
    report = _played(
        system, tmp_path, "soak", "--charge-points", "20", "--rate", "40", "--seconds", "3", "--warm-up-seconds", "1"
    )
    assert value(report, "rate_asked") == 40


def test_an_interrupted_run_still_writes_its_report(system, tmp_path):
    argv = _arguments(
        system, tmp_path, "steady", "--charge-points", "10", "--rate", "20", "--seconds", "600", "--no-plots"
    )
    with subprocess.Popen(
        [sys.executable, "-m", "loadtest", *argv], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:  # fmt: skip
        assert process.stderr is not None
        assert any("measuring" in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 1
    report = Report.decode((tmp_path / "report.json").read_bytes())
    assert report.failures == ["interrupted"]
    assert any(series.points for series in report.series)


def test_a_system_that_nobody_reaches_fails_with_its_reason(tmp_path):
    code = main([
        "steady", "--url", "ws://127.0.0.1:9/ocpp", *_PATIENT, "--report", str(tmp_path), "--charge-points", "2",
        "--settle-seconds", "1", "--no-plots",
    ])  # fmt: skip
    report = Report.decode((tmp_path / "report.json").read_bytes())
    assert code == 1
    assert "2 connected and booted" in report.failures[0]
    assert "refused tcp" in report.failures[0]
