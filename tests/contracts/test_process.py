"""The platform face: settings checked all at once, probes, secrets kept."""

import asyncio
import os
import platform
import signal
import subprocess
import sys
import time
from importlib.metadata import version

import aiohttp
import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Counter
from pydantic import Field

from contracts.broker.endpoint import BrokerEndpoint
from contracts.process import running, settings
from contracts.process.monitor import Monitor
from contracts.process.settings import ProcessSettings
from contracts.tracing import Span, Tracing
from contracts.tracing.sampling import Sampling
from gateway.settings import GatewaySettings
from workers.settings import WorkerSettings


class DemoSettings(ProcessSettings):
    speed: int = Field(1, alias="OCPP_DEMO_SPEED_PERCENT", ge=1, description="How fast.")


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("OCPP_") or name == "AMQP_URL":
            monkeypatch.delenv(name)


def test_defaults_hold_without_any_variable() -> None:
    loaded, problems = settings.check(DemoSettings)
    assert problems == []
    assert loaded is not None
    assert loaded.speed == 1


def test_every_problem_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCPP_DEMO_SPEED_PERCENT", "0")
    monkeypatch.setenv("OCPP_LOG_LEVEL", "loud")
    monkeypatch.setenv("OCPP_DEMO_SPED", "1")
    monkeypatch.setenv("AMQP_URL", "http://user:topsecret@x/")
    loaded, problems = settings.check(DemoSettings)
    assert loaded is None
    assert sorted(problem.partition(":")[0] for problem in problems) == [
        "AMQP_URL", "OCPP_DEMO_SPED", "OCPP_DEMO_SPEED_PERCENT", "OCPP_LOG_LEVEL",
    ]  # fmt: skip
    assert "topsecret" not in "".join(problems)


def test_bad_settings_exit_2_with_a_line_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OCPP_MONITOR_PORT", "many")
    monkeypatch.setenv("OCPP_DEMO_SPEED_PERCENT", "x")
    with pytest.raises(SystemExit) as exit_info:
        settings.load(DemoSettings)
    assert exit_info.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


@pytest.mark.parametrize("protocol", ["tcp", "udp", "sctp"])
@pytest.mark.parametrize("service", ["OCPP_DEMO", "OCPP_DEMO_WEB"])
def test_variables_that_kubernetes_injects_are_no_mistakes(
    monkeypatch: pytest.MonkeyPatch, service: str, protocol: str
) -> None:
    url, port = f"{protocol}://10.0.0.1:9310", f"{service}_PORT_9310_{protocol.upper()}"
    injected = {
        f"{service}_SERVICE_HOST": "10.0.0.1",
        f"{service}_SERVICE_PORT": "9310",
        f"{service}_SERVICE_PORT_WEBSOCKETS": "9310",
        f"{service}_PORT": url,
        port: url,
        f"{port}_PROTO": protocol,
        f"{port}_PORT": "9310",
        f"{port}_ADDR": "10.0.0.1",
    }
    for name, value in injected.items():
        monkeypatch.setenv(name, value)
    assert settings.check(DemoSettings)[1] == []


@pytest.mark.parametrize(
    "name", ["OCPP_GATEWAY_LISTN_PORT", "OCPP_GATEWAY_SERVICE_HOST", "OCPP_GATEWAY_SERVICE_PORT", "OCPP_MONITOR_PORTS"]
)
def test_a_misspelled_setting_is_a_mistake_whatever_its_ending(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("OCPP_ELSEWHERE_PORT", "tcp://10.0.0.1:80")
    monkeypatch.setenv(name, "1")
    (problem,) = settings.check(GatewaySettings)[1]
    assert problem.startswith(f"{name}: no such setting")


@pytest.mark.parametrize("package", ["gateway", "workers"])
def test_a_reader_who_has_seen_enough_of_the_settings_is_no_failure(package: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        command = [sys.executable, "-m", package, "check-config"]
        done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("settings_class", [ProcessSettings, GatewaySettings, WorkerSettings])
def test_every_process_refuses_a_broker_url_that_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch, settings_class: type[ProcessSettings]
) -> None:
    monkeypatch.setenv("AMQP_URL", "foo")
    problems = settings.check(settings_class)[1]
    assert problems == ["AMQP_URL: Value error, an AMQP URL starts with amqp:// or amqps://"]


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("OCPP_GATEWAY_LISTN_PORT", "did you mean OCPP_GATEWAY_LISTEN_PORT?"),
        ("OCPP_LOG_LEVLE", "did you mean OCPP_LOG_LEVEL?"),
        ("OCPP_GATEWAY_CALL_TIMEOUT", "did you mean OCPP_GATEWAY_CALL_TIMEOUT_SECONDS?"),
        ("OCPP_GATEWAY_XYZ", "docs/settings.md lists those that exist"),
        ("OCPP_REGISTRATION_MODE", "docs/settings.md lists those that exist"),
    ],
)
def test_an_unknown_setting_is_answered_with_the_nearest_one_if_any(
    monkeypatch: pytest.MonkeyPatch, name: str, advice: str
) -> None:
    monkeypatch.setenv(name, "1")
    assert settings.check(GatewaySettings)[1] == [f"{name}: no such setting; {advice}"]


