"""Constants are what their file says, each with its source, and a report of ours replaces what it measured."""

import re
from dataclasses import replace
from importlib.resources import files

import pytest

from contracts.topology import FRAME_LOG_BYTES, FRAME_LOG_SEGMENT_BYTES
from gateway.settings import GatewaySettings
from loadtest.report.model import Figure, Machine, Report
from loadtest.sizing.constants import FILE, Basis, read, shipped

SETTINGS = {
    "gateway_max_connections": "max_connections",
    "gateway_handshakes_per_s": "handshakes_per_second",
    "gateway_handshakes_per_s_per_address": "handshakes_per_second_per_address",
    "gateway_open_handshakes": "open_handshakes",
    "gateway_retry_after_s": "retry_after_seconds",
    "gateway_ping_interval_s": "ping_interval_seconds",
    "gateway_admission_timeout_s": "admission_timeout_seconds",
    "gateway_call_timeout_s": "call_timeout_seconds",
}


def report(*figures: Figure, scenario="steady", **settings):
    machine = Machine(cores=8, memory_bytes=2**34, cpu='Some "CPU"\n', system="Linux", python="CPython 3.11")
    return Report(
        scenario=scenario, command="ocpp-loadtest steady", began="2026-05-01T12:00:00+00:00", seconds=10.0,
        machine=machine, settings=settings, figures=list(figures),
    )  # fmt: skip


def test_the_file_is_as_it_would_be_written_again() -> None:
    text = (files("loadtest.sizing") / FILE).read_text("utf-8")
    assert read(text).toml() == text


def test_every_constant_says_what_it_is_and_where_it_is_from() -> None:
    for name, constant in shipped().sources.items():
        assert len(constant.what) > 10, name
        assert len(constant.source) > 10, name
        assert constant.value > 0, name
        if constant.basis is Basis.MEASURED:
            assert constant.figure, f"{name} could not be measured anew"


def test_those_that_are_settings_of_the_gateway_are_its_defaults() -> None:
    known = shipped()
    for name, field in SETTINGS.items():
        setting = GatewaySettings.model_fields[field]
        assert known.sources[name].value == setting.default, name
        assert known.sources[name].source == setting.alias
    assert known.gateway_window_mb * 1024**2 == GatewaySettings.model_fields["window_bytes"].default
    assert known.broker_frame_log_gb == pytest.approx((FRAME_LOG_BYTES + FRAME_LOG_SEGMENT_BYTES) / 1024**3, abs=0.01)
    ours = {name for name, constant in known.sources.items() if constant.source.startswith("OCPP_GATEWAY_")}
    assert ours == {*SETTINGS, "gateway_window_mb"}


def test_a_report_replaces_what_it_measured_and_says_so() -> None:
    measured = report(Figure(name="gateway_cpu_us_per_call", value=41.5, unit="µs"), kind="mix", tls=False)
    known, renewed = shipped().measured_by([measured])
    assert renewed == ["gateway_cpu_us_per_call"]
    assert known.gateway_cpu_us_per_call == 41.5
    source = known.sources["gateway_cpu_us_per_call"]
    assert source.basis is Basis.MEASURED
    assert source.source == 'ocpp-loadtest steady (2026-05-01, 8 cores, Some "CPU")'
    assert read(known.toml()) == known


def test_the_later_of_two_reports_counts() -> None:
    figures = [Figure(name="gateway_cpu_us_per_call", value=value, unit="µs") for value in (40.0, 45.0)]
    known, renewed = shipped().measured_by([report(figure, kind="mix", tls=False) for figure in figures])
    assert renewed == ["gateway_cpu_us_per_call"]
    assert known.gateway_cpu_us_per_call == 45.0


@pytest.mark.parametrize(
    ("scenario", "settings"),
    [("steady", {"kind": "heartbeat", "tls": False}), ("soak", {"kind": "mix", "tls": False}), ("steady", {})],
)
def test_a_report_of_another_kind_of_run_replaces_nothing(scenario, settings) -> None:
    figure = Figure(name="gateway_cpu_us_per_call", value=1.0, unit="µs")
    known, renewed = shipped().measured_by([report(figure, scenario=scenario, **settings)])
    assert (known, renewed) == (shipped(), [])


def test_tls_runs_are_of_the_tls_constants() -> None:
    figure = Figure(name="gateway_kb_per_connection", value=29.0, unit="KB")
    known, renewed = shipped().measured_by([report(figure, scenario="idle", tls=True)])
    assert renewed == ["gateway_kb_per_socket_tls"]
    assert known.gateway_kb_per_socket_tls == 29.0


def test_a_figure_that_was_not_measured_replaces_nothing() -> None:
    figure = Figure(name="gateway_cpu_us_per_call", value=None, unit="µs")
    assert shipped().measured_by([report(figure, kind="mix", tls=False)])[1] == []


def test_a_figure_in_another_unit_is_refused() -> None:
    figure = Figure(name="gateway_cpu_us_per_call", value=0.04, unit="ms")
    with pytest.raises(ValueError, match="is in ms, not in µs"):
        shipped().measured_by([report(figure, kind="mix", tls=False)])


SURPLUS = '[surplus]\nvalue = 1\nunit = "s"\nwhat = "x"\nbasis = "estimate"\nsource = "y"\n'


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda text: f"{text}\n{SURPLUS}", "surplus"),
        (lambda text: text.split("[gateway_ping")[0], "gateway_ping_interval_s"),
        (lambda text: text.replace('basis = "setting"', 'basis = "hearsay"', 1), "hearsay"),
        (lambda text: re.sub(r"value = \S+", "value = -50", text, count=1), "no cost"),
        (lambda text: re.sub(r"value = \S+", 'value = "fifty"', text, count=1), "gateway_cpu_us_per_call"),
        (lambda text: text + "[", "."),
    ],
)
def test_a_wrong_file_is_refused_with_the_place(change, problem) -> None:
    with pytest.raises(ValueError, match=problem):
        read(change(shipped().toml()))


def test_what_is_no_number_of_a_cost_is_refused() -> None:
    with pytest.raises(ValueError, match="no cost"):
        replace(shipped().sources["gateway_cpu_us_per_call"], value=float("nan"))
