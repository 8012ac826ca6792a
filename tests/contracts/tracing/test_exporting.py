"""The way to a collector: settings, a collector that is away, and an end that does not wait for it."""

import asyncio
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from contracts.process import settings
from contracts.tracing import Kind, Tracing, exporting
from contracts.tracing.sdk_log import SdkLog
from contracts.tracing.settings import TracingSettings
from contracts.tracing.starting import started
from gateway.settings import GatewaySettings
from tests.support.calling import until
from tests.support.collector import collector_on
from workers.settings import WorkerSettings

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)
    yield
    logger = logging.getLogger("opentelemetry")
    logger.handlers.clear()
    logger.propagate = True


def record(tracing: Tracing) -> None:
    context = tracing.begin()
    assert context is not None
    tracing.root(context, "one", Kind.INTERNAL, {}).end()


def test_it_is_off_without_a_variable_and_when_the_sdk_is_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    assert started(TracingSettings(), "x") is None
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert started(TracingSettings(), "x") is None


def test_a_process_without_tracing_imports_nothing_for_it() -> None:
    code = (
        "import sys, gateway.app, gateway.cli, workers.cli, workers.commands.service, contracts.client;"
        "from contracts.tracing.settings import TracingSettings; from contracts.tracing.starting import started;"
        "started(TracingSettings(), 'x');"
        "sys.exit(any(name.split('.')[0] in {'opentelemetry', 'requests', 'google'} for name in sys.modules))"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False, timeout=60).returncode == 0


@pytest.mark.parametrize("settings_class", [GatewaySettings, WorkerSettings])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_TRACES_EXPORTER", "otlp,console"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
        ("OTEL_TRACES_SAMPLER_ARG", "many"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://"),
        ("OTEL_SDK_DISABLED", "perhaps"),
    ],
)
def test_what_cannot_be_done_is_a_mistake_in_the_settings(
    monkeypatch: pytest.MonkeyPatch, settings_class: type[GatewaySettings | WorkerSettings], name: str, value: str
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setenv(name, value)
    (problem,) = settings.check(settings_class)[1]
    assert problem.startswith(f"{name}: ")


def test_what_a_platform_gives_everybody_is_no_mistake_while_tracing_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "jaeger_remote")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "endpoint=http://localhost")
    assert settings.check(GatewaySettings)[1] == []
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    assert len(settings.check(GatewaySettings)[1]) == 4
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert settings.check(GatewaySettings)[1] == []


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in TracingSettings.model_fields.values():
        monkeypatch.setenv(str(field.alias), "")
    loaded = TracingSettings()
    assert not loaded.traces
    assert loaded.sampling.share == 0.01


def test_what_only_the_sdk_reads_is_checked_at_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "1")
    with pytest.raises(SystemExit) as exit_info:
        started(TracingSettings(), "x")
    assert exit_info.value.code == 2
    assert capsys.readouterr().err.splitlines() == [
        "OTEL_*: ValueError: max_export_batch_size must be less than or equal to max_queue_size."
    ]


def test_the_collectors_credentials_are_shown_to_nobody(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_on")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"authorization {SECRET}")  # not a header: the SDK complains
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://user:{SECRET}@127.0.0.1:9/?token={SECRET}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    settings.check_config(GatewaySettings)
    tracing = started(TracingSettings(), "x")
    assert tracing is not None
    record(tracing)
    tracing.close()
    shown = capsys.readouterr()
    assert "traces.trouble" in shown.out
    assert SECRET not in shown.out + shown.err


def test_a_span_that_the_sdk_cannot_take_costs_nobody_anything_but_that_span(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: object) -> None:
        raise KeyError(SECRET)

    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_on")
    tracing = started(TracingSettings(), "x")
    assert tracing is not None
    with monkeypatch.context() as patched:
        patched.setattr(exporting, "SpanKind", broken)
        record(tracing)
    tracing.close()
    shown = capsys.readouterr().out
    assert "traces.trouble" in shown
    assert "KeyError" in shown
    assert SECRET not in shown


async def test_a_collector_that_refuses_is_told_once_and_its_recovery_needs_no_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with collector_on() as collector:
        monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_on")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
        collector.status = 403
        tracing = started(TracingSettings(), "ocpp-gateway", "gw-1")
        assert tracing is not None
        for posts in range(1, 6):
            record(tracing)
            await until(partial(collector.has_heard, posts))
        collector.status = 200
        record(tracing)
        await until(lambda: collector.spans)
        await asyncio.to_thread(tracing.close)
    told = [line for line in capsys.readouterr().out.splitlines() if "traces.trouble" in line]
    assert len(told) == 1
    assert "403" in told[0]


def test_the_end_of_a_process_does_not_wait_for_a_collector_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    def ending() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name == "traces-end"]

    monkeypatch.setattr(exporting, "FLUSH_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_on")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        tracing = started(TracingSettings(), "x")
        assert tracing is not None
        record(tracing)
        tracing.close()
        (left_behind,) = ending()
        left_behind.join(10)
    assert not ending()


def test_what_the_sdk_says_is_told_without_its_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    handler = SdkLog.install()
    logger = logging.getLogger("opentelemetry.sdk.somewhere")
    for _ in range(3):
        logger.warning("Header %s is bad: %s, code %s, in %.2fs", SECRET, ValueError(SECRET), 401, 2.5)
    logger.error("Another thing")
    (first, second) = capsys.readouterr().out.splitlines()
    assert "Header … is bad: ValueError, code 401, in 2.5s" in first
    assert "Another thing" in second
    handler._told_at.clear()
    logger.warning("Header %s is bad: %s, code %s, in %.2fs", SECRET, ValueError(SECRET), 401, 2.5)
    assert "untold=2" in capsys.readouterr().out