def test_settings_of_other_processes_are_no_mistakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCPP_ELSEWHERE_SPEED_PERCENT", "1")
    monkeypatch.setenv("OCPP_DEMOGRAPHIC_X", "1")
    assert settings.check(DemoSettings)[1] == []


def test_credentials_never_show() -> None:
    url = "amqp://user:topsecret@host/vhost"
    loaded = DemoSettings(AMQP_URL=url)
    assert "topsecret" not in repr(loaded)
    endpoint = BrokerEndpoint.parse(url)
    assert "topsecret" not in repr(endpoint) + str(endpoint)
    assert endpoint.password == "topsecret"


@pytest.mark.parametrize(
    ("url", "vhost", "port", "tls"),
    [
        ("amqp://h", "/", 5672, False),
        ("amqp://h/", "/", 5672, False),
        ("amqp://h/%2F", "/", 5672, False),
        ("amqps://u:p@h:1/a%2Fb", "a/b", 1, True),
        ("amqps://h/x", "x", 5671, True),
    ],
)
def test_broker_urls_are_taken_apart(url: str, vhost: str, port: int, tls: bool) -> None:
    endpoint = BrokerEndpoint.parse(url)
    assert (endpoint.host, endpoint.vhost, endpoint.port, endpoint.tls) == ("h", vhost, port, tls)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("amqp://u:p@h", "amqp://h:5672/"),
        ("amqp://u:p@h:1/%2F", "amqp://h:1/"),
        ("amqps://u:p@h/a%2Fb%3F%25", "amqps://h:5671/a%2Fb%3F%25"),
        ("amqp://u:p@[::1]/x", "amqp://[::1]:5672/x"),
    ],
)
def test_a_broker_is_shown_as_the_url_that_leads_to_it(url: str, shown: str) -> None:
    endpoint = BrokerEndpoint.parse(url)
    assert str(endpoint) == shown
    again = BrokerEndpoint.parse(shown)
    assert (again.host, again.port, again.vhost, again.tls) == (
        endpoint.host, endpoint.port, endpoint.vhost, endpoint.tls,
    )  # fmt: skip


@pytest.mark.parametrize("url", ["", "http://h/", "amqp://", "amqp://h:99999/", "amqps://h/?cafile=x"])
def test_what_is_no_broker_url_is_refused_in_words(url: str) -> None:
    with pytest.raises(ValueError, match="AMQP URL"):
        BrokerEndpoint.parse(url)


