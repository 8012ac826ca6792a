"""The laptop's compose file starts processes that would start, and opens nothing to the network."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from contracts.actions import Service
from contracts.broker.endpoint import BrokerEndpoint
from contracts.process.settings import check
from gateway.settings import GatewaySettings
from tests.support.command_lines import understand
from workers.settings import WorkerSettings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
ENV_EXAMPLE = ROOT / "deploy" / "compose" / "env.example"
_VARIABLE = re.compile(r"\$\{(\w+):\?([^}]+)\}")


def filled(value: Any) -> str:
    return _VARIABLE.sub("sesame", str(value))


def texts(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for value in node.values():
            yield from texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from texts(value)
    else:
        yield str(node)


def bound_files(service: dict[str, Any]) -> Iterator[Path]:
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        if source.startswith("."):
            yield ROOT / source


def test_every_process_of_ours_is_a_service():
    commands = [tuple(service["command"]) for service in OURS.values()]
    assert ("ocpp-gateway",) in commands
    assert ("ocpp-worker", "migrate") in commands
    assert {command[1] for command in commands if command[0] == "ocpp-worker"} >= {service.value for service in Service}


@pytest.mark.parametrize("name", OURS)
def test_a_service_starts_a_command_that_exists(name):
    command, *words = OURS[name]["command"]
    understand(command, words)


@pytest.mark.parametrize("name", [name for name, service in OURS.items() if "environment" in service])
def test_a_services_environment_is_taken_by_its_settings(name, monkeypatch):
    service = OURS[name]
    kind = GatewaySettings if service["command"][0] == "ocpp-gateway" else WorkerSettings
    for variable, value in service["environment"].items():
        monkeypatch.setenv(variable, filled(value))
    settings, problems = check(kind)
    assert problems == []
    assert settings is not None
    assert BrokerEndpoint.parse(settings.amqp_url.get_secret_value()).host == "broker"
    known = {str(field.alias) for field in kind.model_fields.values()}
    assert set(service["environment"]) <= known


def test_the_topology_is_declared_with_its_policies_before_anything_serves():
    assert "AMQP_MANAGEMENT_URL" in SERVICES["declare"]["environment"]
    for name in ["gateway", *(service.value for service in Service)]:
        assert SERVICES[name]["depends_on"]["declare"] == {"condition": "service_completed_successfully"}


@pytest.mark.parametrize("name", SERVICES)
def test_who_waits_for_another_waits_for_something_that_it_tells(name):
    for other, how in SERVICES[name].get("depends_on", {}).items():
        if how["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[other]
        else:
            assert how["condition"] == "service_completed_successfully"
            assert "restart" not in SERVICES[other]
        assert set(SERVICES[other].get("profiles", [])) <= set(SERVICES[name].get("profiles", []))


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_on_loopback_only(name):
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in SERVICES[name].get("ports", []))
    assert SERVICES[name].get("network_mode") is None


def test_no_password_is_written_down_and_none_is_optional():
    named: dict[str, str] = {}
    for text in texts(COMPOSE):
        named |= dict(_VARIABLE.findall(text))
        assert "$" not in _VARIABLE.sub("", text), "a variable without a refusal when it is unset"
        for credentials in re.findall(r"://([^/@]+)@", text):
            assert _VARIABLE.fullmatch(credentials.partition(":")[2])
    for service in SERVICES.values():
        for variable, value in service.get("environment", {}).items():
            assert not re.search(r"PASS|SECRET|TOKEN", variable) or _VARIABLE.fullmatch(value)
    example = dict(line.split("=", 1) for line in ENV_EXAMPLE.read_text().splitlines() if not line.startswith("#"))
    assert example == dict.fromkeys(named, "")
    assert all(variable in words and str(ENV_EXAMPLE.relative_to(ROOT)) in words for variable, words in named.items())


def test_the_passwords_are_neither_in_git_nor_in_the_image():
    assert "/.env" in (ROOT / ".gitignore").read_text().split()
    assert (ROOT / ".containerignore").read_text().splitlines()[1] == "*"


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_mounted_exists_and_is_read_only(name):
    assert [path for path in bound_files(SERVICES[name]) if not path.exists()] == []
    assert all(volume.endswith(":ro") for volume in SERVICES[name].get("volumes", []) if volume.startswith("."))


@pytest.mark.parametrize("name", OURS)
def test_our_processes_run_confined(name):
    service = OURS[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "user" not in service  # the image's own


def test_a_process_has_the_time_to_end_that_its_settings_promise():
    def seconds(name: str) -> float:
        return float(SERVICES[name]["stop_grace_period"].removesuffix("s"))

    assert seconds("gateway") > GatewaySettings.model_fields["drain_grace_seconds"].default
    assert all(seconds(service.value) > WorkerSettings.model_fields["grace_seconds"].default for service in Service)


def test_the_broker_has_the_plugins_that_the_topology_and_the_metrics_need():
    plugins = (ROOT / "deploy" / "compose" / "enabled_plugins").read_text()
    named = re.fullmatch(r"\[([\w,]+)\]\.\n", plugins)
    assert named is not None
    assert set(named[1].split(",")) == {
        "rabbitmq_consistent_hash_exchange",
        "rabbitmq_management",
        "rabbitmq_prometheus",
    }
    assert SERVICES["broker"]["image"].startswith("rabbitmq:4")


def test_prometheus_scrapes_every_process_and_the_broker():
    page = yaml.safe_load((ROOT / "deploy" / "compose" / "prometheus.yaml").read_text())
    targets = {target for job in page["scrape_configs"] for one in job["static_configs"] for target in one["targets"]}
    monitor_port = GatewaySettings.model_fields["monitor_port"].default
    processes = ["gateway", *(service.value for service in Service)]
    assert targets == {*(f"{name}:{monitor_port}" for name in processes), "broker:15692"}