@pytest.mark.parametrize("host", ["a..b", ".a", "x" * 64, "a.\N{ZERO WIDTH SPACE}.b"])
def test_a_host_that_cannot_be_looked_up_is_refused_without_the_password(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("AMQP_URL", f"amqp://user:topsecret@{host}/")
    problems = settings.check(DemoSettings)[1]
    assert problems == ["AMQP_URL: Value error, the host of an AMQP URL is not a host name"]


@pytest.mark.parametrize("host", ["localhost", "rabbit_mq", "b\u00fccher.example", "10.0.0.1", "db.example."])
def test_a_host_that_can_be_looked_up_is_taken_as_it_is(host: str) -> None:
    assert BrokerEndpoint.parse(f"amqp://{host}/").host == host


def test_an_ipv6_address_is_a_host() -> None:
    assert BrokerEndpoint.parse("amqp://[2001:db8::1]:1/").host == "2001:db8::1"


@pytest.mark.parametrize(
    "url", ["amqp://user:top[secret]@h/", "amqp://user:topsecret\u2100@h/", "amqp://user:top[secret@h/"]
)
def test_a_password_that_breaks_the_url_is_not_quoted_back(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMQP_URL", url)
    problems = settings.check(DemoSettings)[1]
    assert len(problems) == 1
    assert "secret" not in problems[0]


def test_a_crash_is_one_log_line_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    async def crashes(_: asyncio.Event) -> int:
        raise RuntimeError("a defect")

    assert running.run(crashes, "test") == running.EXIT_CRASHED == 1
    assert "process.crashed" in capsys.readouterr().out


def test_traces_that_are_left_are_handed_over_however_a_process_ends() -> None:
    closed: list[str] = []
    spans: list[Span] = []

    async def ends(_: asyncio.Event) -> int:
        closed.append("after")
        return 0

    async def crashes(_: asyncio.Event) -> int:
        raise RuntimeError("a defect")

    for main in (ends, crashes):
        running.run(main, "test", Tracing(Sampling(1.0), spans.append, lambda: closed.append("closed")))
    assert closed == ["after", "closed", "closed"]


def test_a_process_says_what_it_is_and_how_late_its_loop_comes() -> None:
    async def is_held_up(_: asyncio.Event) -> int:
        await asyncio.sleep(0)
        time.sleep(0.6)  # noqa: ASYNC251 - this is what is to be seen
        while not late() > before:  # noqa: ASYNC110 - told by a metric, which nobody can await
            await asyncio.sleep(0.01)
        return 0

    def late() -> float:
        name, within = "ocpp_event_loop_lag_seconds", {"le": "0.25"}
        whole = REGISTRY.get_sample_value(f"{name}_count") or 0.0
        return whole - (REGISTRY.get_sample_value(f"{name}_bucket", within) or 0.0)

    before = late()
    assert running.run(is_held_up, "ocpp-held-up") == 0
    labels = {"component": "ocpp-held-up", "version": version("ocpp-gateway"), "python": platform.python_version()}
    assert REGISTRY.get_sample_value("ocpp_build_info", labels) == 1


async def test_probes_tell_which_check_fails_and_why() -> None:
    registry = CollectorRegistry()
    Counter("demo_things", "Things.", registry=registry).inc()
    monitor = Monitor("127.0.0.1", 0, registry)
    reasons: dict[str, str | None] = {"broker": "down"}
    monitor.ready("broker", lambda: reasons["broker"])
    monitor.live("loop", lambda: None)
    await monitor.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{monitor.port}") as session:
            ready = await session.get("/readyz")
            assert (ready.status, await ready.json()) == (503, {"ok": False, "checks": {"broker": "down"}})
            assert (await session.get("/healthz")).status == 200
            reasons["broker"] = None
            assert (await session.get("/readyz")).status == 200
            assert "demo_things_total 1.0" in await (await session.get("/metrics")).text()
    finally:
        await monitor.stop()


def test_a_signal_asks_and_a_second_one_insists() -> None:
    async def obeys(stop: asyncio.Event) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.wait()
        return 7

    async def ignores(stop: asyncio.Event) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()
        return 0

    assert running.run(obeys, "test") == 7
    assert running.run(ignores, "test") == running.EXIT_SIGNALLED_TWICE


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_what_a_peer_wrote_does_not_steer_the_terminal(log_format: str) -> None:
    say = (
        "import structlog\n"
        "from contracts.process import logs, settings\n"
        "logs.configure(settings.load(settings.ProcessSettings), 'demo')\n"
        "structlog.get_logger().info('handshake.refused', path='/\\x1b]0;mine\\x07\\r\\n')\n"
    )
    environment = {**os.environ, "OCPP_LOG_FORMAT": log_format}
    ran = subprocess.run([sys.executable, "-c", say], env=environment, capture_output=True, text=True, check=True)
    assert "mine" in ran.stdout
    assert "\x1b]" not in ran.stdout
    assert "\x07" not in ran.stdout
    assert len(ran.stdout.splitlines()) == 1
